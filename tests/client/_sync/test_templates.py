# Written by scripts/unasync.py from tests/client/_async/test_templates.py. Do not edit: change that, then run `nox -s generate`.
"""Templates through their public methods: what is sent, what comes back, and what is borne with."""

import threading
from datetime import UTC, datetime

import pytest

from superserve import (
    ConflictError,
    EnvStep,
    EnvStepValue,
    NotFoundError,
    RunStep,
    SandboxError,
    ServerError,
    Template,
    TemplateBuildInfo,
    TemplateBuildStatus,
    TemplateInfo,
    TemplateStatus,
    UserStep,
    UserStepValue,
    ValidationError,
    WorkdirStep,
)
from superserve.local import LocalServer
from tests.wire import envelope, reply

pytestmark = pytest.mark.usefixtures("no_backoff")

ID = "7a3f2b8c-0000-4000-8000-000000000001"
TEAM_ID = "7a3f2b8c-0000-4000-8000-000000000002"
BUILD_ID = "7a3f2b8c-0000-4000-8000-000000000003"
NOBODYS_ID = "7a3f2b8c-0000-4000-8000-00000000000f"
CREATED = {
    "id": ID,
    "team_id": TEAM_ID,
    "name": "my-env",
    "status": "building",
    "vcpu": 1,
    "memory_mib": 1024,
    "disk_mib": 4096,
    "created_at": "2026-05-01T12:00:00Z",
    "build_id": BUILD_ID,
}
TEMPLATE = {name: value for name, value in CREATED.items() if name != "build_id"}
BUILD = {
    "id": BUILD_ID,
    "template_id": ID,
    "status": "building",
    "build_spec_hash": "ab12",
    "created_at": "2026-05-01T12:00:00Z",
}
NOT_FOUND = reply(404, json=envelope("not_found", "Not found."))


@pytest.fixture
def template(server, client):
    """A template whose build does not end by itself."""
    server.builds.hold()
    return Template.create(name="my-env", from_="python:3.11", client=client)


@pytest.fixture
def handle(serve, connect):
    """A template of a server that answers everything after that as scripted."""

    def handle(*answers):
        wire = serve(reply(json=TEMPLATE), *answers)
        template = Template.connect(ID, client=connect(wire))
        wire.requests.clear()
        return template, wire

    return handle


def test_create_registers_a_template_and_queues_its_first_build(server, client):
    server.builds.hold()
    template = Template.create(name="my-env", from_="python:3.11", client=client)
    assert template.name == "my-env"
    assert [build.id for build in template.list_builds()] == [template.latest_build_id]
    assert Template.list(client=client) == [template.get_info()]


def test_create_sends_only_what_was_given(serve, connect, key):
    wire = serve(reply(202, json=CREATED))
    Template.create(name="my-env", from_="python:3.11", client=connect(wire))
    (request,) = wire.requests
    assert (request.method, request.target) == ("POST", "/templates")
    assert request.json == {"name": "my-env", "build_spec": {"from": "python:3.11"}}
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-api-key"] == key
    assert request.headers["user-agent"].startswith("superserve-python/")


def test_create_sends_all_that_was_given(serve, connect):
    wire = serve(reply(202, json=CREATED))
    Template.create(
        name="my-env",
        from_="python:3.11",
        vcpu=2,
        memory_mib=2048,
        disk_mib=8192,
        steps=[],
        start_cmd="python server.py",
        ready_cmd="curl -f http://localhost:8080/health",
        client=connect(wire),
    )
    assert wire.requests[0].json == {
        "name": "my-env",
        "vcpu": 2,
        "memory_mib": 2048,
        "disk_mib": 8192,
        "build_spec": {
            "from": "python:3.11",
            "steps": [],
            "start_cmd": "python server.py",
            "ready_cmd": "curl -f http://localhost:8080/health",
        },
    }


TYPED = [
    RunStep("pip install numpy"),
    EnvStep(EnvStepValue("DEBUG", "1")),
    WorkdirStep("/app"),
    UserStep(UserStepValue("app", sudo=True)),
    UserStep(UserStepValue("web")),
]
PLAIN = [
    {"run": "pip install numpy"},
    {"env": {"key": "DEBUG", "value": "1"}},
    {"workdir": "/app"},
    {"user": {"name": "app", "sudo": True}},
    {"user": {"name": "web", "sudo": False}},
]


