"""A stand-in of the Superserve server, for development and tests on one machine."""
