"""What faults do to requests and their answers, seen over sockets and httpx."""

import json
import time

import httpx
import pytest

from superserve.local import LocalServer
from tests.local.talk import Talk

LIST = "GET /templates"
LOGS = "streamTemplateBuildLogs"
ENDINGS = ("cut", "reset", "stall")


@pytest.fixture
def talk(server):
    with Talk(server) as talk:
        yield talk


@pytest.fixture
def body(http):
    """What a list of templates looks like when nothing is wrong."""
    return http.get("/templates").content


@pytest.fixture
def ended_build(server):
    """The path of a log with five lines and the last event."""
    template_id = server.templates.add()
    build_id = server.builds.add(template_id, log=["one", "two", "three", "four", "five"])
    return f"/templates/{template_id}/builds/{build_id}/logs"


def texts(stream):
    return [json.loads(frame.removeprefix("data: "))["text"] for frame in stream.split("\n\n") if frame]


# Answers


def test_an_answer_has_the_given_status_headers_and_body(server, http):
    server.faults.on(LIST).answer(
        502, headers={"Content-Type": "text/html", "Retry-After": "7", "X-Name": "ü"}, body="<h1>ü</h1>"
    )

    answer = http.get("/templates")

    assert (answer.status_code, answer.reason_phrase, answer.text) == (502, "Bad Gateway", "<h1>ü</h1>")
    assert (answer.headers["content-type"], answer.headers["retry-after"]) == ("text/html", "7")
    assert answer.headers["x-name"].encode("latin-1") == "ü".encode("latin-1")
    assert "x-frame-options" not in answer.headers


@pytest.mark.parametrize(
    ("given", "content_type", "content"),
    [
        ({"body": "oops"}, "text/plain; charset=utf-8", b"oops"),
        ({"body": b"\xff"}, None, b"\xff"),
        ({"json": {"a": [1]}}, "application/json; charset=utf-8", b'{"a": [1]}'),
        ({"json": None}, "application/json; charset=utf-8", b"null"),
        ({}, None, b""),
    ],
)
def test_the_body_of_an_answer_says_what_it_is(server, http, given, content_type, content):
    server.faults.on(LIST).answer(200, **given)

    answer = http.get("/templates")

    assert (answer.headers.get("content-type"), answer.content) == (content_type, content)


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "bad_request"), (401, "auth_failed"), (404, "not_found"), (409, "conflict"), (429, "rate_limited"),
     (418, "internal_error"), (503, "internal_error")],
)  # fmt: skip
def test_without_a_body_an_error_has_the_envelope_of_the_api(server, http, error, status, code):
    server.faults.on(LIST).answer(status)

    assert error(http.get("/templates")) == (status, code)


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body_can_be_given(server, http, status):
    server.faults.on(LIST).answer(status)

    assert (http.get("/templates").status_code, http.get("/templates").status_code) == (status, 200)


def test_the_connection_can_be_used_after_an_answer(server, talk):
    server.faults.on(LIST).answer(503, body="no")

    assert talk.send(LIST).head().startswith(b"HTTP/1.1 503")
    assert talk.read(2) == b"no"
    assert talk.send("GET /health").head().startswith(b"HTTP/1.1 200")


def test_an_answer_in_the_servers_place_can_be_late(server, http, talk):
    late = server.faults.on(LIST).answer(503, delay_s=600)
    server.faults.on(LIST).answer(504, delay_s=0.01)

    talk.send(LIST)
    late.wait_for()

    assert http.get("/templates").status_code == 504
    assert talk.is_silent()


@pytest.mark.parametrize("handled", [False, True])
def test_a_request_can_be_carried_out_although_its_answer_is_lost(server, http, handled):
    fault = server.faults.on("createTemplate").answer(504, handled=handled)

    answer = http.post("/templates", json={"name": "demo", "build_spec": {"from": "debian:12"}})

    assert (answer.status_code, fault.struck) == (504, 1)
    names = [row["name"] for row in http.get("/templates").json()]
    assert ("demo" in names) is handled


def test_an_answer_instead_of_a_stream_without_end(server, http, create, host):
    server.builds.hold()
    template_id, build_id = create()
    server.builds.write(build_id, "hello")
    server.faults.on(LOGS).answer(502, handled=True)

    answer = http.get(f"/templates/{template_id}/builds/{build_id}/logs")

    assert answer.status_code == 502
    assert host.records[build_id].log._subscriptions == set()


# Bodies


def garbled(server, http, how, path="/templates", **options):
    server.faults.on("GET " + path, **options).garble(how)
    return http.get(path)


