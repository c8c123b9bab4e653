"""The soak (`nox -s soak`) in half a minute, and whether it would notice what it looks for."""

import importlib.util
import random
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from superserve import BuildLogEvent, BuildLogStream
from superserve.local._machines.sandboxes.spaces import find_space

SOAK = Path(__file__).parents[2] / "evidence" / "soak"


@pytest.fixture(scope="module")
def builds():
    """The module that knows what builds print."""
    spec = importlib.util.spec_from_file_location("soak_builds", SOAK / "builds.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def build(builds):
    """A build that prints something, whatever it is."""
    dice = random.Random(7)
    return next(
        build
        for build in (builds.make("soak-7", builds.Kind.READY, dice) for _ in range(99))
        if len(build.log) > 40
    )


@pytest.fixture
def flooding(builds):
    """A build that prints more than the server replays."""
    return builds.make("soak-8", builds.Kind.FLOODING, random.Random(8))


@pytest.fixture
def log(build):
    """All events of the log of `build`."""
    return write_log(build)


@pytest.fixture
def flood(flooding):
    """All events of the log of `flooding`."""
    return write_log(flooding)


def write_log(build):
    """Return all events of a build's log, as the server writes them."""
    streams = [
        "system"
        if text in ("ready", "Image ready", "Saving template", "Starting build environment")
        or text.startswith(("Pulling image ", "Step ", "$ "))
        else "stdout"
        for text in build.log
    ]
    return [
        BuildLogEvent(
            stream=BuildLogStream(stream), text=f"{text} (3s)" if text.endswith(" completed") else text
        )
        for stream, text in zip(streams, build.log, strict=True)
    ]


def soak(*options):
    run = subprocess.run(
        [sys.executable, str(SOAK / "run.py"), "--seconds=300", *options],
        capture_output=True,
        text=True,
        timeout=360,
        check=False,
    )
    assert run.stderr == ""
    assert run.returncode == 0, run.stdout
    return run.stdout


def test_builds_come_out_right_through_a_proxy_that_spoils_every_tenth_request():
    assert "verdict, builds: right" in soak("--builds=100", "--sandboxes=0")


def test_commands_run_as_often_as_they_are_said_to_through_a_proxy_that_spoils_every_tenth_request():
    isolation = "none" if isinstance(find_space(), str) else "auto"

    assert "verdict, sandboxes: right" in soak("--builds=0", "--sandboxes=20", f"--isolation={isolation}")


def test_the_soak_accepts_a_whole_log(builds, build, log):
    reading = builds.judge(build, log)

    assert reading == builds.Reading()


@pytest.mark.parametrize("index", [0, 20, -1])
def test_the_soak_notices_an_event_that_is_missing(builds, build, log, index):
    del log[index]

    assert "due" in builds.judge(build, log).problem or "missing" in builds.judge(build, log).problem


@pytest.mark.parametrize("index", [0, 20, -1])
def test_the_soak_notices_an_event_that_comes_twice(builds, build, log, index):
    log.insert(index, log[index])

    assert "was due" in builds.judge(build, log).problem


def test_the_soak_notices_events_in_the_wrong_order(builds, build, log):
    log[20], log[21] = log[21], log[20]

    assert "was due" in builds.judge(build, log).problem


def test_the_soak_notices_an_event_that_was_changed(builds, build, log):
    log[20] = attrs.evolve(log[20], text=f"{log[20].text}?")

    assert "was due" in builds.judge(build, log).problem


def test_the_soak_does_not_accept_a_hole_in_a_log_that_is_replayed_whole(builds, build, log):
    log[10:16] = [attrs.evolve(log[15], after_gap=True)]

    assert "replays whole" in builds.judge(build, log).problem


def test_the_soak_counts_what_is_missing_where_an_event_says_so(builds, flooding, flood):
    flood[10:16] = [attrs.evolve(flood[15], after_gap=True)]

    assert builds.judge(flooding, flood) == builds.Reading(missing=5, flags=1)


def test_the_soak_counts_events_that_say_so_where_nothing_is_missing(builds, flooding, flood):
    flood[10] = attrs.evolve(flood[10], after_gap=True)

    assert builds.judge(flooding, flood) == builds.Reading(flags=1, needless=1)


def test_the_soak_notices_a_hole_that_no_event_tells_of(builds, flooding, flood):
    del flood[255]

    assert "event 255" in builds.judge(flooding, flood).problem


@pytest.mark.parametrize("end", [257, None])
def test_the_soak_counts_what_the_server_drops_after_its_replay(builds, flooding, flood, end):
    dropped = len(flood[256:end])
    del flood[256:end]

    assert builds.judge(flooding, flood) == builds.Reading(dropped=dropped)


def test_the_soak_accepts_a_log_without_its_end_only_if_a_warning_says_so(builds, build, log):
    del log[-3:]

    assert "the last 3" in builds.judge(build, log).problem
    assert builds.judge(build, log, may_lack_end=True) == builds.Reading(lost=3)
    assert builds.judge(build, log, whole=False) == builds.Reading()


UNKNOWN = (
    "It is not known whether build b was cancelled: could not cancel build b. The build goes on; wait again"
)


@pytest.mark.parametrize(
    ("advice", "status"),
    [
        ("Build b of template t has ended: cancelled.", "cancelled"),
        ("Build b of template t has ended: ready.", "ready"),
        (UNKNOWN, "building"),
        (UNKNOWN, "cancelled"),
        ("The build may go on; find it with Template.connect('t').list_builds().", "building"),
    ],
)
def test_the_soak_accepts_what_is_true_of_a_build_that_is_left(builds, advice, status):
    assert builds.judge_advice(f"build b was building after 2 s\n{advice}", status) is None


@pytest.mark.parametrize(
    ("advice", "problem"),
    [
        ("Build b of template t has ended: cancelled.", "has ended as cancelled, but it is building"),
        ("", "does not say what has become of the build"),
    ],
)
def test_the_soak_notices_what_is_not(builds, advice, problem):
    assert problem in builds.judge_advice(f"build b was building after 2 s\n{advice}", "building")
