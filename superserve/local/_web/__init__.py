"""The parts of the server that the service does not have: the status page, and control over HTTP."""
