"""Builds that are made up: what is read out of a spec, and what the log says."""

import itertools

import pytest

from superserve.local._machines.jobs import FIXED_FAILURES, format_command, format_duration


@pytest.fixture
def outcome(server, http, create, log):
    """Build a template; gives the error message and the log."""

    names = map("t{}".format, itertools.count())

    def outcome(**spec):
        template_id, build_id = create(next(names), **spec)
        server.builds.wait_for(build_id, "ready", "failed")
        row = http.get(f"/templates/{template_id}/builds/{build_id}").json()
        return row.get("error_message"), log(template_id, build_id)

    return outcome


def lines(events, *streams):
    return [event["text"] for event in events if event["stream"] in streams and "status" in event]


def test_a_build_tells_what_it_does(outcome):
    message, events = outcome(
        steps=[
            {"run": "echo hello && echo oh >&2"},
            {"env": {"key": "TOKEN", "value": "s3cret"}},
            {"workdir": "/srv/my app"},
            {"user": {"name": "app", "sudo": True}},
        ],
        start_cmd="python server.py",
        ready_cmd="curl -f http://localhost",
    )

    assert message is None
    assert lines(events, "system", "stdout") == [
        "Pulling image python:3.11",
        "Image ready",
        "Starting build environment",
        "Step 1/4",
        "$ echo hello && echo oh >&2",
        "hello",
        "Step 1/4 completed (10ms)",
        "Step 2/4",
        "Set TOKEN",
        "Step 2/4 completed (10ms)",
        "Step 3/4",
        "$ mkdir -p '/srv/my app'",
        "$ chown -R $(id -u) '/srv/my app'",
        "Working directory: /srv/my app",
        "Step 3/4 completed (10ms)",
        "Step 4/4",
        "$ id -u app || adduser --disabled-password --gecos '' app",
        "$ echo 'app ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/app",
        "User: app",
        "Step 4/4 completed (10ms)",
        "Running start command: python server.py",
        "Waiting for template to be ready: curl -f http://localhost",
        "Template is ready",
        "Saving template",
        "ready",
    ]
    assert lines(events, "stderr") == ["oh"]
    assert "s3cret" not in str(events)


def test_equal_specs_give_equal_logs(outcome):
    spec = {"steps": [{"run": "echo a; sleep 2"}, {"run": "exit 1"}]}

    first, second = outcome(**spec), outcome(**spec)

    assert first[0] == second[0]
    assert lines(first[1], "system", "stdout", "stderr", "error") == lines(
        second[1], "system", "stdout", "stderr", "error"
    )


@pytest.mark.parametrize(
    ("run", "code"),
    [
        ("exit 3", 3),
        ("exit 256", 0),
        ("exit", 0),
        ("false", 1),
        ("true", 0),
        ("", 0),
        ("pip install numpy", 0),
        ("echo a && exit 4", 4),
        ("exit 4 && echo a", 4),
        ("true || exit 5", 0),
        ("false || exit 5", 5),
        ("false && exit 5", 1),
        ("false; true", 0),
        ("true\nexit 6\ntrue", 6),
        ("true;\nexit 6", 6),
        ("false || true && exit 7", 7),
        ('sh -c "exit 8"', 8),
        ("bash -c 'true; false'", 1),
        ('sh -c "exit 8" || true', 0),
        ("echo 'exit 9'", 0),
        ("cat x | exit 9", 0),
        ("exit nonsense", 2),
        ("sleep soon", 1),
        ("sleep", 1),
    ],
)
def test_a_step_fails_as_it_would(outcome, run, code):
    message, _ = outcome(steps=[{"run": run}])

    assert message == (f"step_failed: step 1/1 failed after 10ms: exited with code {code}" if code else None)