def test_truncated_json_stops_somewhere_and_has_a_length_that_fits(server, http, body):
    answers = [garbled(server, http, "truncated", seed=seed) for seed in range(5)]

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["content-type"] for answer in answers} == {"application/json; charset=utf-8"}
    assert len({len(answer.content) for answer in answers}) > 1
    for answer in answers:
        assert answer.content
        assert body.startswith(answer.content)
        with pytest.raises(ValueError):
            answer.json()


def test_a_body_can_be_a_page_or_a_sentence_instead(server, http):
    page, sentence = garbled(server, http, "html"), garbled(server, http, "text")

    assert (page.status_code, page.headers["content-type"]) == (200, "text/html")
    assert page.text.startswith("<html>")
    assert (sentence.status_code, sentence.headers["content-type"]) == (200, "text/plain")
    with pytest.raises(ValueError):
        sentence.json()


def test_a_body_can_be_empty_or_no_text(server, http):
    empty, binary = garbled(server, http, "empty"), garbled(server, http, "binary")

    assert (empty.status_code, empty.content, empty.headers["content-length"]) == (200, b"", "0")
    assert binary.headers["content-type"] == "application/json; charset=utf-8"
    with pytest.raises(UnicodeDecodeError):
        binary.content.decode()


def test_json_can_have_another_shape(server, http):
    template_id = server.templates.add("demo")

    objects = garbled(server, http, "mistyped").json()
    array = garbled(server, http, "mistyped", f"/templates/{template_id}").json()

    assert "demo" in [row["name"] for row in objects["items"]]
    assert [row["name"] for row in array] == ["demo"]


def test_the_way_a_body_is_spoiled_follows_the_seed(server, http):
    def seen(seed):
        with server.faults.on(LIST, share=1, seed=seed).garble():
            return [http.get("/templates").content for _ in range(12)]

    first = seen(1)

    assert len({content[:5] for content in first}) > 2
    assert first == seen(1)
    assert first != seen(2)


def test_errors_are_spoiled_too_and_their_status_stays(server, http):
    answer = garbled(server, http, "truncated", "/templates/nonsense")

    assert answer.status_code == 400
    with pytest.raises(ValueError):
        answer.json()


def test_what_has_no_body_is_not_spoiled(server, http):
    template_id = server.templates.add()
    fault = server.faults.on("deleteTemplate").garble("html")

    answer = http.delete(f"/templates/{template_id}")

    assert (answer.status_code, answer.content) == (204, b"")
    assert (fault.struck, fault.left) == (0, 0)


@pytest.mark.parametrize("how", ["truncated", "html", "text", "empty", "binary"])
def test_every_event_of_a_log_can_be_spoiled(server, http, ended_build, how):
    server.faults.on(LOGS).garble(how)

    answer = http.get(ended_build)

    assert answer.headers["content-type"] == "text/event-stream"
    frames = answer.content.split(b"\n\n")
    assert len(frames) == 7
    assert frames.pop() == b""
    for frame in frames:
        assert frame.startswith(b"data: ")
        with pytest.raises(ValueError):
            json.loads(frame.removeprefix(b"data: "))


def test_events_of_a_log_can_have_another_shape(server, http, ended_build):
    server.faults.on(LOGS).garble("mistyped")

    frames = http.get(ended_build).text.split("\n\n")[:-1]

    assert [json.loads(frame.removeprefix("data: "))[0]["text"] for frame in frames][:2] == ["one", "two"]


# Delays: how long they are is not looked at, only what has come while they last


def test_an_answer_can_be_late(server, http, talk):
    fault = server.faults.on("POST /templates").delay(600)

    talk.send("POST /templates", b'{"name": "demo", "build_spec": {"from": "debian:12"}}')
    fault.wait_for()

    assert talk.is_silent()
    assert "demo" in [row["name"] for row in http.get("/templates").json()], "it was carried out at once"


@pytest.mark.parametrize("count", [0, 1, 20])
def test_the_rest_of_a_body_can_be_late(server, talk, body, count):
    fault = server.faults.on(LIST).delay(600, after_bytes=count)

    head = talk.send(LIST).head()

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert talk.read(count) == body[:count]
    fault.wait_for()
    assert talk.is_silent()


@pytest.mark.parametrize("place", [{}, {"after_bytes": 0}, {"after_bytes": 20}])
def test_what_is_late_comes_whole(server, http, body, place):
    fault = server.faults.on(LIST).delay(0.01, **place)

    assert http.get("/templates").content == body
    assert fault.struck == 1


