"""What people can do with values: make them dicts and JSON, and return them from an endpoint of FastAPI."""

import copy
import json
import pickle
from datetime import UTC, datetime

import httpx
import pytest

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
from superserve._arguments import steps

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
INFO = TemplateInfo("t", "my-env", "team", TemplateStatus("archived"), 1, 1024, 4096, NOW, size_bytes=5)
INFO_DICT = {
    "id": "t",
    "name": "my-env",
    "team_id": "team",
    "status": "archived",
    "vcpu": 1,
    "memory_mib": 1024,
    "disk_mib": 4096,
    "created_at": NOW,
    "size_bytes": 5,
    "error_message": None,
    "built_at": None,
    "latest_build_id": None,
}
BUILD = TemplateBuildInfo("b", "t", TemplateBuildStatus.FAILED, "ab12", NOW, "step_failed: x", NOW, NOW)
EVENT = BuildLogEvent(BuildLogStream.STDOUT, "hello", NOW, after_gap=True)
STEPS = [
    RunStep("make"),
    EnvStep(EnvStepValue("A", "1")),
    WorkdirStep("/app"),
    UserStep(UserStepValue("app", sudo=True)),
]
STEP_DICTS = [
    {"run": "make"},
    {"env": {"key": "A", "value": "1"}},
    {"workdir": "/app"},
    {"user": {"name": "app", "sudo": True}},
]
VALUES = [INFO, BUILD, EVENT, *STEPS]
every_value = pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)


def test_a_value_turns_into_a_dict_of_its_fields():
    assert INFO.to_dict() == INFO_DICT
    assert type(INFO.to_dict()["status"]) is TemplateStatus
    assert BUILD.to_dict()["status"] is TemplateBuildStatus.FAILED
    assert EVENT.to_dict() == {
        "stream": "stdout",
        "text": "hello",
        "timestamp": NOW,
        "finished": False,
        "status": None,
        "after_gap": True,
    }


def test_a_step_turns_into_the_dict_that_can_be_passed_in_its_place():
    assert [step.to_dict() for step in STEPS] == STEP_DICTS
    assert steps([step.to_dict() for step in STEPS]) == STEPS


@every_value
def test_a_value_can_be_made_again_from_its_dict_and_json_takes_it(value):
    fields = value.to_dict()
    if not isinstance(value, EnvStep | UserStep):
        assert type(value)(**fields) == value
    written = json.loads(json.dumps(fields, default=str))
    assert written.keys() == fields.keys()
    for name, field in fields.items():
        assert written[name] == (str(field) if isinstance(field, datetime) else field)


@every_value
def test_a_dict_is_the_callers_own(value):
    fields = value.to_dict()
    before = value.to_dict()
    fields.clear()
    assert value.to_dict() == before


@every_value
def test_values_are_copied_pickled_and_compared(value):
    for other in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert other == value
        assert hash(other) == hash(value)
        assert type(other) is type(value)
        assert other.to_dict() == value.to_dict()
    assert [other for other in VALUES if other == value] == [value]


async def test_an_endpoint_of_fastapi_can_return_values():
    fastapi = pytest.importorskip("fastapi", reason="fastapi is not installed")
    app = fastapi.FastAPI()

    @app.get("/annotated")
    def annotated() -> TemplateInfo:
        return INFO

    @app.get("/bare")
    def bare():
        return INFO

    @app.get("/list")
    def many() -> list[BuildLogEvent | TemplateBuildInfo | UserStep]:
        return [EVENT, BUILD, STEPS[3]]

    expected = json.loads(json.dumps(INFO_DICT, default=datetime.isoformat))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        for path in ("/annotated", "/bare"):
            answer = (await client.get(path)).json()
            assert datetime.fromisoformat(answer["created_at"]) == NOW
            assert {**answer, "created_at": expected["created_at"]} == expected
        events = (await client.get("/list")).json()
        assert [next(iter(event)) for event in events] == ["stream", "id", "user"]
        paths = (await client.get("/openapi.json")).json()["paths"]
        assert list(paths) == ["/annotated", "/bare", "/list"]