@pytest.mark.parametrize(
    ("run", "stdout", "stderr"),
    [
        ("echo hello", ["hello"], []),
        ("echo 'a  b' c", ["a  b c"], []),
        ("echo a >&2", [], ["a"]),
        ("echo a 1>&2; echo b", ["b"], ["a"]),
        (">&2 echo a", [], ["a"]),
        ("echo >&2 a", [], ["a"]),
        ("echo a > file", [], []),
        ("echo a >> file", [], []),
        ("echo a | wc", [], []),
        ("false && echo a", [], []),
        ("sh -c 'echo a'", ["a"], []),
        ("echo ''", [], []),
    ],
)
def test_echo_prints_where_it_would(outcome, run, stdout, stderr):
    _, events = outcome(steps=[{"run": run}])

    assert lines(events, "stdout") == stdout
    assert lines(events, "stderr") == stderr


def test_later_steps_of_a_failed_build_are_not_begun(outcome):
    message, events = outcome(steps=[{"run": "sleep 3"}, {"run": "exit 100"}, {"run": "echo never"}])

    assert message == "step_failed: step 2/3 failed after 10ms: exited with code 100"
    assert "Step 1/3 completed (3.01s)" in lines(events, "system")
    assert "Step 3/3" not in lines(events, "system")


@pytest.mark.parametrize(
    ("image", "code"),
    [
        ("python:3.11", None),
        ("ghcr.io/myorg/foo:v1", None),
        ("localhost:5000/a/b_c", None),
        ("python@sha256:" + "0" * 64, None),
        ("Python:3.11", "bad_reference"),
        (" python:3.11", "bad_reference"),
        ("python:3.11 ", "bad_reference"),
        ("python:", "bad_reference"),
        ("ghcr.io/MyOrg/foo", "bad_reference"),
        ("nosuch/image:1", "image_pull_failed"),
        ("ghcr.io/org/does-not-exist", "image_pull_failed"),
    ],
)
def test_base_images_that_cannot_be_had_fail(outcome, image, code):
    message, events = outcome(**{"from": image})

    assert (message and message.split(": ")[0]) == code
    assert ("Image ready" in lines(events, "system")) == (code is None)


@pytest.mark.parametrize("code", sorted(FIXED_FAILURES.keys() - {"bad_reference"}))
def test_a_base_image_can_ask_for_any_failure(outcome, code):
    message, events = outcome(**{"from": f"fails/{code}"}, steps=[{"run": "true"}])

    assert message == f"{code}: {FIXED_FAILURES[code]}"
    of_the_image = {"image_too_large", "unsupported_platform", "image_unsafe", "image_pull_failed"}
    assert ("Image ready" in lines(events, "system")) == (code not in of_the_image)
    assert ("Step 1/1" in lines(events, "system")) == (code not in {*of_the_image, "boot_failed"})
    assert ("Saving template" in lines(events, "system")) == (code == "snapshot_failed")


@pytest.mark.parametrize(
    ("command", "message"), [("true", None), ("exit 1", "ready_cmd_failed"), ("false", "ready_cmd_failed")]
)
def test_a_ready_cmd_that_would_fail_fails_the_build(outcome, command, message):
    ended, _ = outcome(ready_cmd=command)

    assert (ended and ended.split(": ")[0]) == message


def test_a_start_cmd_that_would_fail_goes_unnoticed(outcome):
    assert outcome(start_cmd="exit 1")[0] is None


def test_a_long_command_is_cut_in_the_log(outcome):
    _, events = outcome(steps=[{"run": "echo " + "ü" * 200}])

    shown = next(line for line in lines(events, "system") if line.startswith("$ "))
    assert shown == "$ echo " + "ü" * 125 + "…"
    assert format_command("x" * 256) == "$ " + "x" * 256


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0004, "0s"),
        (0.012, "12ms"),
        (0.9996, "1s"),
        (3, "3s"),
        (62.345, "1m2.345s"),
        (600, "10m0s"),
        (3661.5, "1h1m1.5s"),
    ],
)
def test_durations_are_written_as_the_server_writes_them(seconds, text):
    assert format_duration(seconds) == text
