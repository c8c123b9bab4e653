"""Python SDK for Superserve."""