def test_events_of_a_log_can_be_late(server, http, talk, ended_build):
    server.faults.on(LOGS).delay(0.01, after_events=2)
    late = server.faults.on(LOGS).delay(600, after_events=2)

    assert texts(http.get(ended_build).text) == ["one", "two", "three", "four", "five", "ready"]
    talk.send("GET " + ended_build).head()
    late.wait_for()

    assert texts(talk.event() + talk.event()) == ["one", "two"]
    assert talk.is_silent()


def test_a_body_can_come_a_few_bytes_at_a_time(server, http, talk, body):
    server.faults.on(LIST).drip(0, count=100)
    assert http.get("/templates").content == body
    server.faults.on(LIST).drip(600, count=5)
    talk.send(LIST).head()
    assert talk.is_silent()


def test_events_of_a_log_can_drip(server, http, ended_build):
    fault = server.faults.on(LOGS).drip(0, count=7)
    assert texts(http.get(ended_build).text)[:5] == ["one", "two", "three", "four", "five"]
    assert fault.struck == 1


def test_a_client_that_leaves_ends_its_drip(server, http):
    fault = server.faults.on(LIST).drip(600)
    with pytest.raises(httpx.ReadTimeout):
        http.get("/templates", timeout=0.1)
    fault.wait_for()
    assert http.get("/templates").status_code == 200


def test_a_client_that_leaves_ends_its_delay(server, http):
    server.faults.on(LIST).delay(600)
    with pytest.raises(httpx.ReadTimeout):
        http.get("/templates", timeout=0.05)

    running = server._running()

    async def tasks():
        return set(running.services.streams._tasks)

    until = time.monotonic() + 60
    while running.call(tasks()):
        assert time.monotonic() < until, "the delay goes on"


# Ends


@pytest.mark.parametrize("how", ENDINGS)
def test_a_connection_ends_before_the_answer(server, talk, how):
    fault = getattr(server.faults.on("POST /templates"), how)()

    talk.send("POST /templates", b'{"name": "demo", "build_spec": {"from": "debian:12"}}')

    fault.wait_for()
    if how == "stall":
        assert talk.is_silent()
    else:
        assert talk.rest() == (b"", "closed" if how == "cut" else "reset")
    assert server.requests.last.status is None


@pytest.mark.parametrize("how", ENDINGS)
@pytest.mark.parametrize("handled", [False, True])
def test_the_request_is_carried_out_only_if_that_is_asked_for(server, http, talk, how, handled):
    fault = getattr(server.faults.on("createTemplate"), how)(handled=handled)

    talk.send("POST /templates", b'{"name": "demo", "build_spec": {"from": "debian:12"}}')
    fault.wait_for()

    names = [row["name"] for row in http.get("/templates").json()]
    assert ("demo" in names) is handled


@pytest.mark.parametrize("how", ENDINGS)
@pytest.mark.parametrize("count", [0, 1, 12, 30])
def test_an_answer_ends_in_its_head(server, talk, how, count):
    fault = getattr(server.faults.on(LIST), how)(head_bytes=count)

    talk.send(LIST)
    fault.wait_for()

    if how == "stall":
        assert b"HTTP/1.1 200 OK\r\ndate: ".startswith(talk.read(count)[:23])
        assert talk.is_silent()
        return
    data, end = talk.rest()
    assert len(data) == count
    assert b"HTTP/1.1 200 OK\r\ndate: ".startswith(data[:23])
    assert end == ("closed" if how == "cut" else "reset")


@pytest.mark.parametrize("how", ENDINGS)
@pytest.mark.parametrize("count", [0, 1, 100])
def test_an_answer_ends_in_its_body(server, talk, body, how, count):
    fault = getattr(server.faults.on(LIST), how)(after_bytes=count)

    head = talk.send(LIST).head()

    assert b"content-length: %d\r\n" % len(body) in head
    if how == "stall":
        assert talk.read(count) == body[:count]
        fault.wait_for()
        assert talk.is_silent()
    else:
        assert talk.rest() == (body[:count], "closed" if how == "cut" else "reset")
    assert (fault.struck, server.requests.last.status) == (1, 200)


def test_an_answer_that_is_shorter_arrives_whole_and_keeps_its_connection(server, talk, body):
    fault = server.faults.on(LIST).cut(after_bytes=len(body) + 1)

    talk.send(LIST).head()

    assert talk.read(len(body)) == body
    assert talk.send("GET /health").head().startswith(b"HTTP/1.1 200")
    assert (fault.struck, fault.left) == (0, 0)


