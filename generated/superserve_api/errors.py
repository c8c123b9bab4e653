# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
"""Contains shared errors types that can be raised from API functions"""


class UnexpectedStatus(Exception):
    """Raised by api functions for a response that the contract doesn't describe, if Client.raise_on_unexpected_status
    is True: the status is undocumented, or the body isn't what is documented for the status.
    """

    def __init__(self, status_code: int, content: bytes):
        self.status_code = status_code
        self.content = content

        super().__init__(
            f"Unexpected response, status code {status_code}\n\n"
            f"Response content:\n{content.decode(errors='ignore')}"
        )

    def __reduce__(self) -> tuple[type["UnexpectedStatus"], tuple[int, bytes]]:
        return type(self), (self.status_code, self.content)


__all__ = ["UnexpectedStatus"]
