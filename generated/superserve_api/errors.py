# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
"""Contains shared errors types that can be raised from API functions"""

from collections.abc import Callable
from typing import TypeVar

import httpx

from .client import AuthenticatedClient, Client

T = TypeVar("T")


class UnexpectedStatus(Exception):
    """Raised by api functions if the answer is none that the contract describes and Client.raise_on_unexpected_status
    is True: its status is undocumented, or its body isn't what is documented for the status.
    """

    def __init__(self, status_code: int, content: bytes):
        self.status_code = status_code
        self.content = content

        super().__init__(
            f"Unexpected status code or body: {status_code}\n\nResponse content:\n{content.decode(errors='ignore')}"
        )

    def __reduce__(self) -> tuple[type["UnexpectedStatus"], tuple[int, bytes]]:
        return type(self), (self.status_code, self.content)


def parsed_or_unexpected(
    parse: Callable[..., T], *, client: AuthenticatedClient | Client, response: httpx.Response
) -> T | None:
    """Parse a response; a body that doesn't fit its status raises UnexpectedStatus or gives None, as for the client."""
    try:
        return parse(client=client, response=response)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        if client.raise_on_unexpected_status:
            raise UnexpectedStatus(response.status_code, response.content) from None
        return None


__all__ = ["UnexpectedStatus"]
