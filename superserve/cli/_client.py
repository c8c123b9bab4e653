"""The client of a command, as the environment says, and what names and ids stand for."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from superserve import Sandbox, Superserve, Template

_SYSTEM_PREFIX: Final = "superserve/"
_AN_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_TAGGED_ID: Final = re.compile(r"sb-[a-z0-9]+-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@contextmanager
def connected() -> "Iterator[Superserve]":
    """Yield a client with the environment's settings."""
    from superserve import Superserve

    with Superserve() as client:
        yield client


def is_id(text: str) -> bool:
    """Whether a text is an id, not a name."""
    return _AN_ID.fullmatch(text) is not None


def find_template(client: "Superserve", name: str) -> "Template":
    """Return the template with a name or an id."""
    return client.templates.connect(name) if is_id(name) else client.templates.get_by_name(name)


def find_own_template(client: "Superserve", name: str) -> "Template":
    """Return the template of a name or an id, one that the team may change."""
    from superserve import ConflictError

    found = find_template(client, name)
    if found.name.startswith(_SYSTEM_PREFIX):
        raise ConflictError(f"{found.name} is the system's, which no team can build, cancel or delete")
    return found


def find_sandbox(client: "Superserve", name: str) -> "Sandbox":
    """Return the sandbox with a name or an id, without waking it. A name of several sandboxes is refused."""
    from superserve import ConflictError, NotFoundError, Sandbox

    if is_sandbox_id(name):
        return Sandbox.get(name, client=client)
    found = [info for info in client.sandboxes.list(q=name) if info.name == name]
    if not found:
        raise NotFoundError(f"there is no sandbox named {name!r}", hint="superserve sb ls shows all")
    if len(found) > 1:
        ids = ", ".join(info.id for info in found)
        raise ConflictError(f"{len(found)} sandboxes are named {name!r}: {ids}", hint="use an id instead")
    return Sandbox.get(found[0].id, client=client)


def is_sandbox_id(text: str) -> bool:
    """Whether a text is the id of a sandbox, not a name."""
    return is_id(text) or _TAGGED_ID.fullmatch(text) is not None
