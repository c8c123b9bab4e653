"""The operations of the API, one module for each tag: their names in messages, their retries, and how answers are read."""
