# Written by scripts/unasync.py from superserve/_async/sandboxes.py. Do not edit: change that, then run `nox -s generate`.
"""Sandboxes (scaffold until the real one comes)."""

from superserve._sync.client import Superserve
from superserve._sync.commands import Commands
from superserve._sync.data_plane import Activate, DataPlane
from superserve._sync.files import Files


class Sandbox:
    """A sandbox."""

    def __init__(self, client: Superserve, sandbox_id: str, token: str, activate: Activate) -> None:
        self.id = sandbox_id
        self._client = client
        self._data = DataPlane(client, sandbox_id, token, activate)
        self.commands = Commands(self)
        self.files = Files(self)
