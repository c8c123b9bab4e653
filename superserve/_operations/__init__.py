"""The operations of the API, one module a tag: what each does in words, how it may be repeated, how its answer is read."""