def test_big_bodies_are_cut_at_the_byte(server, talk, http):
    server.templates.add_many(5000)
    body = http.get("/templates").content
    server.faults.on(LIST).cut(after_bytes=len(body) - 1)

    talk.send(LIST).head()

    assert talk.rest() == (b"%x\r\n" % len(body) + body[:-1], "closed")


def test_big_bodies_are_reset_with_what_the_client_has_not_taken(server, talk, http):
    server.templates.add_many(5000)
    body = http.get("/templates").content
    server.faults.on(LIST).reset(after_bytes=len(body) - 1)

    talk.send(LIST).head()

    data, end = talk.rest()
    assert (b"%x\r\n" % len(body) + body[:-1]).startswith(data)
    assert end == "reset"


def chunk(stream, index):
    """Return one chunk of a response as it was sent, with its size in front."""
    for _ in range(index):
        stream = stream[stream.index(b"\r\n") + 2 :]
        stream = stream[stream.index(b"\r\n") + 2 :]
    start = stream.index(b"\r\n") + 2
    return stream[: start + int(stream[:start], 16) + 2]


@pytest.fixture
def whole_log(server, ended_build):
    """The chunks of a log as they are sent."""
    with Talk(server) as talk:
        talk.send("GET " + ended_build).head()
        data = b""
        while not data.endswith(b"\r\n0\r\n\r\n"):
            data += talk.read(1)
    return data


@pytest.mark.parametrize("how", ["cut", "reset"])
def test_a_log_is_cut_between_events(server, talk, ended_build, whole_log, how):
    getattr(server.faults.on(LOGS), how)(after_events=2)

    assert b"transfer-encoding: chunked\r\n" in talk.send("GET " + ended_build).head().lower()
    assert talk.rest() == (
        chunk(whole_log, 0) + chunk(whole_log, 1),
        "closed" if how == "cut" else "reset",
    )


@pytest.mark.parametrize("how", ["cut", "reset"])
def test_a_log_is_cut_inside_a_chunk(server, talk, ended_build, whole_log, how):
    first, second = chunk(whole_log, 0), chunk(whole_log, 1)
    more = 10
    size = len(first) - first.index(b"\r\n") - 4
    getattr(server.faults.on(LOGS), how)(after_bytes=size + more)

    talk.send("GET " + ended_build).head()

    data, end = talk.rest()
    assert data == first + second[: second.index(b"\r\n") + 2 + more]
    assert end == ("closed" if how == "cut" else "reset")


def test_a_log_falls_silent_after_an_event_and_stays_open(server, talk, create):
    server.builds.hold()
    template_id, build_id = create()
    server.builds.write(build_id, "one")
    fault = server.faults.on(LOGS).stall(after_events=1)

    talk.send(f"GET /templates/{template_id}/builds/{build_id}/logs").head()
    fault.wait_for()
    server.builds.write(build_id, "two")
    server.builds.finish(build_id)
    server.builds.wait_for(build_id, "ready")

    assert texts(talk.event()) == ["one"]
    assert talk.is_silent()


def test_a_log_can_be_silent_from_the_start(server, talk, ended_build):
    fault = server.faults.on(LOGS).stall()

    talk.send("GET " + ended_build)
    fault.wait_for()

    assert talk.is_silent()


def test_a_log_can_be_silent_after_its_headers(server, talk, ended_build):
    fault = server.faults.on(LOGS).stall(after_bytes=0)

    head = talk.send("GET " + ended_build).head()
    fault.wait_for()

    assert b"content-type: text/event-stream\r\n" in head
    assert talk.is_silent()


def test_a_log_can_end_in_good_order_without_its_last_events(server, http, ended_build):
    fault = server.faults.on(LOGS).cut(after_events=2, clean=True)

    assert texts(http.get(ended_build).text) == ["one", "two"]
    assert texts(http.get(ended_build).text)[-1] == "ready"
    assert fault.struck == 1


@pytest.mark.parametrize("count", [0, 10])
def test_a_body_can_end_in_good_order_too_early(server, talk, body, count):
    server.faults.on(LIST).cut(after_bytes=count, clean=True)

    head = talk.send(LIST).head()

    assert b"content-length: %d\r\n" % count in head
    assert talk.read(count) == body[:count]
    assert talk.send("GET /health").head().startswith(b"HTTP/1.1 200")


def test_an_error_instead_of_a_log_has_no_events(server, http, error):
    fault = server.faults.on(LOGS).cut(after_events=0)

    assert error(http.get("/templates/x/builds/y/logs"))[0] == 400
    assert fault.struck == 0


