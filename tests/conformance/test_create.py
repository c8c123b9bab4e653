"""POST /templates: the checks and their order, the defaults, the answer."""

import json

import pytest

from tests.conformance.conftest import ENDED
from tests.conformance.target import BAD, BASE_IMAGE, CONFLICT, PoliteClient, error_of, message_of

fact = pytest.mark.fact
only_here = pytest.mark.only_here


def post(http, **body):
    return http.post("/templates", json=body)


@fact("create-1", "A template is created with a 202 that holds these fields and no others of a template.")
def test_the_answer_of_a_creation(http, make):
    made = make()

    assert {
        "id", "team_id", "name", "status", "vcpu", "memory_mib", "disk_mib", "created_at", "build_id",
    } <= made.answer.keys()  # fmt: skip
    assert not {"size_bytes", "error_message", "built_at", "build_spec"} & made.answer.keys()
    assert (made.answer["name"], made.answer["status"]) == (made.name, "building")


@fact("create-2", "A name is needed, isn't blank and has at most 128 bytes.")
@pytest.mark.parametrize("name", [None, "", "  ", "\u2003\n", "x" * 129, "é" * 65])
def test_a_name_is_needed(http, name):
    assert error_of(post(http, name=name, build_spec={"from": BASE_IMAGE})) == BAD


@fact(
    "create-3",
    "A name has lower-case letters, digits and . _ / -, and begins and ends with one of the former.",
)
@pytest.mark.parametrize("name", ["Name", "-name", "name-", "na me", "nämé", ".", "a/", "a:b"])
def test_a_name_has_a_pattern(http, name):
    assert error_of(post(http, name=name, build_spec={"from": BASE_IMAGE})) == BAD


@fact(
    "create-3c",
    "White space around a name, Unicode's included, is cut off before anything else is done with it.",
)
@pytest.mark.parametrize("form", [" {}\n", "\u2003{}\u00a0", "{}\t"])
def test_a_name_is_trimmed(http, make, maker, form):
    name = maker.name()
    made = make(name=form.format(name))

    assert made.answer["name"] == http.get(made.path).json()["name"] == name
    assert error_of(post(http, name=name, build_spec={"from": BASE_IMAGE})) == CONFLICT


@fact("create-1b", "The answer of a creation has its keys in the order of the alphabet.")
def test_the_answer_of_a_creation_is_in_order(make):
    assert list(make().answer) == sorted(make().answer)


@fact("create-3b", "All of the pattern is taken, up to 128 bytes.")
def test_a_name_may_use_all_of_its_pattern(http, maker, make):
    name = (maker.name() + "._/-").ljust(128, "0")

    assert make(name).answer["name"] == name


@fact("create-4", "Names that begin with superserve/ are reserved.")
def test_names_of_the_system_are_reserved(http):
    assert error_of(post(http, name="superserve/conformance", build_spec={"from": BASE_IMAGE})) == BAD


@fact("create-6", "Sizes have bounds: 1-4 vCPU, 256-4096 MiB of memory, 1024-8192 MiB of disk.")
@pytest.mark.parametrize(
    ("size", "value"),
    [
        ("vcpu", 0),
        ("vcpu", 5),
        ("memory_mib", 255),
        ("memory_mib", 4097),
        ("disk_mib", 1023),
        ("disk_mib", 8193),
    ],
)
def test_sizes_have_bounds(accepts, size, value):
    assert not accepts(**{size: value})


@fact("create-6b", "The lower bounds, and the caps of an ordinary team, are allowed.")
def test_bounds_are_allowed(accepts):
    assert accepts(vcpu=1, memory_mib=256, disk_mib=1024)
    assert accepts(vcpu=2, memory_mib=2048, disk_mib=8192)


