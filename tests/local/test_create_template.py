"""POST /templates: its JSON, its checks and their order, its answer."""

import hashlib
import json
import uuid

import pytest

BAD = (400, "bad_request")
SPEC = {"from": "python:3.11"}


def body(**changes):
    return {"name": "demo", "build_spec": SPEC, **changes}


def with_step(step):
    return body(build_spec={**SPEC, "steps": [step]})


def message(answer):
    return answer.json()["error"]["message"]


def test_the_answer_names_the_template_and_its_first_build(server, http):
    answer = http.post("/templates", json=body())

    created = answer.json()
    assert answer.status_code == 202
    assert list(created) == [
        "build_id", "created_at", "disk_mib", "id", "memory_mib", "name", "status", "team_id", "vcpu",
    ]  # fmt: skip
    assert created["name"] == "demo"
    assert created["status"] == "building"
    assert (created["vcpu"], created["memory_mib"], created["disk_mib"]) == (1, 1024, 4096)
    assert {str(uuid.UUID(created[key])) for key in ("id", "team_id", "build_id")} == {
        created[key] for key in ("id", "team_id", "build_id")
    }
    assert len(created["created_at"]) == len("2026-01-01T00:00:00Z")
    assert created["created_at"].endswith("Z")


def test_everything_the_documents_show_is_accepted(http):
    answer = http.post(
        "/templates",
        json={
            "name": "my-python-env",
            "vcpu": 2,
            "memory_mib": 2048,
            "disk_mib": 4096,
            "build_spec": {
                "from": "python:3.11",
                "steps": [
                    {"run": "pip install numpy pandas"},
                    {"env": {"key": "DEBUG", "value": "1"}},
                    {"workdir": "/app"},
                    {"user": {"name": "appuser", "sudo": True}},
                ],
                "start_cmd": "python server.py",
                "ready_cmd": "curl -f http://localhost:8080/health",
            },
        },
    )

    assert answer.status_code == 202


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "nonsense",
        "{",
        "[]",
        "1",
        '"demo"',
        '{"name": "demo",}',
        '{"name": NaN}',
        "{'name': 'demo'}",
        "\ufeff{}",
        "[" * 200_000,
    ],
)
def test_what_is_no_json_object_is_refused(http, error, text):
    assert error(http.post("/templates", content=text.encode())) == BAD


def test_a_top_level_null_is_an_empty_request(http, error):
    answer = http.post("/templates", content="null")

    assert error(answer) == BAD
    assert message(answer).startswith("name ")


@pytest.mark.parametrize("trailer", ["{}", "1", "x", ",", '"'])
def test_a_second_value_is_refused(http, error, trailer):
    assert error(http.post("/templates", content=json.dumps(body()) + trailer)) == BAD


@pytest.mark.parametrize("trailer", [" \n\t\r", "}", "]", "}}} anything"])
def test_white_space_and_stray_closing_brackets_after_the_value_go_unnoticed(http, trailer):
    assert http.post("/templates", content=json.dumps(body()) + trailer).status_code == 202


@pytest.mark.parametrize(
    "request_body",
    [
        body(extra=1),
        body(build_spec={**SPEC, "extra": 1}),
        with_step({"run": "true", "extra": None}),
        with_step({"env": {"key": "A", "value": "b", "extra": 1}}),
        with_step({"user": {"name": "app", "extra": 1}}),
        body(image="python:3.11"),
        body(build_spec={**SPEC, "from_": "x"}),
    ],
)
def test_unknown_keys_are_refused_at_every_depth(http, error, request_body):
    answer = http.post("/templates", json=request_body)

    assert error(answer) == BAD
    assert "unknown field" in message(answer)


@pytest.mark.parametrize(
    "request_body",
    [
        body(name=1),
        body(name=["demo"]),
        body(build_spec="python:3.11"),
        body(build_spec=[]),
        body(build_spec={"from": 311}),
        body(build_spec={**SPEC, "steps": {"run": "true"}}),
        body(build_spec={**SPEC, "steps": ["true"]}),
        body(build_spec={**SPEC, "start_cmd": ["python"]}),
        with_step({"run": ["true"]}),
        with_step({"workdir": 1}),
        with_step({"env": ["A", "b"]}),
        with_step({"env": {"key": "A", "value": 1}}),
        with_step({"user": "app"}),
        with_step({"user": {"name": "app", "sudo": "yes"}}),
    ],
)
def test_wrong_types_are_refused(http, error, request_body):
    assert error(http.post("/templates", json=request_body)) == BAD


@pytest.mark.parametrize("key", ["vcpu", "memory_mib", "disk_mib"])
@pytest.mark.parametrize(
    "number", ["1024.0", "1e3", '"1024"', "true", "2147483648", "-2147483649", "9" * 5000, "[]"]
)
def test_integers_have_one_form(http, error, key, number):
    text = f'{{"name": "demo", "{key}": {number}, "build_spec": {{"from": "python:3.11"}}}}'

    answer = http.post("/templates", content=text)

    assert error(answer) == BAD
    assert key in message(answer)


