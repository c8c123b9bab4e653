"""The client under the usual ways to mock httpx: only the documented requests are answered, each once."""

import inspect
import json
import re
from collections.abc import Iterator

import attrs
import httpx
import pytest
import respx

from superserve import (
    AsyncSuperserve,
    AsyncTemplate,
    AuthenticationError,
    BuildError,
    ConflictError,
    NotFoundError,
    RateLimitError,
    ServerError,
    Superserve,
    Template,
)
from tests.conftest import KEY
from tests.script import BUILD_ID, LINE, TEMPLATE_ID, build_row, template_row
from tests.wire import envelope, sse

pytestmark = pytest.mark.usefixtures("no_backoff")

URL = "https://api.superserve.test"
TEMPLATE = f"/templates/{TEMPLATE_ID}"
BUILDS = f"{TEMPLATE}/builds"
BUILD = f"{BUILDS}/{BUILD_ID}"
LOGS = f"{BUILD}/logs"
END = {**LINE, "stream": "system", "text": "ready", "finished": True, "status": "ready"}


@attrs.frozen
class Mocked:
    """A request that is expected once, and its answer."""

    method: str
    target: str
    status: int = 200
    content: bytes = b""
    kind: str = "application/json"

    def response(self) -> httpx.Response:
        headers = {"Content-Type": self.kind} if self.content else {}
        return httpx.Response(self.status, content=self.content, headers=headers)


def get(target, value, status=200):
    return Mocked("GET", target, status, json.dumps(value).encode())


def post(target, value, status):
    return Mocked("POST", target, status, json.dumps(value).encode())


def delete(target, status=204):
    return Mocked("DELETE", target, status)


def log(*events):
    return Mocked("GET", LOGS, 200, sse(*events), "text/event-stream")


CREATED = post("/templates", template_row("building", build_id=BUILD_ID), 202)
CONNECTED = get(TEMPLATE, template_row(latest_build_id=BUILD_ID))
READY = get(TEMPLATE, template_row("ready", latest_build_id=BUILD_ID))


# What answers


def by_respx(mocked, _monkeypatch, _request) -> Iterator[None]:
    with respx.mock(assert_all_called=True, assert_all_mocked=True) as router:
        for method, target in dict.fromkeys((each.method, each.target) for each in mocked):
            answers = [each.response() for each in mocked if (each.method, each.target) == (method, target)]
            url = f"^{re.escape(URL + target)}$"
            router.route(method=method, url__regex=url).mock(side_effect=answers)
        yield


def by_pytest_httpx(mocked, _monkeypatch, request) -> Iterator[None]:
    # At its end it fails the test if anything else was asked for, or anything was not.
    httpx_mock = request.getfixturevalue("httpx_mock")
    for each in mocked:
        httpx_mock.add_response(
            method=each.method,
            url=URL + each.target,
            status_code=each.status,
            content=each.content,
            headers={"Content-Type": each.kind} if each.content else {},
        )
    yield


def by_a_stub(mocked, monkeypatch, _request) -> Iterator[None]:
    left = list(mocked)

    def answer(request):
        target = request.url.raw_path.decode()
        (found, *_) = [each for each in left if (each.method, each.target) == (request.method, target)]
        left.remove(found)
        return found.response()

    async def answer_soon(_transport, request):
        return answer(request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _transport, request: answer(request))
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", answer_soon)
    yield
    assert left == []


@pytest.fixture(params=[by_respx, by_pytest_httpx, by_a_stub], ids=lambda way: way.__name__)
def mock(request, monkeypatch):
    """Let these requests be answered, and no others."""
    begun = []

    def mock(*mocked):
        begun.append(request.param(mocked, monkeypatch, request))
        next(begun[0])

    yield mock
    assert next(begun[0], None) is None


# Who asks


class Colour:
    """Makes calls of one colour; what is awaitable is awaited."""

    def __init__(self, client, template):
        self.client = client(api_key=KEY, base_url=URL)
        self.template = template

    async def create(self):
        return await done(self.template.create(name="my-env", from_="python:3.11", client=self.client))

    async def connect(self):
        return await done(self.template.connect(TEMPLATE_ID, client=self.client))


async def done(result):
    return await result if inspect.isawaitable(result) else result


async def collected(events):
    return [event async for event in events] if hasattr(events, "__aiter__") else list(events)


@pytest.fixture(params=["sync", "async"])
def colour(request):
    return Colour(Superserve, Template) if request.param == "sync" else Colour(AsyncSuperserve, AsyncTemplate)


async def test_create_connect_and_get_info(mock, colour):
    mock(CREATED, CONNECTED, READY)
    assert (await colour.create()).latest_build_id == BUILD_ID
    template = await colour.connect()
    assert (await done(template.get_info())).status == "ready"


