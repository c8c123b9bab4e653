"""What the service says of a sandbox, read field by field."""

from datetime import UTC, datetime

import pytest
from superserve_api.models import ResumeResponse, SandboxListItem, SandboxResponse

from superserve import (
    NetworkConfig,
    PreviewAccess,
    SandboxSecretBinding,
    SandboxStatus,
    ValidationError,
)
from superserve._operations.operation import UnreadableError
from superserve._operations.sandboxes import list_sandboxes, lost_id, read_sandbox, resume_sandbox
from tests.talk import SANDBOX_ID, TOKEN, sandbox_row

AT = "2026-05-01T10:00:00Z"
FULL = {
    "metadata": {"env": "prod"},
    "preview_access": "private",
    "timeout_seconds": 60,
    "auto_delete_seconds": 0,
    "auto_delete_at": AT,
    "network": {"allow_out": ["a.com"]},
    "source_snapshot_id": "s-1",
}


def told(access):
    return access.token, access.hint


def check_full(info):
    assert info.to_dict() | {"secrets": None} == {
        "id": SANDBOX_ID,
        "name": "box",
        "status": "paused",
        "vcpu_count": 1,
        "memory_mib": 1024,
        "created_at": datetime(2026, 5, 1, 10, microsecond=123456, tzinfo=UTC),
        "metadata": {"env": "prod"},
        "preview_access": "private",
        "timeout_seconds": 60,
        "auto_delete_seconds": 0,
        "auto_delete_at": datetime(2026, 5, 1, 10, tzinfo=UTC),
        "network": {"allow_out": ("a.com",), "deny_out": None},
        "source_snapshot_id": "s-1",
        "secrets": None,
    }
    assert (info.status, info.preview_access) == (SandboxStatus.PAUSED, PreviewAccess.PRIVATE)
    assert info.network == NetworkConfig(allow_out=["a.com"])


def test_a_row_with_all_that_there_can_be():
    secrets = [
        {"env_key": "KEY", "secret_name": "mine", "revoked": True},
        {"env_key": "OTHER", "secret_name": "b"},
    ]
    row = sandbox_row("paused", **FULL, secrets=secrets, routing_hint="h1")
    opened = read_sandbox(SandboxResponse.from_dict(row))
    check_full(opened.info)
    assert opened.info.secrets == (
        SandboxSecretBinding("KEY", "mine", revoked=True),
        SandboxSecretBinding("OTHER", "b", revoked=False),
    )
    assert told(opened.access) == (TOKEN, "h1")


def test_a_row_of_a_list_has_no_token_and_no_secrets():
    row = sandbox_row("paused", **FULL)
    del row["access_token"]
    [info] = list_sandboxes().read([SandboxListItem.from_dict(row)])
    check_full(info)
    assert info.secrets is None


def test_what_a_row_leaves_out_is_none():
    info = read_sandbox(SandboxResponse.from_dict(sandbox_row())).info
    assert (info.timeout_seconds, info.auto_delete_seconds, info.auto_delete_at) == (None, None, None)
    assert (info.network, info.source_snapshot_id, info.secrets) == (None, None, None)


def test_a_status_that_nobody_knows_yet_is_kept():
    assert read_sandbox(SandboxResponse.from_dict(sandbox_row("hibernated"))).info.status == "hibernated"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"id": ""}, "field 'id' is empty"),
        ({"access_token": "a b"}, "field 'access_token' cannot be sent in a header"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(fields, text):
    with pytest.raises(UnreadableError) as caught:
        read_sandbox(SandboxResponse.from_dict(sandbox_row(**fields)))
    assert str(caught.value) == text


def test_a_hint_that_cannot_be_sent_is_none():
    row = sandbox_row(routing_hint="a b")
    assert told(read_sandbox(SandboxResponse.from_dict(row)).access) == (TOKEN, None)
    assert read_sandbox(SandboxResponse.from_dict(sandbox_row(access_token=""))).access is None


def test_a_resume_without_a_token_cannot_be_used():
    read = resume_sandbox(SANDBOX_ID).read
    answer = {"id": SANDBOX_ID, "status": "active", "access_token": TOKEN, "routing_hint": "h1"}
    assert told(read(ResumeResponse.from_dict(answer))) == (TOKEN, "h1")
    with pytest.raises(UnreadableError) as caught:
        read(ResumeResponse.from_dict(answer | {"access_token": ""}))
    assert str(caught.value) == "field 'access_token' is empty"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (f'{{"id": "{SANDBOX_ID}", "status": 5}}'.encode(), SANDBOX_ID),
        (b'{"id": "../x"}', None),
        (b'{"id": 5}', None),
        (b'["id"]', None),
        (b"<html>", None),
        (b"[" * 100_000, None),
    ],
)
def test_the_id_of_a_sandbox_is_found_in_whatever_was_answered(content, found):
    assert lost_id(content) == found


@pytest.mark.parametrize("entries", ["a.com", b"a.com", 5, {"a.com"}])
def test_a_network_takes_lists_and_never_a_text_as_a_list_of_its_letters(entries):
    with pytest.raises(ValidationError, match=r"expected lists such as allow_out=\['pypi.org'\], got "):
        NetworkConfig(allow_out=entries)
    with pytest.raises(ValidationError):
        NetworkConfig(deny_out=entries)
