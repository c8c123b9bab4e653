# Written by scripts/unasync.py from tests/client/_async/test_arguments.py. Do not edit: change that, then run `nox -s generate`.
"""A wrong argument is refused before any request is made; the error names it, what was wrong, and what is allowed."""

import re
from collections import UserDict
from enum import IntEnum

import pytest

from superserve import (
    AuthenticationError,
    EnvStep,
    EnvStepValue,
    RunStep,
    Superserve,
    Template,
    UserStep,
    UserStepValue,
    ValidationError,
    WorkdirStep,
)
from tests.wire import Wire, reply

ID = "7a3f2b8c-0000-4000-8000-000000000001"
TEMPLATE = {
    "id": ID,
    "team_id": "7a3f2b8c-0000-4000-8000-000000000002",
    "name": "my-env",
    "status": "ready",
    "vcpu": 1,
    "memory_mib": 1024,
    "disk_mib": 4096,
    "created_at": "2026-05-01T12:00:00Z",
    "latest_build_id": "7a3f2b8c-0000-4000-8000-000000000003",
}
NUL = "a\0b"
HALF = "a\ud800b"
SECRET = "hunter2"


class Broken:
    def __repr__(self):
        raise RuntimeError("no repr")


class Word(str):
    __slots__ = ()

    def __repr__(self):
        raise RuntimeError("no repr")


@pytest.fixture(scope="module")
def _wire():
    with Wire(reply(json=TEMPLATE)) as wire:
        yield wire


@pytest.fixture(autouse=True)
def wire(_wire):
    """A server that no request reaches."""
    _wire.requests.clear()
    yield _wire
    assert _wire.requests == []


@pytest.fixture
def template(wire, connect):
    template = Template.connect(ID, client=connect(wire))
    wire.requests.clear()
    return template


def refused(call):
    """Make a call that must be refused; return what the error says."""
    with pytest.raises(ValidationError) as caught:
        call()
    error = caught.value
    # Nothing answered, so there is nothing of an answer in the error.
    assert (error.status_code, error.code, error.headers, error.request_id) == (None, None, {}, None)
    assert SECRET not in str(error)
    return str(error)


ENV = 'expected a dict such as {"key": "DEBUG", "value": "1"}'
USER = 'expected a dict such as {"name": "app", "sudo": True}'
ONE_OF = "expected exactly one of run, env, workdir, user"
A_STEP = "expected a RunStep, EnvStep, WorkdirStep, UserStep or a dict such as {'run': 'make'}"
A_USER = "expected at most 31 of a-z, 0-9, _ and - that start with a letter or _"
WRONG_STEPS = [
    ({}, f"steps[1]: {ONE_OF}, got none"),
    ({"run": "a", "workdir": "/b"}, f"steps[1]: {ONE_OF}, got run and workdir"),
    ({"run": "a", "env": None}, f"steps[1]: {ONE_OF}, got run and env"),
    ({"copy": "a"}, f"steps[1]: unknown key 'copy'; {ONE_OF}"),
    ({"run": "a", "Run": "b"}, f"steps[1]: unknown key 'Run'; {ONE_OF}"),
    ({1: "a"}, f"steps[1]: unknown key 1; {ONE_OF}"),
    ({Word("x"): "a"}, f"steps[1]: unknown key Word; {ONE_OF}"),
    ({"k" * 200: "a"}, "steps[1]: unknown key 'kkk"),
    ("pip install x", f"steps[1]: {A_STEP}, got str"),
    (None, f"steps[1]: {A_STEP}, got None"),
    (("env", SECRET), f"steps[1]: {A_STEP}, got tuple"),
    (EnvStepValue("A", SECRET), f"steps[1]: {A_STEP}, got EnvStepValue"),
    (RunStep, f"steps[1]: {A_STEP}, got type"),
    ({"run": None}, "steps[1].run: expected a string, got None"),
    ({"run": ["pip", SECRET]}, "steps[1].run: expected a string, got list"),
    ({"run": ""}, "steps[1].run: must not be empty, got ''"),
    ({"run": " \n"}, "steps[1].run: must not be empty, got ' \\n'"),
    ({"run": NUL}, "steps[1].run: must not contain a NUL character"),
    ({"run": HALF}, "steps[1].run: must not contain half of a surrogate pair"),
    (RunStep(5), "steps[1].run: expected a string, got int"),
    ({"workdir": ""}, "steps[1].workdir: must not be empty, got ''"),
    (WorkdirStep(b"/app"), "steps[1].workdir: expected a string, got bytes"),
    ({"env": f"TOKEN={SECRET}"}, f"steps[1].env: {ENV}, got str"),
    ({"env": {"TOKEN": SECRET}}, f"steps[1].env: unknown key 'TOKEN'; {ENV}"),
    ({"env": {"key": "A"}}, f"steps[1].env: 'value' is missing; {ENV}"),
    ({"env": {"value": SECRET}}, f"steps[1].env: 'key' is missing; {ENV}"),
    ({"env": {"key": "", "value": SECRET}}, "steps[1].env.key: must not be empty, got ''"),
    (
        {"env": {"key": f"A={SECRET}", "value": ""}},
        "steps[1].env.key: must not contain '=' or spaces; put the value into steps[1].env.value",
    ),
    ({"env": {"key": "A B", "value": ""}}, "steps[1].env.key: must not contain '=' or spaces"),
    ({"env": {"key": "A", "value": 5}}, "steps[1].env.value: expected a string, got int"),
    ({"env": {"key": "A", "value": SECRET + "\0"}}, "steps[1].env.value: must not contain a NUL character"),
    (EnvStep({"key": "A", "value": None}), "steps[1].env.value: expected a string, got None"),
    (EnvStep(EnvStepValue(None, SECRET)), "steps[1].env.key: expected a string, got None"),
    ({"user": "app"}, f"steps[1].user: {USER}, got str"),
    ({"user": {"name": "app", "uid": 5}}, f"steps[1].user: unknown key 'uid'; {USER}"),
    ({"user": {"sudo": True}}, f"steps[1].user: 'name' is missing; {USER}"),
    ({"user": {"name": "app", "sudo": "yes"}}, "steps[1].user.sudo: expected True or False, got str"),
    ({"user": {"name": "app", "sudo": None}}, "steps[1].user.sudo: expected True or False, got None"),
    (UserStep(UserStepValue("app", 1)), "steps[1].user.sudo: expected True or False, got int"),
    *(
        (
            {"user": {"name": name}},
            f"steps[1].user.name: {A_USER}, got {name!r}",
        )
        for name in ("App", "1app", "-app", "a" * 32, "app\n", "a.b", "é")
    ),
]


