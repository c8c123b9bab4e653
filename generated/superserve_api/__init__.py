# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.

"""A client library for accessing Superserve"""

from .client import AuthenticatedClient, Client

__all__ = (
    "AuthenticatedClient",
    "Client",
)