@fact("create-7", "An ordinary team is capped at 2 vCPU, 2048 MiB of memory and 8192 MiB of disk.")
@only_here("a team's caps may have been raised")
def test_a_team_has_caps(limited_http):
    for size, value in [("vcpu", 3), ("memory_mib", 2049)]:
        answer = post(limited_http, name="x", build_spec={"from": BASE_IMAGE}, **{size: value})
        assert error_of(answer) == BAD
        assert "team" in message_of(answer)


@fact("create-8", "A build_spec is needed.")
def test_a_build_spec_is_needed(http, taken):
    assert error_of(post(http, name=taken)) == error_of(post(http, name=taken, build_spec=None)) == BAD


@fact("create-9", "A base image is needed and isn't blank.")
@pytest.mark.parametrize("image", [None, "", " \t\n"])
def test_a_base_image_is_needed(accepts, image):
    assert not accepts({"from": image})


@fact("create-10", "alpine anywhere in the image's name is refused, in any case.")
@pytest.mark.parametrize(
    "image", ["alpine", "python:3.11-Alpine", "alpine.example.com/debian", "x/alpine-like:1"]
)
def test_alpine_is_refused(accepts, image):
    assert not accepts({"from": image})


@fact("create-11", "distroless anywhere in the image's name is refused, in any case.")
@pytest.mark.parametrize("image", ["gcr.io/distroless/python3", "debian:DISTROLESS"])
def test_distroless_is_refused(accepts, image):
    assert not accepts({"from": image})


@fact("create-12", "A step has exactly one key that isn't null.")
@pytest.mark.parametrize(
    "step",
    [
        {},
        None,
        {"run": None},
        {"run": "true", "workdir": "/srv"},
        {"run": "", "env": {"key": "A", "value": ""}},
    ],
)
def test_a_step_has_one_kind(accepts, step):
    assert not accepts({"steps": [step]})


@fact("create-12b", "An env step needs a key, and nothing else.")
def test_a_variable_has_a_name(accepts):
    assert not accepts({"steps": [{"env": {"value": "b"}}]})
    assert not accepts({"steps": [{"env": {"key": "", "value": "b"}}]})
    assert accepts({"steps": [{"env": {"key": "A"}}, {"env": {"key": "a=b c", "value": ""}}]})


@fact("create-12c", "A user's name has at most 31 of a-z 0-9 _ - and begins with a letter or _; root is one.")
def test_a_user_has_a_name(accepts):
    for name in ["", "App", "1app", "-app", "a" * 32, "a.b", "app\n"]:
        assert not accepts({"steps": [{"user": {"name": name}}]}), name
    assert not accepts({"steps": [{"user": {}}]})
    assert accepts({"steps": [{"user": {"name": name}} for name in ("root", "_a-1", "a" * 31)]})


@fact("create-12d", "Empty commands and empty or relative folders pass.")
def test_odd_steps_pass(accepts):
    steps = [{"run": ""}, {"workdir": ""}, {"workdir": "not/absolute"}, {"run": "true", "env": None}]

    assert accepts({"steps": steps, "start_cmd": "", "ready_cmd": ""})


@fact("create-12e", "Steps are checked by index, and a message names the step.")
def test_a_message_names_the_step(http, taken):
    answer = post(http, name=taken, build_spec={"from": BASE_IMAGE, "steps": [{"run": "true"}, {}, None]})

    assert "steps[1]" in message_of(answer)


@fact(
    "create-12f",
    "Within a step the variable is checked before the user, and the user before the number of keys.",
)
def test_a_step_is_checked_in_order(http, taken):
    def complaint(step):
        return message_of(post(http, name=taken, build_spec={"from": BASE_IMAGE, "steps": [step]}))

    assert "env" in complaint({"env": {"key": ""}, "user": {"name": ""}})
    assert "user" in complaint({"env": {"key": "A"}, "user": {"name": ""}})
    assert (
        error_of(
            post(
                http,
                name=taken,
                build_spec={"from": BASE_IMAGE, "steps": [{"env": {"key": "A"}, "user": {"name": "app"}}]},
            )
        )
        == BAD
    )


