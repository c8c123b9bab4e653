"""What `check` tells: everything at once, and nothing that the server sees otherwise."""

import json

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from superserve import TemplateSpec
from superserve.specs import SpecProblem


def spec(**fields):
    return TemplateSpec(**{"name": "web", "from_": "python:3.11", **fields})


def found(severity, **fields):
    """Return the parts of a spec that problems of a severity are about."""
    return [problem.where for problem in spec(**fields).check() if problem.severity == severity]


@pytest.mark.parametrize(
    ("where", "fields"),
    [
        ("name", {"name": "Web"}),
        ("name", {"name": ""}),
        ("name", {"name": "a" * 129}),
        ("name", {"name": 5}),
        ("name", {"name": "superserve/web"}),
        ("from", {"from_": " "}),
        ("from", {"from_": None}),
        ("from", {"from_": "docker.io/library/Alpine:3"}),
        ("from", {"from_": "gcr.io/distroless/python3"}),
        ("vcpu", {"vcpu": "2"}),
        ("memory_mib", {"memory_mib": True}),
        ("disk_mib", {"disk_mib": 4096.0}),
        ("start_cmd", {"start_cmd": ["serve"]}),
        ("ready_cmd", {"ready_cmd": "a\0b"}),
        ("steps[0]", {"steps": ["make"]}),
        ("steps[0]", {"steps": [{}]}),
        ("steps[0]", {"steps": [{"rum": "make"}]}),
        ("steps[0]", {"steps": [{"run": "make", "workdir": "/app"}]}),
        ("steps[0].run", {"steps": [{"run": ["make"]}]}),
        ("steps[1].env.key", {"steps": [{"run": "make"}, {"env": {"value": "1"}}]}),
        ("steps[0].env", {"steps": [{"env": "A=1"}]}),
        ("steps[0].env.value", {"steps": [{"env": {"key": "A", "value": 1}}]}),
        ("steps[0].user.name", {"steps": [{"user": {"name": "App"}}]}),
        ("steps[0].user.sudo", {"steps": [{"user": {"name": "app", "sudo": "yes"}}]}),
    ],
)
def test_what_the_service_refuses_is_an_error(where, fields):
    assert found("error", **fields) == [where]


@pytest.mark.parametrize(
    ("where", "fields"),
    [
        ("name", {"name": "7a3f2b8c00004000800000000000000f"}),
        ("from", {"from_": "python: 3.11"}),
        ("from", {"from_": "Python:3.11"}),
        ("vcpu", {"vcpu": 9}),
        ("memory_mib", {"memory_mib": 4096}),
        ("steps[0].run", {"steps": [{"run": " "}]}),
        ("steps[0].run", {"steps": [{"run": "apt-get update && apt-get install curl"}]}),
        ("steps[0].run", {"steps": [{"run": "git clone https://me:hunter2@example.com/x"}]}),
        ("steps[0].workdir", {"steps": [{"workdir": ""}]}),
        ("steps[0].env.key", {"steps": [{"env": {"key": "PATH", "value": "/x"}}]}),
        ("steps[0].env.key", {"steps": [{"env": {"key": "A B", "value": "/x"}}]}),
        ("steps[0].env.value", {"steps": [{"env": {"key": "GITHUB_TOKEN", "value": "hunter2"}}]}),
        ("steps[0].env.value", {"steps": [{"env": {"key": "X", "value": "AKIA" + "A" * 16}}]}),
        ("steps[1]", {"steps": [{"run": "a"}, {"run": "b" * 131_072}]}),
    ],
)
def test_what_is_taken_and_fails_or_surprises_later_is_a_warning(where, fields):
    assert found("warning", **fields) == [where]
    assert found("error", **fields) == []


@pytest.mark.parametrize(
    "command",
    [
        "apt-get install -y curl",
        "apt-get -qy install curl",
        "apt-get install --yes curl",
        "apt install curl --assume-yes",
        "echo apt; installed",
        "curl https://example.com/a@b",
    ],
)
def test_what_is_right_is_not_warned_of(command):
    assert spec(steps=[{"run": command}]).check() == []


def test_all_problems_are_told_at_once_in_the_order_of_the_spec():
    problems = spec(
        name="W",
        from_="alpine",
        vcpu="2",
        steps=[{"rum": "a"}, 5, {"env": {"key": "HOME", "value": "x"}}],
        ready_cmd=1,
    ).check()
    assert [problem.where for problem in problems] == [
        "name", "from", "vcpu", "steps[0]", "steps[1]", "steps[2].env.key", "ready_cmd",
    ]  # fmt: skip
    assert all(problem.place.line for problem in problems)


def test_a_slip_in_a_key_is_answered_with_the_key_that_was_meant():
    [problem] = spec(steps=[{"rum": "a"}]).check()
    assert problem.message == "unknown key 'rum'; did you mean 'run'?"


@pytest.mark.parametrize("step", [{"user": {"nme": "x"}}, {"env": {"kye": "A", "value": "1"}}])
def test_a_slip_in_an_inner_key_is_one_mistake(step):
    [problem] = TemplateSpec(name="web", from_="a", steps=[step]).check()
    assert "did you mean" in problem.message


