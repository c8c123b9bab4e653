"""The log beside a wait: it is read as long as it may be, and never decides, delays or fails the wait."""

import itertools
import logging
import socket
import threading
import time

import pytest

from superserve import AsyncTemplate, BuildError, NotFoundError, SandboxError, SandboxTimeoutError
from superserve._async import build_logs, build_wait, reader
from superserve._streams.resume import Replay
from tests.patience import given_time
from tests.script import BUILD_ID, LINE, TEMPLATE_ID, Script, build_row
from tests.wire import STREAM_HEAD, chunk, cut, envelope, head, log, reply, reset, sse, stall

MORE = {**LINE, "timestamp": "2026-05-01T10:00:02Z", "text": "more"}
END = {
    "timestamp": "2026-05-01T10:00:03Z",
    "stream": "system",
    "text": "ready",
    "finished": True,
    "status": "ready",
}
HEARTBEAT = {"timestamp": "2026-05-01T10:00:00Z", "stream": "system", "text": "queued"}
TROUBLE = {"stream": "system", "text": "log stream lost", "finished": True, "status": "failed"}
OTHER_TROUBLE = {**TROUBLE, "text": "no such machine"}
AN_HOUR = {"Retry-After": "3600"}
EVENT = chunk(sse(LINE))

FOR_EVER_S = 600.0
# Far more than what the tests allow for, and far less than for ever.
SOON_S = 60.0


class Verdict:
    """The answer that a build has ended; it knows how long ago it was given first."""

    def __init__(self, status="ready", **fields):
        self.given = threading.Event()
        self._row = build_row(status, **fields)
        self._at = None

    def __call__(self, peer, _request):
        self._at = self._at or time.monotonic()
        self.given.set()
        peer.send(reply(json=self._row))

    @property
    def ago(self):
        return time.monotonic() - self._at


def once_asked_for(script, verdict, times=1):
    """Say that the build goes on until the log has been asked for, then the verdict."""

    def answer(peer, request):
        if script.count("logs") < times:
            peer.send(reply(json=build_row("building")))
        else:
            verdict(peer, request)

    return answer


@pytest.fixture
def bounds(monkeypatch):
    """Set how long a log may be read after the build's end, and the pauses before it is opened again."""

    def bounds(*, flowing_s=FOR_EVER_S, silent_s=FOR_EVER_S, not_open_s=FOR_EVER_S, pauses_s=(FOR_EVER_S,)):
        monkeypatch.setattr(build_wait, "FLOWING_S", flowing_s)
        monkeypatch.setattr(build_wait, "SILENT_S", silent_s)
        monkeypatch.setattr(build_wait, "NOT_OPEN_S", not_open_s)
        monkeypatch.setattr(build_logs, "REOPEN_PAUSES_S", pauses_s)

    bounds()
    return bounds


@pytest.fixture(autouse=True)
def _checked_body(bounds):
    """Read for ever, unless a test says how long."""


@pytest.fixture
def warnings(caplog):
    """What the logger warned of."""

    def warnings():
        return [
            record.getMessage()
            for record in caplog.records
            if record.name == "superserve" and record.levelno >= logging.WARNING
        ]

    warnings.forget = caplog.clear
    return warnings


async def follow(template, **options):
    """Wait; return the texts that the callback was given."""
    events = []
    await template.wait_until_ready(
        **{"on_log": events.append, "poll_interval_s": 0.02, "timeout_s": FOR_EVER_S, **options}
    )
    return [event.text for event in events]


# What is handed over


async def test_a_callback_gets_every_event_as_the_server_sent_it(scripted):
    events = [HEARTBEAT, LINE, LINE, MORE, END]
    script = Script(build=["building", "ready"], logs=[log(*events)])
    found = []
    await follow(await scripted(script), on_log=found.append)
    assert [(event.stream, event.text, event.finished, event.status) for event in found] == [
        (event["stream"], event["text"], event.get("finished", False), event.get("status") or None)
        for event in events
    ]
    assert not any(event.after_gap for event in found)