def test_a_readers_log_is_left_when_its_answer_has_ended(server, talk, create, wait_for_readers):
    server.builds.hold()
    template_id, build_id = create()
    server.builds.write(build_id, "one", "two")
    server.faults.on(LOGS).cut(after_events=1)

    talk.send(f"GET /templates/{template_id}/builds/{build_id}/logs").rest()

    wait_for_readers(server, build_id, 0)


# Orders


def test_events_come_twice(server, http, ended_build):
    fault = server.faults.on(LOGS).duplicate()

    stream = http.get(ended_build).text

    assert texts(stream) == [
        "one",
        "one",
        "two",
        "two",
        "three",
        "three",
        "four",
        "four",
        "five",
        "five",
        "ready",
        "ready",
    ]
    frames = stream.split("\n\n")
    assert frames[0] == frames[1]
    assert fault.struck == 1


def test_some_events_come_twice_as_the_seed_has_it(server, http, ended_build):
    def seen(seed):
        with server.faults.on(LOGS, seed=seed, share=1).duplicate(chance=0.5):
            return [texts(http.get(ended_build).text) for _ in range(4)]

    first = seen(1)

    assert 24 < sum(map(len, first)) < 48
    assert first == seen(1)
    assert first != seen(2)


def test_events_come_in_another_order(server, http, ended_build):
    order = ["one", "two", "three", "four", "five", "ready"]
    server.faults.on(LOGS, seed=1).reorder(group=6)
    server.faults.on(LOGS, seed=1).reorder(group=6)
    server.faults.on(LOGS).reorder(group=2)

    first, again, pairs = (texts(http.get(ended_build).text) for _ in range(3))

    assert sorted(first) == sorted(order)
    assert first == again != order
    assert pairs == ["two", "one", "four", "three", "ready", "five"]


def test_an_incomplete_group_comes_at_the_end_of_the_log(server, http, ended_build):
    server.faults.on(LOGS, seed=1).reorder(group=100)

    assert sorted(texts(http.get(ended_build).text)) == sorted(
        ["one", "two", "three", "four", "five", "ready"]
    )


@pytest.mark.parametrize("verb", ["duplicate", "reorder"])
def test_an_error_instead_of_a_log_is_left_alone(server, http, error, verb):
    fault = getattr(server.faults.on(LOGS), verb)()

    assert error(http.get("/templates/x/builds/y/logs"))[0] == 400
    assert fault.struck == 0


# Stopping


def stalled(server):
    """Keep four requests from being answered, in four ways."""
    template_id = server.templates.add()
    build_id = server.builds.add(template_id, log=["one"])
    faults = {
        "GET /templates": server.faults.on(LIST).stall(),
        "GET /health": server.faults.on("health").delay(3600),
        f"GET /templates/{template_id}": server.faults.on("getTemplate").delay(3600, after_bytes=5),
        f"GET /templates/{template_id}/builds/{build_id}/logs": server.faults.on(LOGS).stall(after_events=1),
    }
    talks = [Talk(server).send(request) for request in faults]
    for fault in faults.values():
        fault.wait_for()
    return talks


def ends(talks):
    """Return how the connections ended, after what was still to be read."""
    found = []
    for talk in talks:
        with talk:
            found.append(talk.rest()[1])
    return found


def test_faults_do_not_hold_up_stopping_and_leave_nothing(belongings, caplog):
    with LocalServer(limits=False) as server:
        talks = stalled(server)

    assert ends(talks) == ["closed"] * 4
    assert belongings.left() == set()
    assert caplog.records == []


def test_a_reset_ends_what_faults_hold(server, http, caplog):
    talks = stalled(server)

    server.reset()

    assert ends(talks) == ["closed"] * 4
    assert http.get("/templates").status_code == 200
    assert len(server.faults) == 0
    assert caplog.records == []


@pytest.mark.slow
def test_stopping_does_not_wait_for_clients_that_do_not_read_what_is_to_be_cut(belongings):
    # More than the system's buffers take, which grow to ten million bytes.
    with LocalServer(limits=False) as server:
        server.templates.add_many(60_000)
        server.faults.on(LIST).cut(after_bytes=16_000_000)
        talk = Talk(server).send(LIST)
        talk.head()

    with talk:
        assert len(talk.rest()[0]) < 16_000_000
    assert belongings.left() == set()


# One log


def test_one_build_of_one_template_can_be_meant(server, http, ended_build):
    server.faults.on("GET " + ended_build, share=1).duplicate()
    other_template = server.templates.add()
    other = f"/templates/{other_template}/builds/{server.builds.add(other_template, log=['a'])}/logs"

    assert texts(http.get(other).text) == ["a", "ready"]
    assert texts(http.get(ended_build).text)[:2] == ["one", "one"]