def test_null_means_not_given(http):
    nulls = dict.fromkeys(("vcpu", "memory_mib", "disk_mib"))
    spec = {**SPEC, "steps": None, "start_cmd": None, "ready_cmd": None}

    answer = http.post("/templates", json=body(**nulls, build_spec=spec))

    created = answer.json()
    assert (created["vcpu"], created["memory_mib"], created["disk_mib"]) == (1, 1024, 4096)


def test_keys_match_whatever_their_case_and_the_last_of_doubles_wins(http):
    text = '{"name": "first", "NAME": "second", "Vcpu": 2, "Build_Spec": {"FROM": "python:3.11", "\u017fteps": []}}'

    answer = http.post("/templates", content=text.encode())

    assert (answer.status_code, answer.json()["name"], answer.json()["vcpu"]) == (202, "second", 2)


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", ""])
def test_the_content_type_is_not_looked_at(http, content_type):
    answer = http.post("/templates", content=json.dumps(body()), headers={"Content-Type": content_type})

    assert answer.status_code == 202


def test_invalid_utf8_and_half_surrogate_pairs_are_replaced(http):
    text = (
        rb'{"name": "demo", "build_spec": {"from": "python:3.11", "start_cmd": "' + b"\xff" + rb' \ud800"}}'
    )

    assert http.post("/templates", content=text).status_code == 202


@pytest.mark.parametrize("name", [None, "", " ", "\u00a0\u2003\n", "x" * 129, "é" * 65])
def test_a_name_is_required_and_has_at_most_128_bytes(http, error, name):
    answer = http.post("/templates", json=body(name=name))

    assert error(answer) == BAD
    assert "128" in message(answer)


@pytest.mark.parametrize("name", ["Demo", "-demo", "demo-", "de mo", "dé", "demo!", ".", "a/"])
def test_names_have_a_pattern(http, error, name):
    assert error(http.post("/templates", json=body(name=name))) == BAD


@pytest.mark.parametrize("name", ["a", "0", "a.b_c/d-e", "x" * 128, "a//b", "superserve", "my/superserve/x"])
def test_names_within_the_pattern_are_accepted(http, name):
    assert http.post("/templates", json=body(name=name)).status_code == 202


def test_the_prefix_of_system_templates_is_reserved_for_the_system_team(server, http, error, open_client):
    system = http.get("/templates", params={"name_prefix": "superserve/base"}).json()[0]
    system_http = open_client(server, server.add_key(system["team_id"]))

    assert error(http.post("/templates", json=body(name="superserve/mine"))) == BAD
    assert system_http.post("/templates", json=body(name="superserve/mine")).status_code == 202


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("vcpu", 0),
        ("vcpu", 5),
        ("memory_mib", 255),
        ("memory_mib", 4097),
        ("disk_mib", 1023),
        ("disk_mib", 8193),
    ],
)
def test_sizes_have_bounds(http, error, key, value):
    answer = http.post("/templates", json=body(**{key: value}))

    assert error(answer) == BAD
    assert message(answer).startswith(f"{key} must be ")


def test_the_bounds_themselves_are_accepted(http):
    assert (
        http.post("/templates", json=body(name="small", vcpu=1, memory_mib=256, disk_mib=1024)).status_code
        == 202
    )
    assert (
        http.post("/templates", json=body(name="large", vcpu=4, memory_mib=4096, disk_mib=8192)).status_code
        == 202
    )


def test_a_build_spec_with_a_base_image_is_required(http, error):
    for spec, gist in [
        (None, "build_spec is required"),
        ({}, "from"),
        ({"from": " \t"}, "from"),
        ({"from": None}, "from"),
    ]:
        answer = http.post("/templates", json=body(build_spec=spec))
        assert error(answer) == BAD
        assert gist in message(answer)


@pytest.mark.parametrize(
    "image",
    ["alpine", "python:3.11-Alpine", "alpine.example.com/x", "gcr.io/distroless/python3", "x:DISTROLESS"],
)
def test_images_without_the_usual_tools_are_refused_by_any_part_of_their_name(http, error, image):
    assert error(http.post("/templates", json=body(build_spec={"from": image}))) == BAD


@pytest.mark.parametrize(
    "step",
    [
        None,
        {},
        {"run": None},
        {"run": "true", "workdir": "/srv"},
        {"run": "", "env": {"key": "A", "value": ""}},
        {"env": {}},
        {"env": {"value": "b"}},
        {"env": {"key": "", "value": "b"}},
        {"user": {}},
        {"user": {"name": "App"}},
        {"user": {"name": "1app"}},
        {"user": {"name": "a" * 32}},
        {"user": {"name": "app\n"}},
    ],
)
def test_a_step_has_exactly_one_kind_with_what_it_needs(http, error, step):
    answer = http.post("/templates", json=body(build_spec={**SPEC, "steps": [{"run": "true"}, step]}))

    assert error(answer) == BAD
    assert message(answer).startswith("build_spec.steps[1]")