@pytest.mark.parametrize(("step", "message"), WRONG_STEPS)
def test_a_wrong_step_is_refused_with_its_index(wire, connect, step, message):
    text = refused(
        lambda: Template.create(
            name="my-env", from_="python:3.11", steps=[{"run": "make"}, step], client=connect(wire)
        )
    )
    assert text.startswith(message)


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        ({"run": SECRET}, "dict"),
        ("make", "str"),
        (b"make", "bytes"),
        (5, "int"),
        (iter([{"run": "make"}]), "list_iterator"),
        (RunStep("make"), "RunStep"),
    ],
)
def test_steps_that_are_no_list_are_refused(wire, connect, steps, kind):
    call = lambda: Template.create(name="a", from_="b", steps=steps, client=connect(wire))  # noqa: E731
    assert refused(call) == f"steps: expected a list of steps, got {kind}"


A_NAME = "name: expected 1 to 128 lower-case letters, digits and . _ / - that start and end with a letter or digit, got "
WRONG_OPTIONS = [
    *(
        ({"name": name}, f"{A_NAME}{shown}")
        for name, shown in [
            ("My-Env", "'My-Env'"),
            ("-env", "'-env'"),
            ("env.", "'env.'"),
            ("my env", "'my env'"),
            ("env\n", r"'env\n'"),
            ("é", "'é'"),
            ("a" * 129, f"'{'a' * 78}…"),
        ]
    ),
    ({"name": None}, "name: expected a string, got None"),
    ({"name": ""}, "name: must not be empty, got ''"),
    ({"from_": 3.11}, "from_: expected a string, got float"),
    ({"from_": " "}, "from_: must not be empty, got ' '"),
    ({"from_": " python:3.11"}, "from_: an image reference has no spaces, got ' python:3.11'"),
    ({"from_": "python 3.11"}, "from_: an image reference has no spaces, got 'python 3.11'"),
    ({"from_": NUL}, "from_: must not contain a NUL character"),
    ({"vcpu": "2"}, "vcpu: expected an integer, got str"),
    ({"vcpu": True}, "vcpu: expected an integer, got bool"),
    ({"vcpu": 2.0}, "vcpu: expected an integer, got float"),
    ({"vcpu": 0}, "vcpu: expected an integer from 1 to 2147483647, got 0"),
    ({"memory_mib": -1}, "memory_mib: expected an integer from 1 to 2147483647, got -1"),
    ({"memory_mib": Broken()}, "memory_mib: expected an integer, got Broken"),
    ({"disk_mib": 2**31}, "disk_mib: expected an integer from 1 to 2147483647, got 2147483648"),
    ({"disk_mib": 10**5000}, "disk_mib: expected an integer from 1 to 2147483647, got int"),
    ({"start_cmd": ""}, "start_cmd: must not be empty, got ''"),
    ({"start_cmd": ["sleep", "1"]}, "start_cmd: expected a string, got list"),
    ({"ready_cmd": NUL}, "ready_cmd: must not contain a NUL character"),
    ({"ready_cmd": HALF}, "ready_cmd: must not contain half of a surrogate pair"),
]