@fact("create-12g", "The number of steps has no bound.")
def test_there_may_be_many_steps(accepts):
    assert accepts({"steps": [{"run": "true"}] * 2000})


@fact("create-13", "A team with 5 builds in flight gets a 429 `too_many_builds` without Retry-After.")
@only_here("would fill the team's quota, and be in the way of its work")
def test_builds_have_a_quota(limited, limited_http):
    limited.builds.hold()
    answers = [post(limited_http, name=f"t{number}", build_spec={"from": BASE_IMAGE}) for number in range(6)]

    assert [answer.status_code for answer in answers] == [202] * 5 + [429]
    assert error_of(answers[-1]) == (429, "too_many_builds")
    assert "retry-after" not in answers[-1].headers


@fact(
    "create-14",
    "A team with 10 templates that haven't failed gets a 429 `too_many_templates` without Retry-After.",
)
@only_here("would fill the team's quota, and be in the way of its work")
def test_templates_have_a_quota(limited, limited_http):
    for status in ("ready", "building", "pending") * 3:
        limited.templates.add(status=status)
    limited.templates.add(status="failed")

    answers = [post(limited_http, name=f"t{number}", build_spec={"from": BASE_IMAGE}) for number in range(2)]

    assert [answer.status_code for answer in answers] == [202, 429]
    assert error_of(answers[-1]) == (429, "too_many_templates")
    assert "retry-after" not in answers[-1].headers


@fact("create-14b", "At its quota a team gets a 429 for a taken name, and a 400 for a bad spec.")
@only_here("would fill the team's quota, and be in the way of its work")
def test_quotas_come_between_spec_and_name(limited, limited_http):
    limited.templates.add_many(10)

    assert error_of(post(limited_http, name="template-1", build_spec={"from": BASE_IMAGE}))[0] == 429
    assert error_of(post(limited_http, name="template-1", build_spec={"from": "alpine"})) == BAD


@fact("create-14c", "The quota of builds comes before that of templates.")
@only_here("would fill the team's quota, and be in the way of its work")
def test_builds_are_counted_first(limited, limited_http):
    limited.builds.hold("pending")
    for template_id in limited.templates.add_many(10)[:5]:
        limited.builds.add(template_id, status="pending")

    assert error_of(post(limited_http, name="x", build_spec={"from": BASE_IMAGE})) == (429, "too_many_builds")


@fact("create-15", "A name that another template of the team has is a 409 `conflict`.")
def test_a_name_is_taken_once(http, ready):
    assert error_of(post(http, name=ready.name, build_spec={"from": BASE_IMAGE})) == CONFLICT


@fact("create-15b", "A failed template holds its name.")
def test_a_failed_template_holds_its_name(http, failed):
    assert error_of(post(http, name=failed.name, build_spec={"from": BASE_IMAGE})) == CONFLICT


@fact("create-15c", "Another team may have the same name.")
def test_names_belong_to_a_team(http, other, make):
    made = make()
    answer = post(other, name=made.name, build_spec={"from": BASE_IMAGE})
    created = answer.json()
    other.delete(f"/templates/{created['id']}/builds/{created['build_id']}")
    deletion = other.delete(f"/templates/{created['id']}")

    assert (answer.status_code, deletion.status_code) == (202, 204)


@fact("create-17", "1 vCPU, 1024 MiB of memory and 4096 MiB of disk are the defaults, for null too.")
def test_sizes_have_defaults(make):
    made = make(top={"vcpu": None})

    assert [made.answer[size] for size in ("vcpu", "memory_mib", "disk_mib")] == [1, 1024, 4096]


