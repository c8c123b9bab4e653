# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
"""Contains shared errors types that can be raised from API functions"""


class UnexpectedStatus(Exception):
    """Raised by API functions for a response that the contract does not describe, if Client.raise_on_unexpected_status
    is True: the status is undocumented, or the body does not fit it. In the second case `problem` says what is wrong, as
    Response.problem does if nothing is raised.
    """

    def __init__(self, status_code: int, content: bytes, problem: str | None = None):
        self.status_code = status_code
        self.content = content
        self.problem = problem

        super().__init__(
            f"Unexpected response, status code {status_code}{f': {problem}' if problem else ''}\n\n"
            f"Response content:\n{content.decode(errors='ignore')}"
        )

    def __reduce__(self) -> tuple[type["UnexpectedStatus"], tuple[int, bytes, str | None]]:
        return type(self), (self.status_code, self.content, self.problem)


class UnreadableError(ValueError):
    """Raised by from_dict() for data that does not fit the contract. The text says where and why, and contains no
    values. API functions put it into Response.problem.
    """


__all__ = ["UnexpectedStatus", "UnreadableError"]