@given_time
async def test_no_event_is_invented_when_the_log_cannot_be_read(scripted, bounds, warnings, *, longer):
    warnings.forget()
    bounds(not_open_s=0.2 * longer)
    script = Script(build=["ready"], logs=[reply(404, json=envelope("not_found", "no log"))])
    assert await follow(await scripted(script)) == []
    [warning] = warnings()
    assert warning.startswith(f"the log of build {BUILD_ID} was not read to its end: could not read the log")


@given_time
async def test_what_was_read_is_delivered_however_long_the_callback_takes(scripted, bounds, *, longer):
    bounds(flowing_s=0.05 * longer, silent_s=0.05 * longer, not_open_s=0.05 * longer)
    lines = [{**LINE, "text": f"line {number}"} for number in range(600)]
    script = Script(build=["ready"], logs=[log(*lines, END)])
    texts = []

    def dawdle(event):
        texts.append(event.text)
        if len(texts) in (10, 300):
            time.sleep(0.1 * longer)

    await follow(await scripted(script), on_log=dawdle)
    assert texts == [*(line["text"] for line in lines), "ready"]


async def test_a_hole_is_a_flag_on_the_event_after_it(scripted, bounds, warnings):
    bounds(pauses_s=(0.01,))
    script = Script(logs=[cut(STREAM_HEAD + EVENT), log(MORE, END)])
    script.then(build=[once_asked_for(script, Verdict(), times=2)])
    events = []
    await follow(await scripted(script), on_log=events.append)
    assert [(event.text, event.after_gap) for event in events] == [
        ("hello", False),
        ("more", True),
        ("ready", False),
    ]
    assert warnings() == ["a part of the build log is missing: the server did not replay all of it"]


@pytest.mark.parametrize("said", ["failed", "cancelled", "exploded"])
async def test_what_the_log_says_of_the_build_never_decides(scripted, said):
    script = Script(build=["building"] * 5 + ["ready"], logs=[log({**END, "text": said, "status": said})])
    assert await follow(await scripted(script)) == [said]
    script = Script(build=["building", Verdict("failed", error_message="boot_failed: no")], logs=[log(END)])
    with pytest.raises(BuildError):
        await follow(await scripted(script))


# When the log is opened again


def test_the_pauses_are_those_that_are_promised(monkeypatch):
    monkeypatch.undo()
    assert build_logs.REOPEN_PAUSES_S == (0.5, 1, 2, 4, 8, 10)


async def test_a_log_that_finished_is_not_opened_again(scripted, bounds):
    bounds(pauses_s=(0.0,))
    script = Script(build=["building"] * 5 + ["ready"], logs=[log(LINE, END)])
    assert await follow(await scripted(script)) == ["hello", "ready"]
    assert script.count("logs") == 1


async def test_a_log_that_finished_is_not_asked_about_without_a_pause(scripted, monkeypatch):
    asked = []
    get = reader.AsyncReader.get

    def count(self, timeout_s):
        asked.append(timeout_s)
        return get(self, timeout_s)

    monkeypatch.setattr(reader.AsyncReader, "get", count)
    script = Script(build=["building"] * 3 + ["ready"], logs=[log(LINE, END)])
    await follow(await scripted(script), poll_interval_s=0.1)
    assert len(asked) < 50


