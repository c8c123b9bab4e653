"""Serving the real service's addresses, for programs that use no others: an HTTPS proxy with its own TLS."""
