"""Sandboxes (scaffold until the real one comes)."""

from superserve._async.client import AsyncSuperserve
from superserve._async.commands import AsyncCommands
from superserve._async.data_plane import Activate, AsyncDataPlane
from superserve._async.files import AsyncFiles


class AsyncSandbox:
    """A sandbox."""

    def __init__(self, client: AsyncSuperserve, sandbox_id: str, token: str, activate: Activate) -> None:
        self.id = sandbox_id
        self._client = client
        self._data = AsyncDataPlane(client, sandbox_id, token, activate)
        self.commands = AsyncCommands(self)
        self.files = AsyncFiles(self)