@pytest.mark.parametrize(
    "ending",
    [cut(STREAM_HEAD + EVENT), log(LINE), log(LINE, TROUBLE), reset(STREAM_HEAD + EVENT), reply(503)],
    ids=["cut", "closed", "trouble", "reset", "refused"],
)
async def test_a_log_that_ended_is_opened_again_once_a_poll_made_since_then_says_that_the_build_goes_on(
    scripted, bounds, ending
):
    bounds(pauses_s=(0.0,))
    asked_too_early = []
    log_has_ended = threading.Event()  # after the first poll was made

    def end(peer, request):
        while script.count("build") == 0 and not peer._wire.closing.wait(0.01):
            pass
        if isinstance(ending, bytes):
            peer.send(ending)
        else:
            ending(peer, request)
        log_has_ended.set()

    def asked_before_that(peer, _request):
        peer.wait(log_has_ended)
        time.sleep(0.05)
        peer.send(reply(json=build_row("building")))

    def asked_since_then(peer, _request):
        asked_too_early.append(script.count("logs") != 1)
        peer.send(reply(json=build_row("building")))

    script = Script(logs=[end, log(LINE, END)])
    script.then(build=[asked_before_that, asked_since_then, once_asked_for(script, Verdict(), times=2)])
    texts = await follow(await scripted(script), poll_interval_s=0.1)
    assert [text for text in texts if text != TROUBLE["text"]] == ["hello", "ready"]
    assert asked_too_early == [False]


async def pauses(serve, connect, *logs, openings):
    """Wait until the log has been asked for so often; return the seconds between the requests for it."""
    script = Script(logs=logs)
    wire = serve(script)
    script.then(build=[once_asked_for(script, Verdict(), times=openings)])
    template = await AsyncTemplate.connect(TEMPLATE_ID, client=connect(wire))
    await template.wait_until_ready(on_log=str, poll_interval_s=0.01, timeout_s=FOR_EVER_S)
    moments = [request.at for request in wire.requests if request.path.endswith("/logs")][:openings]
    return [later - earlier for earlier, later in itertools.pairwise(moments)]


@pytest.mark.parametrize(
    "ending",
    [
        reply(503),
        reply(503, headers=AN_HOUR),
        reset(),
        cut(STREAM_HEAD + chunk(sse(HEARTBEAT))),
        log(HEARTBEAT),
        log(TROUBLE),
        log(HEARTBEAT, TROUBLE),
    ],
    ids=["refused", "refused for an hour", "reset", "heartbeat", "closed", "trouble", "both"],
)
@given_time
async def test_the_pauses_grow_and_neither_heartbeats_nor_trouble_nor_retry_after_change_them(
    serve, connect, bounds, ending, *, longer
):
    growing = tuple(seconds * longer for seconds in (0.02, 0.06, 0.1))
    bounds(pauses_s=growing, not_open_s=0.05)
    found = await pauses(serve, connect, ending, openings=5)
    assert all(pause >= least for pause, least in zip(found, (*growing, growing[-1]), strict=True))
    assert max(found) < SOON_S


@given_time
async def test_heartbeats_that_differ_do_not_change_the_pauses_either(serve, connect, bounds, *, longer):
    bounds(pauses_s=(0.01, 0.1 * longer), not_open_s=0.05)
    heartbeats = [log({**HEARTBEAT, "timestamp": f"2026-05-01T10:00:0{number}Z"}) for number in range(9)]
    assert min((await pauses(serve, connect, *heartbeats, openings=3))[1:]) >= 0.1 * longer


async def test_anything_new_starts_the_pauses_again(serve, connect, bounds):
    bounds(pauses_s=(0.01, FOR_EVER_S))
    lines = [{**LINE, "text": f"line {number}"} for number in range(5)]
    logs = [cut(STREAM_HEAD + chunk(sse(*lines[:count]))) for count in range(1, 6)]
    assert max(await pauses(serve, connect, *logs, log(*lines, END), openings=6)) < SOON_S


async def test_trouble_is_handed_over_again_only_if_it_says_something_else(scripted, bounds):
    bounds(pauses_s=(0.0,))
    logs = [log(TROUBLE), log(TROUBLE), log(LINE, TROUBLE), log(LINE, OTHER_TROUBLE), log(LINE, END)]
    script = Script(logs=logs)
    script.then(build=[once_asked_for(script, Verdict(), times=5)])
    texts = await follow(await scripted(script))
    assert texts == ["log stream lost", "hello", "no such machine", "ready"]


