"""The arguments of sandboxes, commands and files with their defaults: what programs are written against, in both colours.

Names that the official SDK has are its names; seconds that are ours end in `_s`.
"""

import inspect

import pytest

from superserve import (
    AsyncCommandSession,
    AsyncSandbox,
    AsyncSuperserve,
    AsyncTemplate,
    CommandSession,
    Sandbox,
    Superserve,
    Template,
)
from superserve._async.commands import AsyncCommands
from superserve._async.files import AsyncFiles
from superserve._sync.commands import Commands
from superserve._sync.files import Files

WHERE = "api_key=None, base_url=None, sandbox_url=None, client=None"
FILTERS = "metadata=None, status=None, q=None, sort=None, order=None"
STARTED = (
    "timeout_seconds=None, auto_delete_seconds=None, metadata=None, env_vars=None, secrets=None, network=None, "
    "preview_access=None, adopt_lost=False"
)
CHANGES = (
    "metadata=None, network=None, auto_delete_seconds=Ellipsis, timeout_seconds=Ellipsis, preview_access=None"
)
RUN = "command, *, cwd=None, env=None"
SANDBOX = {
    "create": f"*, name, from_template=None, from_snapshot=None, {STARTED}, {WHERE}",
    "connect": f"sandbox_id, *, {WHERE}",
    "get": f"sandbox_id, *, {WHERE}",
    "list": f"*, {FILTERS}, limit=None, offset=None, {WHERE}",
    "iter": f"*, {FILTERS}, {WHERE}",
    "kill_by_id": f"sandbox_id, *, {WHERE}",
    "update_by_id": f"sandbox_id, *, {CHANGES}, {WHERE}",
    "get_info": "self",
    "pause": "self, *, wait=True, timeout=300.0, poll_interval_s=None, strict=False",
    "resume": "self, *, timeout=300.0, poll_interval_s=None, strict=False",
    "activate": "self",
    "kill": "self, *, strict=False",
    "update": f"self, *, {CHANGES}",
    "set_timeout": "self, timeout_seconds",
    "get_preview_url": "self, port",
    "wait_for_port": "self, port, timeout_s=30.0, *, wake=True",
}
TEMPLATE = {"start": f"self, *, name, {STARTED}"}
COMMANDS = {
    "run": f"self, {RUN}, timeout_seconds=30.0, on_stdout=None, on_stderr=None, input=None, check=False, "
    "max_output_bytes=None, encoding='utf-8', wake=True",
    "spawn": f"self, {RUN}, timeout_seconds=None, on_stdout=None, on_stderr=None, max_output_bytes=None, wake=True",
}
SESSION = {"kill": "self, signal='SIGTERM'", "wait": "self, timeout_s=None", "close": "self"}
FILES = {
    "write": "self, path, content, *, atomic=False, mode=None, timeout=None, wake=True",
    "read": "self, path, *, timeout=None, max_bytes=None, wake=True",
    "read_text": "self, path, *, encoding='utf-8', timeout=None, max_bytes=None, wake=True",
    "open_read": "self, path, *, timeout=None, wake=True",
    "list": "self, path, *, timeout=None, wake=True",
    "stat": "self, path, *, follow_symlinks=True, timeout=None, wake=True",
    "exists": "self, path, *, timeout=None, wake=True",
    "make_dir": "self, path, *, timeout=None, wake=True",
    "remove": "self, path, *, recursive=False, timeout=None, wake=True",
    "move": "self, source, target, *, timeout=None, wake=True",
    "download_dir": "self, path, *, timeout=None, max_bytes=None, wake=True",
    "upload": "self, local, remote, *, ignore=None, on_progress=None, timeout=None, wake=True",
    "download": "self, remote, local, *, on_progress=None, timeout=None, wake=True",
}
ROWS = [
    (kind, name, arguments)
    for kinds, promised in (
        ((Sandbox, AsyncSandbox), SANDBOX),
        ((Template, AsyncTemplate), TEMPLATE),
        ((Commands, AsyncCommands), COMMANDS),
        ((CommandSession, AsyncCommandSession), SESSION),
        ((Files, AsyncFiles), FILES),
    )
    for kind in kinds
    for name, arguments in promised.items()
]


@pytest.mark.parametrize(
    ("kind", "name", "arguments"), ROWS, ids=[f"{kind.__name__}.{name}" for kind, name, _ in ROWS]
)
def test_a_method_takes_what_is_promised(kind, name, arguments):
    signature = inspect.signature(getattr(kind, name))
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    shown = str(inspect.Signature(bare))
    assert shown == f"({arguments})"


@pytest.mark.parametrize("kind", [Superserve, AsyncSuperserve])
def test_the_door_of_a_client_has_the_class_methods(kind):
    with_key = kind(api_key="key")
    for name in ("create", "connect", "get", "list", "iter", "kill_by_id", "update_by_id"):
        assert callable(getattr(with_key.sandboxes, name))
