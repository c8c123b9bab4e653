# Written by scripts/unasync.py from tests/client/_async/test_leaving.py. Do not edit: change that, then run `nox -s generate`.
"""However a wait ends, and whatever its log is doing at that moment, nothing of it is left behind."""

import contextlib
import re
from contextlib import closing

import pytest

from superserve import BuildError, SandboxError, SandboxTimeoutError, Template
from superserve._sync import build_wait
from tests.patience import given_time
from tests.script import BUILD_ID, LINE, TEMPLATE_ID, Script, build_row, template_row
from tests.wire import STREAM_HEAD, chunk, envelope, reply, reset, sse, stall

EVENT = chunk(sse(LINE))

PHASES = {
    "before headers": [stall()],
    "within headers": [stall(STREAM_HEAD[:30])],
    "before the first event": [stall(STREAM_HEAD)],
    "within an event": [stall(STREAM_HEAD + EVENT + EVENT[:40])],
    "idle": [stall(STREAM_HEAD + EVENT)],
    # A connection that may serve other calls would be kept.
    "between attempts": [reply(503, headers={"Retry-After": "30", "Connection": "close"})],
    "within a refusal": [stall(b"HTTP/1.1 503 X\r\nContent-Length: 100\r\n\r\n{")],
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    for name in ("FLOWING_S", "SILENT_S", "NOT_OPEN_S"):
        monkeypatch.setattr(build_wait, name, 0.05)
    monkeypatch.setattr(build_wait, "CANCEL_S", 60.0)


@pytest.fixture(params=PHASES)
def waited(request, serve, connect):
    """A template whose log is in a certain phase; with its script and its server."""
    script = Script(build=["building"])
    wire = serve(script)
    template = Template.connect(TEMPLATE_ID, client=connect(wire))
    script.then(logs=PHASES[request.param])
    return template, script, wire


def ends(waited, belongings, error, **options):
    """Wait, and see that nothing is left of the log once that has ended: neither here nor at the server."""
    template, _, wire = waited
    options = {"poll_interval_s": 0.02, "on_log": lambda event: None, **options}
    if error is None:
        template.wait_until_ready(**options)
        caught = None
    else:
        with pytest.raises(error) as caught:
            template.wait_until_ready(**options)
    assert belongings.readers() == set()
    wire.until(lambda: wire.open_connections <= 1)
    return caught and caught.value


def test_a_wait_that_succeeds_leaves_nothing(waited, belongings):
    waited[1].then(build=["building", "building", "ready"])
    ends(waited, belongings, None)


def test_a_wait_that_fails_leaves_nothing(waited, belongings):
    waited[1].then(build=["building", reply(json=build_row("failed", error_message="boot_failed: no"))])
    ends(waited, belongings, BuildError)


def test_a_wait_whose_time_is_over_leaves_nothing(waited, belongings):
    ends(waited, belongings, SandboxTimeoutError, timeout_s=0.15)


def test_a_wait_that_meets_an_error_leaves_nothing(waited, belongings):
    waited[1].then(build=["building", reply(401, json=envelope("unauthorized", "no"))])
    ends(waited, belongings, SandboxError)


def test_a_reader_that_is_closed_leaves_nothing(waited, belongings):
    template, _, wire = waited
    # Where nothing comes, the reader closes itself.
    with contextlib.suppress(SandboxError):
        with closing(template.iter_build_logs(idle_timeout_s=0.1)) as events:
            for _ in events:
                assert belongings.readers() == {"superserve-log"}
                break
    assert belongings.readers() == set()
    wire.until(lambda: wire.open_connections <= 1)


def test_a_callback_that_raises_leaves_nothing_and_its_error_tells_how_to_go_on(scripted, belongings):
    template = scripted(Script(build=["building"], logs=[stall(STREAM_HEAD + EVENT)]))

    def refuse(event):
        assert belongings.readers() == {"superserve-log"}
        raise LookupError(event.text)

    with pytest.raises(LookupError, match="hello") as caught:
        template.wait_until_ready(on_log=refuse, poll_interval_s=0.02)
    assert belongings.readers() == set()
    [note] = caught.value.__notes__
    assert note.startswith("The build goes on; wait again with ")
    assert f"Template.connect('{TEMPLATE_ID}')" in note
    assert note.endswith(f".wait_until_ready(build_id='{BUILD_ID}').")


def test_an_error_of_ours_that_a_callback_raises_is_the_callers_own(scripted):
    script = Script(build=["building"], logs=[stall(STREAM_HEAD + EVENT)])
    template = scripted(script)

    def refuse(event):
        raise BuildError("of_another", "build", "x", "y")

    with pytest.raises(BuildError) as caught:
        template.wait_until_ready(on_log=refuse, poll_interval_s=0.02)
    assert "The build goes on" in caught.value.__notes__[0]
    assert script.count("cancel") == 0


def test_an_interrupted_wait_that_knows_no_build_says_where_to_look(scripted):
    template = scripted(Script(template=[reply(json=template_row())], builds=[stall()]))
    with pytest.raises(SandboxTimeoutError, match=r"list_builds\(\)"):
        template.wait_until_ready(timeout_s=0.1, cancel_on_interrupt=True)


# Cancelling the build


class StopWaitingError(Exception):
    """What a callback raises here."""


def interrupted(template):
    """Wait until a callback raises; return what comes out."""

    def stop(event):
        raise StopWaitingError

    with pytest.raises(StopWaitingError) as caught:
        template.wait_until_ready(on_log=stop, poll_interval_s=0.02, cancel_on_interrupt=True)
    return caught.value


def test_an_interrupted_wait_cancels_the_build_if_asked_to_and_says_so(server, client):
    template = Template.create(name="my-env", from_="debian:12", steps=[{"run": "sleep 500"}], client=client)
    error = interrupted(template)
    assert error.__notes__ == [
        f"Build {template.latest_build_id} of template {template.id} has ended: cancelled."
    ]
    assert (template.get_build(template.latest_build_id)).status == "cancelled"


def test_a_wait_whose_time_is_over_cancels_the_build_if_asked_to(server, client):
    server.builds.hold()
    template = Template.create(name="my-env", from_="debian:12", client=client)
    with pytest.raises(SandboxTimeoutError) as caught:
        template.wait_until_ready(timeout_s=0.1, poll_interval_s=0.02, cancel_on_interrupt=True)
    assert "wait again" not in str(caught.value)
    assert "has ended: cancelled" in str(caught.value)
    assert (template.get_build(template.latest_build_id)).status == "cancelled"


def test_a_build_that_ends_before_it_can_be_cancelled_is_told_as_it_is(scripted):
    script = Script(build=["building", "ready"], logs=[stall(STREAM_HEAD + EVENT)])
    error = interrupted(scripted(script))
    assert script.count("cancel") == 1
    assert "has ended: ready" in error.__notes__[0]


@pytest.mark.parametrize("refusal", [reply(500), reset(), reply(404), reply(429)])
def test_a_build_that_cannot_be_cancelled_is_told_with_the_reason(scripted, no_backoff, refusal):
    script = Script(build=["building"], logs=[stall(STREAM_HEAD + EVENT)], cancel=[refusal])
    error = interrupted(scripted(script))
    [note] = error.__notes__
    assert f"It is not known whether build {BUILD_ID} was cancelled: could not cancel build" in note
    assert "wait again with" in note


def test_cancelling_is_tried_three_times_in_all(scripted, no_backoff):
    logs = [stall(STREAM_HEAD + EVENT)]
    script = Script(build=["building", "cancelled"], logs=logs, cancel=[reply(503), reset(), reply(204)])
    error = interrupted(scripted(script, max_attempts=1))
    assert error.__notes__ == [f"Build {BUILD_ID} of template {TEMPLATE_ID} has ended: cancelled."]
    assert script.count("cancel") == 3
    script.then(build=["building"], cancel=[reply(503)])
    error = interrupted(scripted(script))
    assert "is not known" in error.__notes__[0]
    assert script.count("cancel") == 6


def test_so_is_asking_what_has_become_of_the_build(scripted, no_backoff):
    build = ["building", reply(503), reset(), "cancelled"]
    script = Script(build=build, logs=[stall(STREAM_HEAD + EVENT)])
    error = interrupted(scripted(script, max_attempts=1))
    assert error.__notes__ == [f"Build {BUILD_ID} of template {TEMPLATE_ID} has ended: cancelled."]


@given_time
def test_asking_what_has_become_of_the_build_takes_a_bounded_time(scripted, monkeypatch, *, longer):
    monkeypatch.setattr(build_wait, "CANCEL_S", 0.3 * longer)
    script = Script(build=["building", stall()], logs=[stall(STREAM_HEAD + EVENT)])
    error = interrupted(scripted(script))
    assert (
        f"It is not known whether build {BUILD_ID} was cancelled: could not get build" in error.__notes__[0]
    )
    # What is left of it.
    [left_s] = re.findall(r"within the timeout of ([\d.]+) s", error.__notes__[0])
    assert float(left_s) <= 0.3 * longer


def test_cancelling_takes_a_bounded_time(scripted, monkeypatch):
    monkeypatch.setattr(build_wait, "CANCEL_S", 0.1)
    script = Script(build=["building"], logs=[stall(STREAM_HEAD + EVENT)], cancel=[stall()])
    error = interrupted(scripted(script))
    assert "is not known" in error.__notes__[0]
    assert "within the timeout of 0.1 s" in error.__notes__[0]


def test_a_build_that_is_known_to_have_ended_is_not_cancelled(scripted):
    script = Script(build=["ready"], logs=[stall(STREAM_HEAD + EVENT)])
    error = interrupted(scripted(script))
    assert script.count("cancel") == 0
    assert "has ended: ready" in error.__notes__[0]