@fact("create-18", "The checks run in this order: JSON, name, sizes, build_spec, image, steps, name in use.")
def test_the_checks_run_in_order(http, taken):
    worst = {"name": "", "vcpu": 9, "memory_mib": 9, "disk_mib": 9, "build_spec": None}
    spec = {"from": " ", "steps": [{}]}
    for better, gist in [
        ({"vcpu": "9"}, "vcpu"),
        ({}, "name"),
        ({"name": taken}, "vcpu"),
        ({"name": taken, "vcpu": 1}, "memory_mib"),
        ({"name": taken, "vcpu": 1, "memory_mib": 1024}, "disk_mib"),
        ({"name": taken, "vcpu": 1, "memory_mib": 1024, "disk_mib": 4096}, "build_spec"),
    ]:
        answer = post(http, **{**worst, **better})
        assert error_of(answer) == BAD
        assert gist in message_of(answer), better
    for better, gist in [
        ({}, "from"),
        ({"from": "alpine-distroless"}, "alpine"),
        ({"from": BASE_IMAGE}, "steps[0]"),
    ]:
        answer = post(http, name=taken, build_spec={**spec, **better})
        assert error_of(answer) == BAD
        assert gist in message_of(answer).lower(), better


@fact("create-19", "A lost answer is made up for by its name: list with name_prefix, then list the builds.")
def test_a_creation_can_be_found_by_its_name(http, make):
    made = make()

    (row,) = [
        row
        for row in http.get("/templates", params={"name_prefix": made.name}).json()
        if row["name"] == made.name
    ]
    (build,) = http.get(f"/templates/{row['id']}/builds").json()

    assert (row["id"], build["id"]) == (made.id, made.build_id)


@fact("create-20", "A NUL in the spec is a 500 `internal_error`.")
@only_here("makes the server fail on purpose")
def test_a_nul_is_a_server_error(steered_http):
    for spec in ({"from": "a\0"}, {"from": BASE_IMAGE, "steps": [{"run": "\0"}]}):
        assert error_of(post(steered_http, name="x", build_spec=spec)) == (500, "internal_error")


@fact("create-21", "A spec of more than 131,071 bytes is a 202, and its build fails without a code.")
@only_here("makes the builder fail on purpose")
def test_a_spec_has_a_practical_size(steered, steered_http):
    overhead = len(json.dumps({"from": BASE_IMAGE, "start_cmd": ""}, separators=(",", ":")))
    for size, status in [(131_071, "ready"), (131_072, "failed")]:
        spec = {"from": BASE_IMAGE, "start_cmd": "x" * (size - overhead)}
        created = post(steered_http, name=f"s{size}", build_spec=spec).json()
        assert steered.builds.wait_for(created["build_id"], "ready", "failed") == status
    build = steered_http.get(f"/templates/{created['id']}/builds/{created['build_id']}").json()

    assert build["error_message"].startswith("template-builder exited: ")


@fact(
    "create-22",
    "The base image is stored as it was sent: spaces around it pass, and its build fails with bad_reference.",
)
def test_a_padded_image_fails_in_the_build(maker, make):
    made = make(**{"from": f" {BASE_IMAGE}"})

    build = maker.wait_for(made, *ENDED)

    assert build["status"] == "failed"
    assert build["error_message"].startswith("bad_reference")


@fact("create-24", "Whether the image exists is not looked at.")
def test_images_are_not_looked_for(accepts):
    assert accepts({"from": "nosuch.example.com/no/such:image"})
    assert accepts({"from": "No Reference At All!"})


@fact(
    "create-23",
    "Only the system team may use its prefix, and neither caps nor the quota of templates bind it.",
)
@only_here("needs a key of the system team")
def test_the_system_team_is_exempt(limited, limited_http):
    row = limited_http.get("/templates", params={"name_prefix": "superserve/base"}).json()[0]
    with PoliteClient(limited.base_url, limited.add_key(row["team_id"])) as system:
        answers = [
            post(
                system, name=f"superserve/t{number}", vcpu=4, memory_mib=4096, build_spec={"from": BASE_IMAGE}
            )
            for number in range(3)
        ]

    assert [answer.status_code for answer in answers] == [202] * 3
