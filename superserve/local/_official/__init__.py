"""Serving the addresses of the real service to programs that know no other: as their HTTPS proxy, with TLS of its own."""