@pytest.mark.parametrize(("options", "message"), WRONG_OPTIONS)
def test_a_wrong_option_of_create_is_refused(wire, connect, options, message):
    given = {"name": "my-env", "from_": "python:3.11", **options}
    text = refused(lambda: Template.create(**given, client=connect(wire)))
    assert text == message


WRONG_IDS = [
    ("", "must not be empty, got ''"),
    (" ", "must not be empty, got ' '"),
    (None, "expected a string, got None"),
    (5, "expected a string, got int"),
    *(
        (value, f"expected an id such as '7a3f2b8c-1234-4c50-8888-8dd25736052a', got {value!r}; ")
        for value in (
            ".",
            "..",
            "../sandboxes/1",
            f"{ID}/builds",
            f"{ID}?x=1",
            f"{ID}#x",
            f" {ID}",
            f"{ID}\n",
        )
    ),
    (f"{ID}%2f..", "expected an id such as "),
    ("é", "expected an id such as "),
    ("x" * 129, "expected an id such as "),
    (NUL, "must not contain a NUL character"),
]


@pytest.mark.parametrize(("value", "message"), WRONG_IDS)
def test_what_cannot_be_an_id_is_refused_and_never_becomes_a_path(wire, connect, template, value, message):
    for call in (
        lambda: Template.connect(value, client=connect(wire)),
        lambda: Template.delete_by_id(value, client=connect(wire)),
    ):
        assert (refused(call)).startswith(f"template_id: {message}")
    for call in (lambda: template.get_build(value), lambda: template.cancel_build(value)):
        assert (refused(call)).startswith(f"build_id: {message}")


@pytest.mark.parametrize(("value", "message"), [case for case in WRONG_IDS if case[0] is not None])
def test_what_cannot_be_a_build_is_not_waited_for_and_has_no_log(template, value, message):
    for call in (
        lambda: template.wait_until_ready(build_id=value),
        lambda: template.stream_build_logs(on_event=print, build_id=value),
        lambda: read_log(template, value),
    ):
        assert (refused(call)).startswith(f"build_id: {message}")


def read_log(template, build_id):
    for _ in template.iter_build_logs(build_id=build_id):
        pass


def test_a_refused_id_comes_with_the_way_to_find_the_right_one(wire, connect, template):
    text = refused(lambda: Template.connect("my/env", client=connect(wire)))
    assert text.endswith("; Template.list(name_prefix=...) finds the id of a name")
    text = refused(lambda: template.get_build("1/2"))
    assert text.endswith("; list_builds() returns the builds of a template with their ids")


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        (5, "name_prefix: expected a string, got int"),
        (NUL, "name_prefix: must not contain a NUL character"),
        (HALF, "name_prefix: must not contain half of a surrogate pair"),
    ],
)
def test_a_wrong_prefix_is_refused(wire, connect, prefix, message):
    assert refused(lambda: Template.list(name_prefix=prefix, client=connect(wire))) == message


def test_what_is_too_long_for_a_url_is_refused(wire, connect):
    message = "could not list templates: not sent: URL component 'query' too long; pass a shorter value"
    assert refused(lambda: Template.list(name_prefix="x" * 70_000, client=connect(wire))) == message


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (0, "limit: expected an integer from 1 to 2147483647, got 0"),
        ("5", "limit: expected an integer, got str"),
        (True, "limit: expected an integer, got bool"),
    ],
)
def test_a_wrong_limit_is_refused(template, limit, message):
    assert refused(lambda: template.list_builds(limit=limit)) == message