@pytest.mark.parametrize("steps", [TYPED, PLAIN, TYPED[:2] + PLAIN[2:], PLAIN[:3] + TYPED[3:], tuple(TYPED)])
def test_plain_and_typed_steps_are_sent_alike_and_may_be_mixed(serve, connect, steps):
    wire = serve(reply(202, json=CREATED))
    Template.create(name="my-env", from_="python:3.11", steps=steps, client=connect(wire))
    assert wire.requests[0].json["build_spec"]["steps"] == [*PLAIN[:4], {"user": {"name": "web"}}]


def test_equal_steps_have_equal_hashes_however_they_were_given(client):
    hashes = set()
    for number, steps in enumerate((TYPED, PLAIN)):
        template = Template.create(name=f"env-{number}", from_="debian:12", steps=steps, client=client)
        hashes.add((template.list_builds())[0].build_spec_hash)
    assert len(hashes) == 1


def test_a_new_template_tells_what_the_server_said(serve, connect):
    wire = serve(reply(202, json=CREATED))
    template = Template.create(name="my-env", from_="python:3.11", client=connect(wire))
    assert {name: getattr(template, name) for name in PROPERTIES} == {
        "id": ID,
        "name": "my-env",
        "team_id": TEAM_ID,
        "status": TemplateStatus.BUILDING,
        "vcpu": 1,
        "memory_mib": 1024,
        "disk_mib": 4096,
        "size_bytes": None,
        "error_message": None,
        "created_at": datetime(2026, 5, 1, 12, tzinfo=UTC),
        "built_at": None,
        "latest_build_id": BUILD_ID,
    }


PROPERTIES = [
    "id",
    "name",
    "team_id",
    "status",
    "vcpu",
    "memory_mib",
    "disk_mib",
    "size_bytes",
    "error_message",
    "created_at",
    "built_at",
    "latest_build_id",
]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (TEMPLATE, "field 'build_id' is missing"),
        (CREATED | {"build_id": None}, "field 'build_id': expected a string, got null"),
        (CREATED | {"build_id": ""}, "field 'build_id' is empty"),
        (CREATED | {"build_id": 5}, "field 'build_id': expected a string, got a number"),
    ],
)
def test_a_create_without_a_build_is_an_error_that_says_that_the_template_may_exist(
    serve, connect, answer, problem
):
    with pytest.raises(SandboxError) as caught:
        Template.create(name="my-env", from_="b", client=connect(serve(reply(202, json=answer))))
    assert str(caught.value) == (
        f"could not create template 'my-env': the server's answer cannot be understood: {problem} [202]; "
        "the template may have been created; look for it with Template.list(name_prefix='my-env')"
    )


def test_a_name_that_is_taken_is_a_conflict(client, template):
    with pytest.raises(ConflictError, match="could not create template 'my-env': "):
        Template.create(name="my-env", from_="python:3.11", client=client)


def test_a_bound_that_only_the_server_knows_is_the_servers_to_refuse(client):
    with pytest.raises(ValidationError) as caught:
        Template.create(name="my-env", from_="python:3.11", vcpu=64, client=client)
    assert caught.value.status_code == 400
    assert "vcpu" in str(caught.value)


def test_connect_loads_a_template_by_its_id(client, template):
    other = Template.connect(template.id, client=client)
    assert other is not template
    assert [getattr(other, name) for name in PROPERTIES if name != "latest_build_id"] == [
        getattr(template, name) for name in PROPERTIES if name != "latest_build_id"
    ]


def test_connect_knows_everything_that_a_built_template_tells(server, client):
    built = server.templates.add("built", status="ready")
    failed = server.templates.add("failed", status="failed", error_message="boot_failed: no luck")
    template = Template.connect(built, client=client)
    assert template.status is TemplateStatus.READY
    assert template.size_bytes == 4096 * 2**20
    assert template.built_at.tzinfo is not None
    assert template.error_message is None
    template = Template.connect(failed, client=client)
    assert (template.status, template.error_message) == ("failed", "boot_failed: no luck")
    assert template.built_at is None


def test_a_template_that_is_not_there_is_not_found(client, template):
    template.cancel_build(template.latest_build_id)
    template.delete()
    for call in (
        lambda: Template.connect(NOBODYS_ID, client=client),
        template.get_info,
        template.rebuild,
        lambda: template.get_build(NOBODYS_ID),
    ):
        with pytest.raises(NotFoundError):
            call()


