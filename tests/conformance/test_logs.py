"""The log stream of a build: its framing, its events, its replay, its losses and its endings."""

import contextlib
import json
import re
import threading
import time

import httpx
import pytest

from superserve.local import LocalServer
from tests.conformance.conftest import ENDED, STEPS, Maker
from tests.conformance.target import BASE_IMAGE, PoliteClient, events_of

fact = pytest.mark.fact
only_here = pytest.mark.only_here

RELAYED = {"finished", "status", "stream", "text", "timestamp"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


@pytest.fixture(scope="session")
def log(http, ready):
    """The log of a build that succeeded."""
    return http.get(f"{ready.build_path}/logs")


@pytest.fixture(scope="session")
def events(log):
    return events_of(log)


@pytest.fixture(scope="session")
def failure(http, failed):
    """The events of a build that failed."""
    return events_of(http.get(f"{failed.build_path}/logs"))


@pytest.fixture
def held(steered, steered_http):
    """A build that runs and writes nothing by itself; its log's path, and its id."""
    steered.builds.hold()
    body = {"name": "held", "build_spec": {"from": BASE_IMAGE}}
    created = steered_http.post("/templates", json=body).json()
    steered.builds.wait_for(created["build_id"], "building")
    return f"/templates/{created['id']}/builds/{created['build_id']}/logs", created["build_id"]


def lines_of(answer):
    """Give the events of a log one by one."""
    return (json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line)


def texts(events, stream):
    return [event["text"] for event in events if event["stream"] == stream]


@fact("stream-1", "A log is a 200 of type text/event-stream, without a charset, that isn't to be cached.")
def test_a_log_is_an_event_stream(log):
    assert (log.status_code, log.headers["content-type"]) == (200, "text/event-stream")
    assert log.headers["cache-control"] == "no-cache"


@fact("stream-1b", "It carries Connection: keep-alive and X-Accel-Buffering: no.")
@only_here("both are for the proxies before the server, which don't pass them on")
def test_a_log_speaks_to_proxies(log):
    assert (log.headers["connection"], log.headers["x-accel-buffering"]) == ("keep-alive", "no")


@fact(
    "stream-2",
    "An event is one line of data, JSON with sorted keys, and a blank line; no types, ids or comments.",
)
def test_an_event_is_one_line(log):
    frames = log.content.decode().split("\n\n")

    assert frames.pop() == ""
    for frame in frames:
        assert frame.startswith("data: {")
        assert "\n" not in frame
        keys = [key for key, _ in json.loads(frame[6:], object_pairs_hook=list)]
        assert keys == sorted(keys)


@fact("stream-3", "Signs of HTML are escaped in JSON.")
def test_html_is_escaped(log, events):
    assert any("<to> stdout" in text for text in texts(events, "stdout"))
    assert b"<" not in log.content
    assert rb"\u003cto\u003e" in log.content


@fact("stream-4", "An event has timestamp, stream, text, finished false and an empty status.")
def test_an_event_has_these_fields(events, failure):
    for event in [*events[:-1], *failure[:-1]]:
        assert event.keys() == RELAYED
        assert (event["finished"], event["status"]) == (False, "")
        assert event["stream"] in {"stdout", "stderr", "system", "error"}
        assert event["text"]


@fact("stream-5", "The last event says how the build ended, as text and as status.")
def test_the_last_event_is_the_verdict(events, failure):
    for last, verdict in ((events[-1], "ready"), (failure[-1], "failed")):
        assert last.keys() == RELAYED
        assert (last["stream"], last["finished"]) == ("system", True)
        assert last["text"] == last["status"] == verdict


@fact(
    "stream-6", "A failing build first tells its coded message on the stream `error`, which isn't finished."
)
def test_a_failure_tells_its_reason_first(http, failed, failure):
    (reason,) = [event for event in failure if event["stream"] == "error"]

    assert failure[-2] == reason
    assert reason["text"] == http.get(failed.build_path).json()["error_message"]


@fact("stream-6b", "The reason is in the log before it is in the build's row.")
@only_here("takes a moment at most")
def test_the_reason_is_in_the_log_first(steered, steered_http, held):
    steered.builds.freeze()
    steered.builds.finish(held[1], "boot_failed: x")

    assert "boot_failed: x" in texts(events_of(steered_http.get(held[0])), "error")
    assert steered_http.get(held[0].removesuffix("/logs")).json()["status"] == "building"


@fact("stream-7", "Every reader gets the log from its start, with the same times; Last-Event-ID is ignored.")
def test_every_reader_gets_a_replay(http, ready, events):
    again = http.get(f"{ready.build_path}/logs", headers={"Last-Event-ID": "3"})

    assert events_of(again) == events


@fact("stream-8", "Times are RFC 3339 with up to nine digits of a second.")
def test_times_are_rfc_3339(events):
    assert all(TIME.fullmatch(event["timestamp"]) for event in events)


@fact("stream-9", "Errors before the stream are JSON.")
@pytest.mark.parametrize(
    "path", ["/templates/x/builds/y/logs", "{path}/builds/00000000-0000-0000-0000-000000000000/logs"]
)
def test_errors_before_the_stream_are_json(http, ready, path):
    answer = http.get(path.format(path=ready.path))

    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.status_code in {400, 404}


@fact(
    "stream-10", "A queued build gives a heartbeat every 2 seconds: system, not finished, without a status."
)
@only_here("a queue lasts a second at most")
def test_a_queued_build_gives_heartbeats(steered, steered_http):
    steered.builds.hold("pending")
    row = steered_http.post(f"/templates/{steered.templates.add()}/builds").json()
    with steered_http.stream("GET", f"/templates/{row['template_id']}/builds/{row['id']}/logs") as answer:
        stream = lines_of(answer)
        beats = [next(stream) for _ in range(4)]
        steered.builds.release()
        rest = list(stream)

    assert all(beat.keys() == RELAYED - {"status"} for beat in beats)
    assert {(beat["stream"], beat["finished"]) for beat in beats} == {("system", False)}
    assert {beat["text"] for beat in beats} == {"build queued, waiting for dispatch"}
    assert len({beat["timestamp"] for beat in beats}) == 4
    assert rest[-1]["status"] == "ready"


@fact("stream-11", "A build that was never started has one event: its message and its status, finished.")
@only_here("a queue lasts a second at most")
def test_a_build_that_never_started_has_one_event(steered, steered_http):
    steered.builds.hold("pending")
    row = steered_http.post(f"/templates/{steered.templates.add()}/builds").json()
    path = f"/templates/{row['template_id']}/builds/{row['id']}"
    steered_http.delete(path)

    (event,) = events_of(steered_http.get(f"{path}/logs"))

    assert event.keys() == RELAYED
    assert (event["text"], event["status"], event["finished"]) == ("cancelled by user", "cancelled", True)


@fact(
    "stream-12",
    "When the host has lost the build, one event without a time says failed, even if the build is ready.",
)
@only_here("needs a host that is restarted")
def test_a_lost_log_says_failed(steered, steered_http):
    template_id = steered.templates.add()
    path = f"/templates/{template_id}/builds/{steered.builds.add(template_id)}"

    (event,) = events_of(steered_http.get(f"{path}/logs"))

    assert event.keys() == RELAYED - {"timestamp"}
    assert (event["finished"], event["status"], event["stream"]) == (True, "failed", "system")
    assert event["text"] == (
        "log stream ended with error: recv build log: rpc error: code = NotFound "
        f"desc = build build-{path.rsplit('/', 1)[1]} not found"
    )
    assert steered_http.get(path).json()["status"] == "ready"


@fact("stream-13", "Of an ended build with more than 256 events the first 256 are sent, and no last one.")
@only_here("needs a log of known length")
def test_a_long_log_is_cut(steered, steered_http):
    template_id = steered.templates.add()
    build_id = steered.builds.add(template_id, log=[str(number) for number in range(300)])

    events = events_of(steered_http.get(f"/templates/{template_id}/builds/{build_id}/logs"))

    assert [event["text"] for event in events] == [str(number) for number in range(256)]
    assert not events[-1]["finished"]


@fact(
    "stream-14",
    "Of a running build with more than 256 events the first 256 are sent, then, after a gap, what follows.",
)
@only_here("needs a log of known length")
def test_a_long_log_has_a_gap(steered, steered_http, held):
    steered.builds.write(held[1], *map(str, range(300)))
    with steered_http.stream("GET", held[0]) as answer:
        stream = lines_of(answer)
        first = [next(stream)["text"] for _ in range(256)]
        steered.builds.write(held[1], "after")
        assert next(stream)["text"] == "after"

    assert first == [str(number) for number in range(256)]


@fact("stream-15", "The host keeps the newest 10,000 events.")
@only_here("needs a log of known length")
def test_the_host_keeps_ten_thousand_events(steered, steered_http, held):
    steered.builds.write(held[1], *map(str, range(10_100)))

    with steered_http.stream("GET", held[0]) as answer:
        assert next(lines_of(answer))["text"] == "100"


@fact("stream-16", "Nothing is sent before the first event, not even headers.")
@only_here("needs a build that is silent at first")
def test_headers_come_with_the_first_event(steered, steered_http, held):
    came = threading.Event()

    def read():
        with steered_http.stream("GET", held[0]):
            came.set()

    reader = threading.Thread(target=read)
    reader.start()
    # Long enough for headers that are sent at once, as those of other answers are.
    assert not came.wait(0.3)
    steered.builds.write(held[1], "hello")
    assert came.wait(10)
    reader.join(10)


@fact("stream-17", "A running build gives no heartbeats.")
@only_here("needs a build that is silent")
def test_a_running_build_is_silent(steered, steered_http, held):
    steered.builds.write(held[1], "first")
    with steered_http.stream("GET", held[0]) as answer:
        stream = lines_of(answer)
        assert next(stream)["text"] == "first"
        # A queued build would give ten heartbeats meanwhile.
        time.sleep(0.2)
        steered.builds.write(held[1], "second")
        assert next(stream)["text"] == "second"


@fact("stream-18", "A log may end without a last event, while the build goes on.")
@only_here("needs a control plane that is shut down")
def test_a_log_may_end_early(steered, steered_http, held):
    steered.builds.write(held[1], "hello")
    steered.builds.close_log(held[1])

    events = events_of(steered_http.get(held[0]))

    assert [event["finished"] for event in events] == [False]
    assert steered_http.get(held[0].removesuffix("/logs")).json()["status"] == "building"


@fact("stream-21", "A failure without a code has no event on the stream `error` before the last one.")
@only_here("needs a builder that dies")
def test_a_failure_without_a_code_is_not_in_the_log(steered, steered_http):
    spec = {"from": BASE_IMAGE, "start_cmd": "x" * 131_072}
    row = steered_http.post("/templates", json={"name": "too-long", "build_spec": spec}).json()
    steered.builds.wait_for(row["build_id"], "failed")
    path = f"/templates/{row['id']}/builds/{row['build_id']}"

    (event,) = events_of(steered_http.get(f"{path}/logs"))

    assert (event["stream"], event["text"], event["finished"]) == ("system", "failed", True)
    assert steered_http.get(path).json()["error_message"].startswith("template-builder exited: ")


@fact(
    "stream-22",
    "When the control plane is shut down, open logs go on for 15 s and are then cut off, without a last chunk.",
)
@only_here("needs a control plane that is shut down")
def test_a_shutdown_cuts_logs_off():
    with LocalServer(speed=1000) as server, PoliteClient(server.base_url, server.api_key) as client:
        server.builds.hold()
        row = client.post("/templates", json={"name": "cut", "build_spec": {"from": BASE_IMAGE}}).json()
        server.builds.wait_for(row["build_id"], "building")
        server.builds.write(row["build_id"], "hello")
        path = f"/templates/{row['id']}/builds/{row['build_id']}/logs"
        with client.stream("GET", path) as answer:
            stream = lines_of(answer)
            assert next(stream)["text"] == "hello"
            server.stop(drain_s=15)
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
                list(stream)


@fact(
    "stream-19",
    "A text is one read of up to 32 KiB: last newlines are cut, and characters may be.",
)
@only_here("needs output that is read in one go")
def test_a_text_is_one_read(steered, steered_http, held):
    steered.builds.write(held[1], "one\ntwo\r\n\n", "", "\n", "x" + "ü" * 20_000 + "\n\n", wait=False)
    steered.builds.finish(held[1])

    events = events_of(steered_http.get(held[0]))[:-1]

    # The end of the first read is in the middle of a character.
    reads = ["x" + "ü" * 16_383 + "\ufffd", "\ufffd" + "ü" * 3_616]
    assert [event["text"] for event in events] == ["one\ntwo\r", *reads]


@fact("stream-20", "A reader that is too slow loses events, silently.")
@only_here("needs a log that outruns its reader")
def test_a_slow_reader_loses_events(steered, steered_http, held):
    steered.builds.write(held[1], "first")
    with steered_http.stream("GET", held[0]) as answer:
        stream = lines_of(answer)
        assert next(stream)["text"] == "first"
        steered.builds.write(held[1], *(str(number) for number in range(1000)), wait=False)
        steered.builds.finish(held[1])
        rest = list(stream)

    # The last event may be among those that are lost.
    assert [event["text"] for event in rest if not event["finished"]] == [
        str(number) for number in range(256)
    ]


@fact("steps-1", "Each step is announced and completed as `Step i/n`, in order.")
def test_steps_are_announced_and_completed(events):
    said = [text for text in texts(events, "system") if text.startswith("Step ")]
    count = len(STEPS)

    assert said[::2] == [f"Step {number}/{count}" for number in range(1, count + 1)]
    for number, text in enumerate(said[1::2], start=1):
        assert re.fullmatch(rf"Step {number}/{count} completed \(.+s\)", text)


@fact("steps-2", "A command is shown after a dollar sign, cut at 256 bytes.")
def test_commands_are_shown(events):
    said = texts(events, "system")

    assert f"$ {STEPS[0]['run']}" in said
    assert f"$ {STEPS[-1]['run'][:256]}…" in said


@fact("steps-3", "stdout and stderr have streams of their own.")
def test_output_has_streams(events):
    assert any("<to> stdout" in text for text in texts(events, "stdout"))
    assert any("to stderr" in text for text in texts(events, "stderr"))


@fact("steps-4", "The value of a variable isn't logged.")
def test_values_are_not_logged(log):
    assert b"not-to-be-seen" not in log.content


@fact("steps-6", "start_cmd and ready_cmd have lines of their own, and none with a dollar sign.")
def test_start_and_ready_commands_are_shown(events):
    said = texts(events, "system")

    assert "Running start command: false" in said
    assert "Waiting for template to be ready: true" in said
    assert not {"$ false", "$ true"} & set(said)


@fact(
    "steps-8",
    "The builder says: Pulling image, Image ready, Starting build environment; Set, User: and Working directory: of "
    "steps; Template is ready, Saving template.",
)
def test_the_builder_has_its_lines(events):
    said = iter(texts(events, "system"))

    for line in (
        f"Pulling image {BASE_IMAGE}",
        "Image ready",
        "Starting build environment",
        "Set TOKEN",
        "User: app",
        "Working directory: /srv/app",
        "Template is ready",
        "Saving template",
        "ready",
    ):
        assert line in said, line


@fact("steps-7", "A command is run by /bin/sh in the folder and with the variables of the steps before.")
def test_steps_build_on_one_another(request, target, http):
    with contextlib.ExitStack() as stack:
        if target.is_local:
            server = stack.enter_context(LocalServer(speed=100, limits=False, execute=True))
            client = stack.enter_context(PoliteClient(server.base_url, server.api_key))
            maker = Maker(target, client)
        else:
            client, maker = http, request.getfixturevalue("maker")
        made = maker.make(
            steps=[
                {"env": {"key": "GREETING", "value": "hello"}},
                {"workdir": "/srv/conformance"},
                {"run": 'echo "$GREETING from $PWD by $0"'},
            ]
        )
        maker.wait_for(made, *ENDED)
        output = texts(events_of(client.get(f"{made.build_path}/logs")), "stdout")
        maker.unmake(made)

    assert any(
        "hello from " in text and "/srv/conformance by " in text and "sh" in text for text in output
    ), output


@fact("steps-5", "Steps for users and folders show the commands that do their work.")
def test_helpers_are_shown(events):
    said = texts(events, "system")

    assert any(text.startswith("$ ") and "adduser" in text for text in said)
    assert any(text.startswith("$ ") and "mkdir" in text and "/srv/app" in text for text in said)
