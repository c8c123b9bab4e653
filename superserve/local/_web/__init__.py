"""What the server offers besides the API: the status page, and control over HTTP."""
