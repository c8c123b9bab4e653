"""The error that answers a request with a status and the JSON envelope, and the error of state files."""


class ApiError(Exception):
    """Answers a request with `{"error": {"code": ..., "message": ...}}`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class StateError(Exception):
    """A state file cannot be used: another server has it open, it is damaged, or it is something else."""
