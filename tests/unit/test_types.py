"""The values that people get and give: frozen, comparable, picklable; statuses that stay open."""

import copy
import json
import pickle
from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superserve import (
    BuildLogEvent,
    BuildLogStream,
    EnvStep,
    EnvStepValue,
    RunStep,
    TemplateBuildInfo,
    TemplateBuildStatus,
    TemplateInfo,
    TemplateStatus,
    UserStep,
    UserStepValue,
    WorkdirStep,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
MAKERS = [
    lambda: TemplateInfo("t", "my-env", "team", TemplateStatus.READY, 1, 1024, 4096, NOW, size_bytes=5),
    lambda: TemplateInfo("t", "my-env", "team", TemplateStatus("archived"), 1, 1024, 4096, NOW),
    lambda: TemplateBuildInfo("b", "t", TemplateBuildStatus.FAILED, "ab12", NOW, "step_failed: x", NOW, NOW),
    lambda: BuildLogEvent(BuildLogStream.STDOUT, "hello", NOW),
    lambda: BuildLogEvent(BuildLogStream("debug"), "hello", finished=True, status="ready"),
    lambda: RunStep("make"),
    lambda: EnvStep(EnvStepValue("A", "1")),
    lambda: WorkdirStep("/app"),
    lambda: UserStep(UserStepValue("app", sudo=True)),
]
COPIES = [copy.copy, copy.deepcopy] + [
    lambda value, protocol=protocol: pickle.loads(pickle.dumps(value, protocol))
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
]
ENUMS = [TemplateStatus, TemplateBuildStatus, BuildLogStream]
every_value = pytest.mark.parametrize("make", MAKERS)
every_enum = pytest.mark.parametrize("kind", ENUMS)


@every_value
def test_equal_values_are_equal_and_hash_alike(make):
    assert make() == make()
    assert make() is not make()
    assert hash(make()) == hash(make())
    assert len({make(), make()}) == 1


def test_different_values_differ():
    values = [make() for make in MAKERS]
    assert len(set(values)) == len(values)


@every_value
@pytest.mark.parametrize("copied", COPIES)
def test_values_survive_being_copied(make, copied):
    value = make()
    other = copied(value)
    assert other == value
    assert type(other) is type(value)
    assert repr(other) == repr(value)


@every_value
def test_values_are_frozen(make):
    value = make()
    for field in attrs.fields(type(value)):
        with pytest.raises(AttributeError):
            setattr(value, field.name, None)
        with pytest.raises(AttributeError):
            delattr(value, field.name)
    with pytest.raises(AttributeError):
        value.nmae = "a slip"
    assert value == make()


@every_value
def test_values_show_what_they_hold(make):
    value = make()
    assert repr(value).startswith(f"{type(value).__name__}(")


def test_what_is_not_given_is_absent():
    event = BuildLogEvent(BuildLogStream.SYSTEM, "queued")
    assert (event.timestamp, event.finished, event.status, event.after_gap) == (None, False, None, False)
    assert UserStepValue("app").sudo is False
    info = MAKERS[1]()
    assert (info.size_bytes, info.error_message, info.built_at, info.latest_build_id) == (None,) * 4


def test_a_status_can_be_compared_in_every_usual_way():
    status = TemplateStatus("ready")
    assert status == "ready"
    assert status is TemplateStatus.READY
    assert status.value == "ready"
    assert status.name == "READY"
    assert str(status) == f"{status}" == "ready"
    assert status in {"ready", "failed"}
    assert {"ready": 1}[status] == 1
    assert json.dumps(status) == '"ready"'
    assert isinstance(status, str)
    match status:
        case TemplateStatus.READY:
            pass


def test_the_statuses_are_those_of_the_contract():
    assert [status.value for status in TemplateStatus] == ["pending", "building", "ready", "failed"]
    assert [status.value for status in TemplateBuildStatus] == [
        "pending",
        "building",
        "snapshotting",
        "ready",
        "failed",
        "cancelled",
    ]
    assert [stream.value for stream in BuildLogStream] == ["stdout", "stderr", "system", "error"]


@every_enum
@given(value=st.text())
def test_a_value_that_nobody_knows_yet_survives(kind, value):
    status = kind(value)
    assert isinstance(status, kind)
    assert status == kind(value) == value
    assert hash(status) == hash(value)
    assert (status.value, str(status)) == (value, value)
    assert repr(status).startswith(f"<{kind.__name__}.")
    for copied in COPIES:
        assert copied(status) == status
        assert type(copied(status)) is kind
    assert (status is kind(value)) == (value in [known.value for known in kind])


@every_enum
def test_unknown_values_do_not_pile_up(kind):
    before = list(kind)
    kind("brand-new")
    assert list(kind) == before
    assert "brand-new" not in kind.__members__


@every_enum
@pytest.mark.parametrize("value", [None, 5, ["ready"], b"ready"])
def test_only_a_string_can_be_a_status(kind, value):
    with pytest.raises(ValueError, match="is not a valid"):
        kind(value)


def test_only_the_three_ends_are_ends():
    ended = {status for status in TemplateBuildStatus if status.is_terminal}
    assert ended == {"ready", "failed", "cancelled"}
    assert not TemplateBuildStatus("verifying").is_terminal
    assert TemplateBuildStatus("failed").is_terminal


def test_known_statuses_are_the_same_objects_after_pickling():
    for kind in ENUMS:
        for status in kind:
            assert pickle.loads(pickle.dumps(status)) is status