@pytest.mark.parametrize(
    "step",
    [
        {"run": ""},
        {"workdir": ""},
        {"workdir": "not absolute"},
        {"env": {"key": "a=b c"}},
        {"user": {"name": "root"}},
        {"user": {"name": "_a" + "b" * 29, "sudo": None}},
        {"run": "true", "env": None, "workdir": None, "user": None},
    ],
)
def test_odd_steps_pass_here_and_bite_at_build_time(http, step):
    assert http.post("/templates", json=with_step(step)).status_code == 202


def test_steps_have_no_number_limit(http):
    assert (
        http.post("/templates", json=body(build_spec={**SPEC, "steps": [{"run": "true"}] * 2000})).status_code
        == 202
    )


@pytest.mark.parametrize(
    "spec", [{"from": "a\0b"}, {**SPEC, "start_cmd": "\0"}, {**SPEC, "steps": [{"run": "a\0"}]}]
)
def test_a_nul_in_the_spec_is_a_500(http, error, spec):
    assert error(http.post("/templates", json=body(build_spec=spec))) == (500, "internal_error")


def test_a_backslash_before_u0000_is_no_nul(http):
    assert (
        http.post("/templates", json=body(build_spec={**SPEC, "start_cmd": r"echo \u0000"})).status_code
        == 202
    )


def test_a_name_is_unique_in_a_team_until_its_template_is_deleted(server, http, error, open_client):
    template_id = server.templates.add("demo", status="failed")
    other = open_client(server, server.add_team().api_key)

    assert error(http.post("/templates", json=body())) == (409, "conflict")
    assert other.post("/templates", json=body()).status_code == 202
    assert http.delete(f"/templates/{template_id}").status_code == 204
    assert http.post("/templates", json=body()).status_code == 202


def test_the_checks_run_in_order(limited_http, error):
    """Each body fails everything after its first fault, too."""
    worst = {"name": "Superserve/", "vcpu": 9, "memory_mib": 9, "disk_mib": 9, "build_spec": None}
    for better, gist in [
        ({"vcpu": "9"}, "vcpu"),
        ({"name": ""}, "128"),
        ({}, "lower-case"),
        ({"name": "superserve/x"}, "reserved"),
        ({"name": "x"}, "vcpu must be 1-4"),
        ({"name": "x", "vcpu": 4}, "memory_mib must be 256-4096"),
        ({"name": "x", "vcpu": 4, "memory_mib": 4096}, "disk_mib must be 1024-8192"),
        ({"name": "x", "vcpu": 4, "memory_mib": 4096, "disk_mib": 8192}, "vcpu must be 1-2"),
        ({"name": "x", "vcpu": 2, "memory_mib": 4096, "disk_mib": 8192}, "memory_mib must be 256-2048"),
        ({"name": "x", "vcpu": 2, "memory_mib": 2048, "disk_mib": 8192}, "build_spec is required"),
    ]:
        answer = limited_http.post("/templates", json={**worst, **better})
        assert error(answer) == BAD
        assert gist in message(answer)


def test_the_checks_of_a_step_run_in_order_and_steps_by_index(http):
    steps = [{"env": {"key": ""}, "user": {"name": ""}}, {}]
    for fix, gist in [
        (steps, "[0].env.key"),
        ([{"env": {"key": "A"}, "user": {"name": ""}}, {}], "[0].user.name"),
        ([{"env": {"key": "A"}, "user": {"name": "app"}}, {}], "[0] must"),
        ([{"env": {"key": "A"}}, {}], "[1] must"),
    ]:
        assert gist in message(http.post("/templates", json=body(build_spec={**SPEC, "steps": fix})))


def hash_of(http, name, spec):
    created = http.post("/templates", json=body(name=name, build_spec=spec)).json()
    return http.get(f"/templates/{created['id']}/builds/{created['build_id']}").json()["build_spec_hash"]


def test_the_hash_is_that_of_the_compact_spec(http):
    spec = {
        "ready_cmd": "curl -f x && true",
        "steps": [
            {"run": "echo '<ü>'\u2028"},
            {"env": {"value": "", "key": "A"}},
            {"workdir": ""},
            {"user": {"sudo": False, "name": "app"}},
            {"user": {"sudo": True, "name": "app"}},
        ],
        "from": "python:3.11",
    }
    canonical = (
        r'{"from":"python:3.11","steps":[{"run":"echo '
        r"'\u003cü\u003e'\u2028"
        r'"},{"env":{"key":"A","value":""}},{"workdir":""},'
        r'{"user":{"name":"app"}},{"user":{"name":"app","sudo":true}}],"ready_cmd":"curl -f x \u0026\u0026 true"}'
    )

    assert hash_of(http, "a", spec) == hashlib.sha256(canonical.encode()).hexdigest()


def test_equal_specs_hash_equal_whatever_their_name_and_what_they_leave_out(http):
    hashes = {
        hash_of(http, "a", SPEC),
        hash_of(http, "b", {**SPEC, "steps": []}),
        hash_of(http, "c", {**SPEC, "steps": None, "start_cmd": "", "ready_cmd": None}),
    }

    assert len(hashes) == 1
    assert hash_of(http, "d", {"from": "python:3.12"}) not in hashes