async def test_list(mock, colour):
    mock(
        get("/templates", [template_row(), template_row(name="other")]),
        get("/templates?name_prefix=my", [template_row()]),
    )
    names = [info.name for info in await done(colour.template.list(client=colour.client))]
    assert names == ["my-env", "other"]
    assert len(await done(colour.template.list(name_prefix="my", client=colour.client))) == 1


async def test_wait(mock, colour):
    mock(CREATED, get(BUILD, build_row("building")), get(BUILD, build_row("ready")), READY)
    template = await colour.create()
    assert (await done(template.wait_until_ready(poll_interval_s=0.01))).status == "ready"


async def test_wait_where_the_latest_build_is_not_known(mock, colour):
    mock(
        get(TEMPLATE, template_row("building")),
        get(f"{BUILDS}?limit=1", [build_row("building")]),
        get(BUILD, build_row("ready")),
        READY,
    )
    template = await colour.connect()
    assert (await done(template.wait_until_ready(poll_interval_s=0.01))).status == "ready"


async def test_wait_with_logs(mock, colour):
    mock(CREATED, get(BUILD, build_row("ready")), log(LINE, END), READY)
    template = await colour.create()
    events = []
    info = await done(template.wait_until_ready(on_log=events.append, poll_interval_s=0.01))
    assert info.status == "ready"
    assert [event.text for event in events] == ["hello", "ready"]


async def test_wait_for_a_build_that_fails(mock, colour):
    mock(CREATED, get(BUILD, build_row("failed", error_message="step_failed: no")))
    template = await colour.create()
    with pytest.raises(BuildError, match="step_failed: no"):
        await done(template.wait_until_ready(poll_interval_s=0.01))


@pytest.mark.parametrize("begin", [CREATED, CONNECTED], ids=["created", "connected"])
async def test_stream_build_logs(mock, colour, begin):
    mock(begin, log(LINE, LINE, END))
    template = await (colour.create() if begin is CREATED else colour.connect())
    events = []
    await done(template.stream_build_logs(on_event=events.append, build_id=BUILD_ID))
    assert [(event.text, event.finished) for event in events] == [
        ("hello", False),
        ("hello", False),
        ("ready", True),
    ]


async def test_stream_build_logs_that_the_server_closes_without_an_end(mock, colour):
    mock(CREATED, log(LINE))
    template = await colour.create()
    events = []
    await done(template.stream_build_logs(on_event=events.append))
    assert [event.text for event in events] == ["hello"]


async def test_iter_build_logs(mock, colour):
    mock(CREATED, log(LINE, END))
    template = await colour.create()
    assert [event.text for event in await collected(template.iter_build_logs())] == ["hello", "ready"]


async def test_rebuild_list_builds_get_build_cancel_build_and_delete(mock, colour):
    mock(
        CONNECTED,
        post(BUILDS, build_row("pending"), 201),
        get(f"{BUILDS}?limit=2", [build_row("pending"), build_row("ready")]),
        get(BUILD, build_row("building")),
        delete(BUILD),
        delete(TEMPLATE),
    )
    template = await colour.connect()
    assert (await done(template.rebuild())).status == "pending"
    assert len(await done(template.list_builds(limit=2))) == 2
    assert (await done(template.get_build(BUILD_ID))).status == "building"
    assert await done(template.cancel_build(BUILD_ID)) is None
    assert await done(template.delete()) is None


async def test_delete_by_id_of_what_is_gone(mock, colour):
    mock(Mocked("DELETE", TEMPLATE, 404, json.dumps(envelope("not_found", "No.")).encode()))
    assert await done(colour.template.delete_by_id(TEMPLATE_ID, client=colour.client)) is None


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "unauthorized", AuthenticationError),
        (404, "not_found", NotFoundError),
        (409, "conflict", ConflictError),
        (429, "too_many_builds", RateLimitError),
        (500, "internal", ServerError),
    ],
)
async def test_errors(mock, colour, status, code, kind):
    mock(CONNECTED, post(BUILDS, envelope(code, "It did not work."), status))
    template = await colour.connect()
    with pytest.raises(kind) as caught:
        await done(template.rebuild())
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert caught.value.message == "It did not work."


async def test_a_create_is_sent_once(mock, colour):
    mock(Mocked("POST", "/templates", 503))
    with pytest.raises(ServerError):
        await colour.create()


async def test_a_get_is_repeated(mock, colour):
    mock(Mocked("GET", TEMPLATE, 503), Mocked("GET", TEMPLATE, 429), CONNECTED)
    assert (await colour.connect()).name == "my-env"


async def test_a_log_is_asked_for_again_when_the_server_is_busy(mock, colour):
    mock(CREATED, Mocked("GET", LOGS, 503), log(LINE, END))
    template = await colour.create()
    assert [event.text for event in await collected(template.iter_build_logs())] == ["hello", "ready"]