async def test_a_log_that_is_silent_for_long_is_opened_again(scripted, monkeypatch):
    monkeypatch.setattr(build_wait, "SILENCE_S", 0.2)
    script = Script(logs=[stall(STREAM_HEAD + EVENT), log(LINE, MORE, END)])
    script.then(build=[once_asked_for(script, Verdict(), times=2)])
    assert await follow(await scripted(script)) == ["hello", "more", "ready"]


@given_time
async def test_a_log_too_long_to_be_replayed_is_not_opened_again_for_its_silence(
    scripted, monkeypatch, bounds, *, longer
):
    bounds(silent_s=0.1 * longer)
    monkeypatch.setattr(build_wait, "SILENCE_S", 0.05)
    monkeypatch.setattr(build_wait, "REPLAYED", 1)
    script = Script(build=["building"] * 8 + ["ready"], logs=[stall(STREAM_HEAD + EVENT * 2)])
    assert await follow(await scripted(script)) == ["hello", "hello"]
    assert script.count("logs") == 1


# How long it is read after the build's end


@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "still open"])
async def test_a_log_that_has_ended_is_read_no_longer(scripted, warnings, is_open):
    whole = log(LINE, END)
    script = Script(logs=[stall(whole[: -len(chunk(b""))]) if is_open else whole])
    verdict = Verdict()
    script.then(build=[once_asked_for(script, verdict)])
    assert await follow(await scripted(script)) == ["hello", "ready"]
    assert verdict.ago < SOON_S
    assert script.count("logs") == 1
    assert warnings() == []


async def test_a_log_that_ends_after_its_build_is_read_to_its_end(scripted, warnings):
    verdict = Verdict()

    def late(peer, _request):
        peer.send(STREAM_HEAD + EVENT)
        peer.wait(verdict.given)
        for _ in range(5):
            time.sleep(0.05)
            peer.send(chunk(sse(MORE)))
        peer.send(chunk(sse(END)))
        peer.stall()

    script = Script(logs=[late])
    script.then(build=[once_asked_for(script, verdict)])
    assert await follow(await scripted(script)) == ["hello", *["more"] * 5, "ready"]
    assert verdict.ago < SOON_S
    assert warnings() == []


@given_time
async def test_a_log_that_never_ends_is_read_for_a_bounded_time(scripted, bounds, warnings, *, longer):
    warnings.forget()
    bounds(flowing_s=0.2 * longer)

    def drip(peer, _request):
        peer.send(STREAM_HEAD)
        while not peer._wire.closing.wait(0.01):
            peer.send(EVENT)

    verdict = Verdict()
    script = Script(logs=[drip])
    script.then(build=[once_asked_for(script, verdict)])
    texts = await follow(await scripted(script))
    assert len(texts) > 5
    assert 0.2 * longer <= verdict.ago < SOON_S
    assert warnings() == [f"the log of build {BUILD_ID} was not read to its end: it did not end in time"]


@given_time
async def test_an_endless_flood_is_read_for_a_bounded_time(scripted, bounds, monkeypatch, *, longer):
    bounds(flowing_s=0.1 * longer)
    monkeypatch.setattr(reader, "READ_AHEAD", 1024 * 1024)

    def flood(peer, _request):
        peer.send(STREAM_HEAD)
        while not peer._wire.closing.is_set():
            peer.send(EVENT * 100)

    verdict = Verdict()
    script = Script(logs=[flood])
    script.then(build=[once_asked_for(script, verdict)])
    assert len(await follow(await scripted(script))) > 100
    assert verdict.ago < SOON_S