def test_a_name_where_an_id_is_due_comes_back_with_the_way_to_its_id(client, template):
    handle = Template.connect(template.id, client=client)
    for call in (
        lambda: Template.connect("my-env", client=client),
        lambda: Template.delete_by_id("my-env", client=client),
    ):
        with pytest.raises(
            ValidationError, match=r"; Template\.list\(name_prefix=\.\.\.\) finds the id of a name"
        ):
            call()
    for call in (lambda: handle.get_build("newest"), lambda: handle.cancel_build("newest")):
        with pytest.raises(
            ValidationError, match=r"; list_builds\(\) returns the builds of a template with their ids"
        ):
            call()


def test_list_has_the_teams_templates_and_the_systems_newest_first():
    with LocalServer(limits=False) as server:
        for name in ("one", "two"):
            server.templates.add(name)
        infos = Template.list(api_key=server.api_key, base_url=server.base_url)
    names = [info.name for info in infos]
    assert set(names[:2]) == {"one", "two"}
    assert names[2].startswith("superserve/")
    assert [info.created_at for info in infos] == sorted((info.created_at for info in infos), reverse=True)
    assert all(type(info) is TemplateInfo for info in infos)


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("a_", ["a_b"]),
        ("a%", ["a%b"]),
        ("a", ["a_b", "axb", "a%b"]),
        ("A", []),
        ("a_b", ["a_b"]),
        ("a_bc", []),
        ("", ["a_b", "axb", "a%b", "ba_", "é"]),
        (None, ["a_b", "axb", "a%b", "ba_", "é"]),
        ("é", ["é"]),
    ],
)
def test_a_prefix_means_exactly_what_it_says(server, client, prefix, names):
    for name in ("a_b", "axb", "a%b", "ba_", "é"):
        server.templates.add(name)
    infos = Template.list(name_prefix=prefix, client=client)
    assert sorted(info.name for info in infos) == sorted(names)


def test_a_prefix_is_sent_only_if_it_says_something(serve, connect):
    wire = serve(reply(json=[]))
    for prefix in (None, "", "a b&c=%_/é"):
        Template.list(name_prefix=prefix, client=connect(wire))
    assert [request.query for request in wire.requests] == [{}, {}, {"name_prefix": ["a b&c=%_/é"]}]


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_property_cannot_be_set(handle, name):
    template, _ = handle(NOT_FOUND)
    before = getattr(template, name)
    with pytest.raises(AttributeError):
        setattr(template, name, "other")
    with pytest.raises(AttributeError):
        delattr(template, name)
    assert getattr(template, name) == before


def test_a_template_takes_no_other_attributes(template):
    with pytest.raises(AttributeError):
        template.nmae = "a slip"


def test_get_info_is_fresh_and_changes_nothing(server, template):
    server.templates.set(template.id, status="failed", error_message="boot_failed: no luck")
    info = template.get_info()
    assert (info.status, info.error_message) == ("failed", "boot_failed: no luck")
    assert (template.status, template.error_message) == ("building", None)


def test_repr_is_short_and_tells_which_template_and_no_status_that_may_be_old(template):
    assert repr(template) == f"<Template 'my-env' {template.id}>"


def test_deleting_what_is_gone_is_fine(client, template):
    template.cancel_build(template.latest_build_id)
    template.delete()
    template.delete()
    Template.delete_by_id(template.id, client=client)
    Template.delete_by_id(NOBODYS_ID, client=client)
    assert Template.list(client=client) == []


def test_a_template_in_use_is_not_deleted(server, client):
    used = server.templates.add("used", sandboxes=1)
    template = Template.connect(used, client=client)
    for call in (template.delete, lambda: Template.delete_by_id(used, client=client)):
        with pytest.raises(ConflictError, match=f"could not delete template {used}: "):
            call()


def test_cancelling_what_has_ended_or_is_gone_is_fine(template):
    build_id = template.latest_build_id
    template.cancel_build(build_id)
    assert (template.get_build(build_id)).status is TemplateBuildStatus.CANCELLED
    template.cancel_build(build_id)
    template.cancel_build(NOBODYS_ID)