def test_secrets_are_never_shown():
    problems = spec(
        steps=[
            {"env": {"key": "TOKEN=hunter2", "value": "hunter2"}},
            {"env": {"key": "API_KEY", "value": "hunter2"}},
            {"env": "TOKEN=hunter2"},
        ]
    ).check()
    assert len(problems) >= 3
    assert not [problem for problem in problems if "hunter2" in str(problem)]


def test_a_problem_reads_as_compilers_write_theirs():
    assert str(SpecProblem("is wrong", where="from")) == "error: from: is wrong"


def mostly(good, other):
    """Return a strategy for what is right nine times out of ten: else hardly any spec as a whole would be."""
    return st.integers(0, 9).flatmap(lambda number: good if number else other)


texts = st.sampled_from(["", " ", "a", "\x1c", "\u2003", "a\0", "=", "\ud800", "é", "x" * 40])
others = st.sampled_from([None, 0, 1.5, True, [], {}])
any_text = texts | others
any_env = st.fixed_dictionaries(
    {}, optional={"key": any_text, "value": any_text, "Key": texts, "more": texts}
)
good_env = st.fixed_dictionaries(
    {"key": mostly(st.sampled_from(["A", "a", "_B1", "PATH", "X_TOKEN"]), any_text)},
    optional={"value": mostly(st.sampled_from(["", "1", "a b", "é"]), any_text)},
)
user_names = st.sampled_from(["app", "_a-1", "A", "-a", "root", "1000", "a" * 33])
any_user = st.fixed_dictionaries({}, optional={"name": any_text | user_names, "sudo": others})
good_user = st.fixed_dictionaries(
    {"name": mostly(user_names, any_text)}, optional={"sudo": mostly(st.booleans(), others)}
)
any_step = st.fixed_dictionaries(
    {},
    optional={
        "run": any_text, "workdir": any_text, "env": any_env | any_text, "user": any_user | any_text, "RUN": texts,
        "rum": texts,
    },
)  # fmt: skip
commands = st.sampled_from(["make", "echo é", "a\nb", "apt-get install -y x", "x" * 70_000, "x" * 131_000])
good_step = st.one_of(
    st.fixed_dictionaries({"run": mostly(commands, any_text)}),
    st.fixed_dictionaries({"workdir": mostly(st.sampled_from(["/app", "app", "/a b", "~"]), any_text)}),
    st.fixed_dictionaries({"env": good_env}),
    st.fixed_dictionaries({"user": good_user}),
)
sizes = st.sampled_from([None, 0, -1, 1, 2, 3, 4, 5, 256, 1024, 4096, 8192, 9000, 2**31, 1.0, "1", True])
names = st.sampled_from(["web", "a.b_c/d-1", "a" * 128, "0web"])
odd_names = st.sampled_from(["Web", "a" * 129, "superserve/x", "-a", "0" * 32]) | any_text
images = st.sampled_from(["python:3.11", "debian", "ghcr.io/a/b@sha256:0", "a/b:c"])
odd_images = st.sampled_from(["x/ALPINE", "distroless", "A", "a b"]) | any_text
specs = st.fixed_dictionaries(
    {"name": mostly(names, odd_names), "from_": mostly(images, odd_images)},
    optional={
        "vcpu": mostly(st.integers(1, 4), sizes),
        "memory_mib": mostly(st.sampled_from([256, 512, 1024, 2048]), sizes),
        "disk_mib": mostly(st.sampled_from([1024, 4096, 8192]), sizes),
        "start_cmd": mostly(commands, any_text),
        "ready_cmd": mostly(commands, any_text),
        "steps": st.lists(mostly(good_step, any_step | any_text), max_size=3),
    },
)  # fmt: skip


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(specs)
@example({"name": "web", "from_": "\x1c"})
@example({"name": "web", "from_": "python", "steps": [{"run": "a\0"}]})
@example({"name": "web", "from_": "python", "steps": [{"RUN": "a"}]})
@example({"name": "web", "from_": "python", "vcpu": 2**31})
def test_the_local_server_takes_what_has_no_errors_and_refuses_what_has_no_problems(server, raw_http, fields):
    given_spec = TemplateSpec(**fields)
    body = {key: value for key, value in fields.items() if key in {"name", "vcpu", "memory_mib", "disk_mib"}}
    body["build_spec"] = {
        "from": fields["from_"],
        **{key: fields[key] for key in ("steps", "start_cmd", "ready_cmd") if key in fields},
    }
    # Where the key has been seen, the name is taken.
    server.reset()
    answer = raw_http.post(
        f"{server.base_url}/templates", headers={"X-API-Key": server.api_key}, content=json.dumps(body)
    )
    problems = given_spec.check()
    if answer.status_code == 202:
        assert [problem for problem in problems if problem.severity == "error"] == []
    else:
        assert problems, answer.text


@pytest.fixture(scope="module")
def raw_http():
    with httpx.Client(trust_env=False) as client:
        yield client