@given_time
async def test_a_log_that_is_silent_is_read_for_a_moment(scripted, bounds, warnings, *, longer):
    warnings.forget()
    bounds(silent_s=0.15 * longer)
    verdict = Verdict()
    script = Script(logs=[stall(STREAM_HEAD + EVENT)])
    script.then(build=[once_asked_for(script, verdict)])
    assert await follow(await scripted(script)) == ["hello"]
    assert 0.15 * longer <= verdict.ago < SOON_S
    assert script.count("logs") == 1
    assert warnings() == [f"the log of build {BUILD_ID} was not read to its end: it did not end in time"]


def half_closed(peer, _request):
    """Say that nothing more will come, amid an event, and leave the connection open."""
    peer.send(STREAM_HEAD + EVENT[:-10])
    peer._socket.shutdown(socket.SHUT_WR)
    peer.stall()


BAD_LOGS = {
    "404": reply(404, json=envelope("not_found", "Build not found")),
    "401": reply(401, json=envelope("unauthorized", "no")),
    "500": reply(500),
    "429 for an hour": reply(429, json=envelope("rate_limited", "slow down"), headers=AN_HOUR),
    "503 for an hour": reply(503, headers=AN_HOUR),
    "reset": reset(),
    "reset amid": reset(STREAM_HEAD),
    "cut": cut(),
    "cut amid a chunk": cut(STREAM_HEAD + EVENT[:-10]),
    "half closed": half_closed,
    "a page": reply(200, "<html>", content_type="text/html"),
    "not HTTP": cut(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "within headers": stall(head(200, {"Content-Type": "text/event-stream"})[:-4]),
    "never answered": stall(),
    "trouble": log(TROUBLE),
}


@pytest.mark.parametrize("bad", BAD_LOGS.values(), ids=BAD_LOGS)
@given_time
async def test_a_log_that_cannot_be_read_is_tried_once_more_and_holds_up_no_wait(
    scripted, bounds, warnings, bad, *, longer
):
    warnings.forget()
    bounds(not_open_s=0.4 * longer)
    verdict = Verdict()
    script = Script(logs=[bad])
    script.then(build=[once_asked_for(script, verdict)])
    texts = await follow(await scripted(script))
    assert verdict.ago < SOON_S
    assert texts == ([TROUBLE["text"]] if bad is BAD_LOGS["trouble"] else [])
    assert script.count("logs") == 2
    [warning] = warnings()
    assert warning.startswith(f"the log of build {BUILD_ID} was not read to its end: ")


@pytest.mark.parametrize("bad", BAD_LOGS.values(), ids=BAD_LOGS)
@given_time
async def test_a_log_that_can_be_read_at_the_second_attempt_is_read_whole(
    scripted, bounds, warnings, bad, *, longer
):
    warnings.forget()
    bounds(not_open_s=1.0 * longer)
    script = Script(logs=[bad, log(LINE, MORE, END)])
    script.then(build=[once_asked_for(script, Verdict())])
    texts = [text for text in await follow(await scripted(script)) if text != TROUBLE["text"]]
    assert texts == ["hello", "more", "ready"]
    assert script.count("logs") == 2
    assert warnings() == []


@given_time
async def test_the_one_attempt_more_is_not_followed_by_another(scripted, bounds, *, longer):
    bounds(not_open_s=0.4 * longer)
    refused = threading.Event()

    def refuse(peer, _request):
        peer.send(reply(503))
        refused.set()

    def verdict(peer, _request):
        peer.wait(refused)
        time.sleep(0.1 * longer)
        peer.send(reply(json=build_row("ready")))

    script = Script(build=[verdict], logs=[refuse, stall()])
    await follow(await scripted(script))
    assert script.count("logs") == 2


async def test_a_log_that_the_server_closed_in_order_is_not_opened_for_a_build_that_has_ended(
    scripted, warnings
):
    script = Script(build=["building", "building", "ready"], logs=[log(LINE)])
    assert await follow(await scripted(script)) == ["hello"]
    assert script.count("logs") == 1
    assert warnings() == []


async def test_a_log_that_is_being_opened_again_when_its_build_ends_is_read_to_its_end(scripted, bounds):
    bounds(pauses_s=(0.0,), not_open_s=SOON_S)
    verdict = Verdict()

    def late(peer, _request):
        # As the server does: the headers come with the first event.
        peer.wait(verdict.given)
        time.sleep(0.1)
        peer.send(log(LINE, MORE, END))

    script = Script(logs=[log(LINE), late])
    script.then(build=[once_asked_for(script, verdict, times=2)])
    assert await follow(await scripted(script)) == ["hello", "more", "ready"]
    assert verdict.ago < SOON_S


# What never fails or delays the wait


@given_time
async def test_a_breakdown_of_the_reading_ends_the_log_and_not_the_wait(
    scripted, bounds, warnings, monkeypatch, *, longer
):
    warnings.forget()

    def break_down(replay, data):
        raise ZeroDivisionError("of course")

    bounds(not_open_s=0.2 * longer)
    monkeypatch.setattr(Replay, "take", break_down)
    script = Script(build=["building", "ready"], logs=[log(LINE, END)])
    template = await scripted(script)
    assert await follow(template) == []
    [warning] = warnings()
    assert "reading the log failed: ZeroDivisionError: of course" in warning
    with pytest.raises(SandboxError, match="reading the log failed: ZeroDivisionError: of course"):
        await template.stream_build_logs(on_event=str)


async def test_the_end_of_the_log_hastens_the_polls(scripted):
    script = Script(build=["building", "building", "ready"], logs=[log(LINE, END)])
    assert await follow(await scripted(script), poll_interval_s=50) == ["hello", "ready"]


@given_time
async def test_a_log_that_is_refused_does_not_hasten_the_polls(scripted, *, longer):
    script = Script(build=["building"], logs=[reply(404)])
    with pytest.raises(SandboxTimeoutError):
        await follow(await scripted(script), poll_interval_s=50, timeout_s=0.3 * longer)
    assert script.count("build") == 1


# When the wait ends before the build


def during_the_last_poll(script):
    """Send three events while the second poll is under way."""

    def send(peer, _request):
        peer.send(STREAM_HEAD)
        while script.count("build") < 2 and not peer._wire.closing.wait(0.01):
            pass
        peer.send(EVENT * 3)
        peer.stall()

    return send


@given_time
async def test_what_was_read_is_delivered_before_the_error_of_a_wait_whose_time_is_over(scripted, *, longer):
    script = Script(build=["building", stall()])
    script.then(logs=[during_the_last_poll(script)])
    events = []
    with pytest.raises(SandboxTimeoutError) as caught:
        await follow(await scripted(script), on_log=events.append, timeout_s=0.3 * longer)
    assert [event.text for event in events] == ["hello"] * 3
    assert str(caught.value).count("wait again") == 1


async def test_what_was_read_is_delivered_before_any_other_error_of_the_wait(scripted):
    def refuse(peer, _request):
        time.sleep(0.2)
        peer.send(reply(404, json=envelope("not_found", "Build not found")))

    script = Script(build=["building", refuse])
    script.then(logs=[during_the_last_poll(script)])
    events = []
    with pytest.raises(NotFoundError):
        await follow(await scripted(script), on_log=events.append)
    assert [event.text for event in events] == ["hello"] * 3


@given_time
async def test_a_callback_that_takes_longer_than_the_wait_is_still_given_what_was_read(scripted, *, longer):
    texts = []

    def dawdle(event):
        texts.append(event.text)
        if len(texts) == 1:
            time.sleep(0.3 * longer)

    script = Script(build=["building"], logs=[stall(STREAM_HEAD + chunk(sse(LINE, MORE, MORE)))])
    with pytest.raises(SandboxTimeoutError):
        await follow(await scripted(script), on_log=dawdle, timeout_s=0.2 * longer)
    assert texts == ["hello", "more", "more"]
