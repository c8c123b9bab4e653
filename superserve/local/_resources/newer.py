"""What servers newer than the one described here answer: more fields, more statuses, paging.

With it, users find out whether their code survives the next server. `latest_build_id`, paging and the higher
ceilings are known of newer servers; the other additions stand for those that nobody knows yet.
"""

from collections.abc import Mapping

from starlette.requests import Request

from superserve.local._app.errors import ApiError
from superserve.local._store.store import Build, Store, Team, Template

# The way of a build that the host calls ready, one tick each; the second status is in no description.
NEXT_STATUS = {"building": "snapshotting", "snapshotting": "verifying"}
UNKNOWN_STREAM = "metric"
UNKNOWN_TEMPLATE_STATUS = "archived"
PLATFORM = {"vcpu": (1, 10), "memory_mib": (256, 20480), "disk_mib": (1024, 65536)}

PAGE_LIMIT = 200
BUILDS_LIMIT = 100
BUILDS_DEFAULT = 20
_SORTS = ("created_at", "name", "status", "size", "built_at")


def template_answer(row: Template, store: Store) -> dict[str, object]:
    """Return a template with the fields of newer servers."""
    builds = store.builds_of(row.id)
    latest = {"latest_build_id": builds[0].id} if builds else {}
    visibility = "system" if store.teams[row.team_id].is_system else "team"
    return {**row.answer(), **latest, "visibility": visibility, "labels": {}}


def build_answer(row: Build) -> dict[str, object]:
    """Return a build with the fields of newer servers."""
    return {**row.answer(), "region": "local", "cache": {"hits": 0}}


def page(rows: list[Template], team: Team, request: Request) -> tuple[list[Template], int]:
    """Return the page of templates that the query asks for, and how many there are on all pages."""
    query = request.query_params
    owner = _choice(query, "owner", "all", "team", "system")
    if owner != "all":
        rows = [row for row in rows if (row.team_id == team.id) == (owner == "team")]
    if text := query.get("q", "").lower():
        rows = [row for row in rows if text in row.name]
    sort = _choice(query, "sort", *_SORTS)
    descending = _choice(query, "order", "desc", "asc") == "desc"
    rows = sorted(rows, key=lambda row: _sort_key(row, sort), reverse=descending)
    limit = _number(query, "limit", 1)
    offset = _number(query, "offset", 0) or 0
    end = None if limit is None else offset + min(limit, PAGE_LIMIT)
    return rows[offset:end], len(rows)


def builds_limit(request: Request) -> int:
    """Return how many builds the query asks for."""
    limit = _number(request.query_params, "limit", 1)
    return BUILDS_DEFAULT if limit is None else min(limit, BUILDS_LIMIT)


def _sort_key(row: Template, sort: str) -> tuple[bool, str, int]:
    if sort == "size":
        return row.size_bytes is not None, "", row.size_bytes or 0
    if sort == "name":
        return True, row.name, 0
    if sort == "status":
        return True, row.status, 0
    moment = row.built_at if sort == "built_at" else row.created_at
    return moment is not None, moment.isoformat() if moment else "", 0


def _choice(query: Mapping[str, str], name: str, default: str, *others: str) -> str:
    value = query.get(name) or default
    if value not in {default, *others}:
        raise ApiError(400, "bad_request", f"{name} must be one of {', '.join((default, *others))}")
    return value


def _number(query: Mapping[str, str], name: str, minimum: int) -> int | None:
    value = query.get(name)
    if not value:
        return None
    if not value.isascii() or not value.isdecimal() or int(value) < minimum:
        raise ApiError(400, "bad_request", f"{name} must be an integer of at least {minimum}")
    return int(value)