@pytest.mark.parametrize(
    ("answer", "is_the_apis"),
    [
        (NOT_FOUND, True),
        (reply(404), False),
        (reply(404, "<html>Not here</html>", content_type="text/html"), False),
        (reply(404, "404 page not found", content_type="text/plain"), False),
        (reply(404, json={"detail": "Not Found"}), False),
        (reply(404, json=[]), False),
    ],
    ids=["the API's", "empty", "a page", "plain text", "other JSON", "a list"],
)
@pytest.mark.parametrize("what", ["delete", "delete_by_id", "cancel_build"])
def test_any_404_means_that_it_is_gone_and_one_that_is_not_the_apis_is_warned_of(
    handle, caplog, what, answer, is_the_apis
):
    template, wire = handle(answer)
    if what == "delete":
        assert template.delete() is None
    elif what == "delete_by_id":
        assert Template.delete_by_id(ID, client=template._client) is None
    else:
        assert template.cancel_build(BUILD_ID) is None
    assert len(wire.requests) == 1
    warnings = [record.getMessage() for record in caplog.records if record.name == "superserve"]
    assert len(warnings) == (0 if is_the_apis else 1)
    for warning in warnings:
        assert warning.endswith(f"; this counts as success. Is {wire.url} the address of the API?")


def test_only_404_means_that_something_is_gone(handle):
    for status, kind in (
        (400, ValidationError),
        (409, ConflictError),
        (410, SandboxError),
        (500, ServerError),
    ):
        template, _ = handle(reply(status))
        for call in (
            template.delete,
            lambda template=template: template.cancel_build(BUILD_ID),
            lambda template=template: Template.delete_by_id(ID, client=template._client),
        ):
            with pytest.raises(kind) as caught:
                call()
            assert caught.value.status_code == status


def test_what_takes_something_away_is_content_with_any_success(handle):
    for answer in (reply(204), reply(200, "<html>"), reply(202, json={"status": "deleting"})):
        template, wire = handle(answer)
        assert template.delete() is None
        assert template.cancel_build(BUILD_ID) is None
        assert [(request.method, request.target) for request in wire.requests] == [
            ("DELETE", f"/templates/{ID}"),
            ("DELETE", f"/templates/{ID}/builds/{BUILD_ID}"),
        ]


def test_a_delete_may_take_longer_than_other_calls(serve, connect):
    released = threading.Event()

    def late(peer, _request):
        peer.wait(released)
        peer.send(reply(204))

    wire = serve(late)
    timer = threading.Timer(0.5, released.set)
    timer.start()
    Template.delete_by_id(ID, client=connect(wire, timeout_s=0.1))
    timer.join()
    assert len(wire.requests) == 1


@pytest.mark.parametrize("status", [200, 201])
def test_rebuild_returns_the_new_build_as_the_one_that_goes_on(handle, status):
    template, wire = handle(reply(status, json=BUILD))
    build = template.rebuild()
    assert type(build) is TemplateBuildInfo
    assert (build.id, build.template_id, build.status) == (BUILD_ID, ID, "building")
    (request,) = wire.requests
    assert (request.method, request.target, request.body) == ("POST", f"/templates/{ID}/builds", b"")


def test_rebuild_while_a_build_goes_on_returns_that_build(server, template):
    assert (template.rebuild()).id == template.latest_build_id
    server.builds.set(template.latest_build_id, "failed")
    build = template.rebuild()
    assert build.id != template.latest_build_id
    assert [listed.id for listed in template.list_builds()] == [build.id, template.latest_build_id]


def test_list_builds_is_cut_to_its_limit_although_the_server_does_not(handle):
    builds = [BUILD | {"id": f"b{number}"} for number in range(3)]
    template, wire = handle(reply(json=builds))
    assert [build.id for build in template.list_builds(limit=2)] == ["b0", "b1"]
    assert [build.id for build in template.list_builds(limit=5)] == ["b0", "b1", "b2"]
    assert [build.id for build in template.list_builds()] == ["b0", "b1", "b2"]
    assert [request.query for request in wire.requests] == [{"limit": ["2"]}, {"limit": ["5"]}, {}]


def test_get_build_tells_all_of_a_build(server, template):
    build_id = server.builds.add(
        template.id, status="failed", error_message="step_failed: step 1/1 failed after 1s"
    )
    build = template.get_build(build_id)
    assert type(build) is TemplateBuildInfo
    assert (build.id, build.template_id) == (build_id, template.id)
    assert build.status is TemplateBuildStatus.FAILED
    assert build.error_message == "step_failed: step 1/1 failed after 1s"
    assert build.created_at <= build.started_at <= build.finalized_at
    assert build in template.list_builds()


def test_a_build_that_is_not_there_is_not_found(template):
    with pytest.raises(NotFoundError, match=f"could not get build {NOBODYS_ID} of template {template.id}: "):
        template.get_build(NOBODYS_ID)