WRONG_SECONDS = [
    ("2", "expected a number of seconds, got str"),
    (True, "expected a number of seconds, got bool"),
    (0, "expected seconds above 0 and up to 1000000000, got 0"),
    (-1.5, "expected seconds above 0 and up to 1000000000, got -1.5"),
    (float("nan"), "expected seconds above 0 and up to 1000000000, got nan"),
    (float("inf"), "expected seconds above 0 and up to 1000000000, got inf"),
    (1e10, "expected seconds above 0 and up to 1000000000, got 10000000000.0"),
    (10**400, "expected seconds above 0 and up to 1000000000, got 1000"),
]


@pytest.mark.parametrize(("value", "message"), WRONG_SECONDS)
def test_wrong_seconds_are_refused(template, value, message):
    text = refused(lambda: template.wait_until_ready(timeout_s=value))
    assert text.startswith(f"timeout_s: {message}")
    text = refused(lambda: template.wait_until_ready(poll_interval_s=value))
    assert text.startswith(f"poll_interval_s: {message}")
    with pytest.raises(ValidationError, match=f"^timeout_s: {re.escape(message)}"):
        Superserve(api_key="k", timeout_s=value)


def test_a_poll_interval_of_none_is_refused(template):
    text = refused(lambda: template.wait_until_ready(poll_interval_s=None))
    assert text == "poll_interval_s: expected a number of seconds, got None"


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_a_wrong_flag_is_refused(template, value):
    text = refused(lambda: template.wait_until_ready(cancel_on_interrupt=value))
    assert (
        text
        == f"cancel_on_interrupt: expected True or False, got {'None' if value is None else type(value).__name__}"
    )


def test_a_callback_that_cannot_be_called_is_refused(template):
    text = refused(lambda: template.wait_until_ready(on_log="print"))
    assert text == "on_log: expected a function of one argument, got str"
    text = refused(lambda: template.stream_build_logs(on_event=None))
    assert text == "on_event: expected a function of one argument, got None"


def yields(event):
    yield event


def test_a_callback_that_would_do_nothing_is_refused(template):
    text = refused(lambda: template.wait_until_ready(on_log=yields))
    assert text == "on_log: is a generator function, and calling it does nothing; pass a plain function"


def test_who_passes_an_object_where_its_id_is_due_is_told_so(wire, connect, template):
    text = refused(lambda: Template.connect(template, client=connect(wire)))
    assert text == f"template_id: expected a string, got {type(template).__name__}; pass its .id"


@pytest.mark.parametrize(
    ("attempts", "message"),
    [
        (0, "max_attempts: expected an integer from 1 to 2147483647, got 0"),
        (2.0, "max_attempts: expected an integer, got float"),
    ],
)
def test_wrong_attempts_are_refused(attempts, message):
    with pytest.raises(ValidationError, match=f"^{message}$"):
        Superserve(api_key="k", max_attempts=attempts)


def test_a_client_of_the_wrong_kind_is_refused():
    for client in ("client", object(), Superserve):
        text = refused(lambda client=client: Template.list(client=client))
        assert text == f"client: expected Superserve, got {type(client).__name__}"


def test_a_client_comes_with_its_own_key_and_address(wire, connect):
    for options in ({"api_key": SECRET}, {"base_url": "https://example.com"}):
        text = refused(lambda options=options: Template.list(client=connect(wire), **options))
        assert text == "client: has a key and addresses already; leave api_key, base_url and sandbox_url out"


def test_arguments_are_checked_before_the_key():
    text = refused(lambda: Template.connect(".."))
    assert text.startswith("template_id: ")
    with pytest.raises(AuthenticationError):
        Template.connect(ID)


class Size(IntEnum):
    LARGE = 4


class Int64:
    """An integer as NumPy has them."""

    def __index__(self):
        return 2048


def test_everything_that_means_the_same_is_taken(serve, connect):
    wire = serve(reply(500))
    with pytest.raises(Exception, match="could not create template"):
        Template.create(
            name="a",
            from_="b",
            vcpu=Size.LARGE,
            memory_mib=Int64(),
            steps=(
                UserDict(run="make"),
                EnvStep({"key": "A", "value": ""}),
                UserStep({"name": "app"}),
                {"user": UserStepValue("_app-1", sudo=True)},
                {"env": EnvStepValue("B", "ü €")},
            ),
            client=connect(wire),
        )
    assert wire.requests[0].json == {
        "name": "a",
        "build_spec": {
            "from": "b",
            "steps": [
                {"run": "make"},
                {"env": {"key": "A", "value": ""}},
                {"user": {"name": "app"}},
                {"user": {"name": "_app-1", "sudo": True}},
                {"env": {"key": "B", "value": "ü €"}},
            ],
        },
        "vcpu": 4,
        "memory_mib": 2048,
    }
