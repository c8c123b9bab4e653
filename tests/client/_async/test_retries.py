"""What is sent again, how often, after how long, and what is sent once."""

import gzip
import logging
import ssl

import pytest

from superserve import (
    AsyncTemplate,
    NotFoundError,
    RateLimitError,
    SandboxConnectionError,
    SandboxError,
    SandboxTimeoutError,
    ServerError,
)
from superserve._http import retry
from tests.patience import given_time
from tests.wire import chunk, cut, envelope, head, reply, reset, stall

pytestmark = pytest.mark.usefixtures("no_backoff")

ID = "7a3f2b8c-0000-4000-8000-000000000001"
TEMPLATE = {
    "id": ID,
    "team_id": "7a3f2b8c-0000-4000-8000-000000000002",
    "name": "my-env",
    "status": "ready",
    "vcpu": 1,
    "memory_mib": 1024,
    "disk_mib": 4096,
    "created_at": "2026-05-01T12:00:00Z",
}
GOOD = reply(json=TEMPLATE)
LIMITED = reply(429, json=envelope("rate_limited", "Slow down."))
WHOLE = GOOD.split(b"\r\n\r\n")[0] + b"\r\n\r\n"
PASSING = {
    "429": LIMITED,
    "429 without a code": reply(429),
    "502": reply(502, "<html>", content_type="text/html"),
    "503": reply(503),
    "504": reply(504),
    "closed": cut(),
    "reset": reset(),
    "cut in the status line": cut(b"HTTP/1.1 20"),
    "cut in the headers": cut(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "cut before the body": cut(WHOLE),
    "cut in the body": cut(GOOD[:-5]),
    "reset in the body": reset(GOOD[:-5]),
    "cut in a chunk": cut(head(200, {"Transfer-Encoding": "chunked"}) + b"5\r\nab"),
    "cut between chunks": cut(head(200, {"Transfer-Encoding": "chunked"}) + chunk(b"{")),
    "cut in a packed body": cut(
        head(200, {"Content-Encoding": "gzip", "Content-Length": "1000"}) + gzip.compress(b"x" * 900)[:10]
    ),
    "no HTTP": cut(b"SSH-2.0-OpenSSH\r\n\r\n"),
}
LASTING = {
    "500": (reply(500), ServerError),
    "501": (reply(501), ServerError),
    "520": (reply(520), ServerError),
    "404": (reply(404), NotFoundError),
    "408": (reply(408), SandboxError),
    "builds used up": (reply(429, json=envelope("too_many_builds", "At most 5.")), RateLimitError),
    "templates used up": (reply(429, json=envelope("too_many_templates", "At most 10.")), RateLimitError),
    "nonsense": (reply(200, "<html>"), SandboxError),
    "broken packing": (reply(200, "no gzip", headers={"Content-Encoding": "gzip"}), SandboxError),
}


@pytest.fixture
def template(connect, serve):
    """Return a template of a scripted server and that server, ready for what comes next."""

    async def template(*answers, **options):
        wire = serve(GOOD)
        template = await AsyncTemplate.connect(ID, client=connect(wire))
        if options:
            # The call before may have taken longer, on a busy machine.
            template = AsyncTemplate(template._info, client=connect(wire, **options))
        wire.then(*answers)
        wire.requests.clear()
        return template, wire

    return template


READS = {
    "get_info": lambda template: template.get_info(),
    "list_builds": lambda template: template.list_builds(),
    "get_build": lambda template: template.get_build("b1"),
    "list": lambda template: AsyncTemplate.list(client=template._client),
    "connect": lambda template: AsyncTemplate.connect(ID, client=template._client),
}
REMOVALS = {
    "delete": lambda template: template.delete(),
    "delete_by_id": lambda template: AsyncTemplate.delete_by_id(ID, client=template._client),
    "cancel_build": lambda template: template.cancel_build("b1"),
}
CREATIONS = {
    "create": lambda template: AsyncTemplate.create(name="a", from_="b", client=template._client),
    "rebuild": lambda template: template.rebuild(),
}


@pytest.mark.parametrize("failure", PASSING.values(), ids=PASSING)
async def test_a_read_is_sent_again_when_that_may_help(template, failure):
    handle, wire = await template(failure, failure, GOOD)
    assert (await handle.get_info()).name == "my-env"
    assert len(wire.requests) == 3


@pytest.mark.parametrize("failure", PASSING.values(), ids=PASSING)
async def test_three_attempts_are_made_and_no_more(template, failure):
    handle, wire = await template(failure)
    with pytest.raises((RateLimitError, ServerError, SandboxConnectionError)):
        await handle.get_info()
    assert len(wire.requests) == 3


@pytest.mark.parametrize("call", READS.values(), ids=READS)
async def test_every_read_is_sent_again(template, call):
    handle, wire = await template(reply(503))
    with pytest.raises(ServerError):
        await call(handle)
    assert len(wire.requests) == 3
    assert {request.method for request in wire.requests} == {"GET"}
    assert len({request.target for request in wire.requests}) == 1


@pytest.mark.parametrize("call", REMOVALS.values(), ids=REMOVALS)
async def test_what_takes_something_away_is_sent_again_and_finding_it_gone_is_success(template, call):
    gone = reply(404, json=envelope("not_found", "not found"))
    handle, wire = await template(reply(502), reset(), gone)
    assert await call(handle) is None
    assert [request.method for request in wire.requests] == ["DELETE"] * 3


@pytest.mark.parametrize("call", REMOVALS.values(), ids=REMOVALS)
@pytest.mark.parametrize(
    "answer", [reply(404), reply(404, "<html>Not Found</html>", content_type="text/html")]
)
async def test_a_404_that_is_not_the_apis_own_is_success_and_a_warning_that_names_the_address(
    template, caplog, call, answer
):
    handle, wire = await template(answer)
    assert await call(handle) is None
    (warning,) = [record for record in caplog.records if record.name == "superserve"]
    assert warning.levelname == "WARNING"
    assert f"this counts as success. Is {wire.url} the address of the API?" in warning.getMessage()
    assert len(wire.requests) == 1


@pytest.mark.parametrize("call", REMOVALS.values(), ids=REMOVALS)
async def test_the_apis_own_404_is_success_without_a_word(template, caplog, call):
    handle, _ = await template(reply(404, json=envelope("not_found", "not found")))
    assert await call(handle) is None
    assert [record for record in caplog.records if record.name == "superserve"] == []


@pytest.mark.parametrize("call", CREATIONS.values(), ids=CREATIONS)
@pytest.mark.parametrize("failure", PASSING.values(), ids=PASSING)
async def test_what_creates_something_is_sent_once(template, failure, call):
    handle, wire = await template(failure)
    with pytest.raises((RateLimitError, ServerError, SandboxConnectionError)):
        await call(handle)
    assert [request.method for request in wire.requests] == ["POST"]


@pytest.mark.parametrize(("failure", "kind"), LASTING.values(), ids=LASTING)
async def test_what_repetition_does_not_help_is_not_repeated(template, failure, kind):
    handle, wire = await template(failure)
    with pytest.raises(kind):
        await handle.get_info()
    assert len(wire.requests) == 1


@pytest.mark.parametrize("attempts", [1, 2, 7])
async def test_the_attempts_are_counted_exactly(template, attempts):
    handle, wire = await template(reply(503), max_attempts=attempts)
    with pytest.raises(ServerError):
        await handle.get_info()
    assert len(wire.requests) == attempts


async def test_the_last_attempts_outcome_is_what_is_told(template):
    handle, _ = await template(reply(503), cut(), reply(502, json=envelope("odd", "Try another day.")))
    with pytest.raises(ServerError, match=r"could not get template .*: Try another day\. \[502 odd\]"):
        await handle.get_info()
    handle, _ = await template(reply(503), reply(502), cut())
    with pytest.raises(SandboxConnectionError, match="the connection to the server broke: "):
        await handle.get_info()


async def test_an_attempt_that_turns_out_lasting_ends_the_repetition(template):
    handle, wire = await template(reply(503), reply(404), GOOD)
    with pytest.raises(NotFoundError):
        await handle.get_info()
    assert len(wire.requests) == 2


async def test_a_certificate_that_is_not_trusted_is_told_at_once(serve, connect, monkeypatch):
    refused = []

    def refuse(*_arguments, **_options):
        refused.append(True)
        raise ssl.SSLCertVerificationError("certificate verify failed: self-signed certificate")

    # The one for blocking sockets, the other for those of event loops.
    for wrap in ("wrap_socket", "wrap_bio"):
        monkeypatch.setattr(ssl.SSLContext, wrap, refuse)
    wire = serve(stall())
    client = connect(wire, base_url=wire.url.replace("http:", "https:"))
    with pytest.raises(SandboxConnectionError) as caught:
        await AsyncTemplate.list(client=client)
    assert "self-signed certificate" in str(caught.value)
    assert str(caught.value).endswith(
        "; if the server has a certificate of a private authority, set SSL_CERT_FILE or SSL_CERT_DIR"
    )
    assert len(refused) == 1


async def test_what_is_tried_again_is_logged(template, caplog):
    caplog.set_level(logging.INFO, "superserve")
    handle, wire = await template(reply(503), reset(), GOOD)
    await handle.get_info()
    asked = f"GET {wire.url}/templates/{ID}"
    assert [record.getMessage() for record in caplog.records if record.name == "superserve"] == [
        f"{asked}: 503; again in 0.0 s",
        f"{asked}: ReadError; again in 0.0 s",
    ]


async def test_a_server_that_is_not_there_is_tried_again(template):
    handle, wire = await template(GOOD)
    wire.__exit__()
    with pytest.raises(SandboxConnectionError) as caught:
        await handle.get_info()
    assert f"cannot connect to {wire.url}: " in str(caught.value)


@given_time
async def test_retry_after_is_obeyed_and_not_shortened(template, monkeypatch, *, longer):
    monkeypatch.setattr(retry, "LONGEST_DELAY_S", 0.1 * longer)
    for wait in ("1", "Fri, 31 Dec 2999 23:59:59 GMT"):
        handle, wire = await template(reply(503, headers={"Retry-After": wait}), GOOD)
        await handle.get_info()
        first, second = wire.requests
        # Up to the cap; jitter comes on top of it.
        assert second.at - first.at >= 0.1 * longer


async def test_retry_after_of_zero_means_at_once(template, monkeypatch):
    monkeypatch.setattr(retry, "FIRST_DELAY_S", 3600.0)
    handle, wire = await template(reply(503, headers={"Retry-After": "0"}), GOOD)
    assert (await handle.get_info()).name == "my-env"
    assert len(wire.requests) == 2


async def test_the_deadline_is_not_waited_over(template, monkeypatch):
    monkeypatch.setattr(retry, "LONGEST_DELAY_S", 3600.0)
    limited = reply(429, json=envelope("rate_limited", "Slow down."), headers={"Retry-After": "60"})
    handle, wire = await template(limited)
    # A minute would not fit into the client's 30 s: what is known is told at once.
    with pytest.raises(RateLimitError) as caught:
        await handle.get_info()
    assert caught.value.retry_after == 60
    assert len(wire.requests) == 1


@given_time
async def test_all_attempts_share_one_deadline(template, *, longer):
    handle, wire = await template(reply(503, headers={"Retry-After": "0"}), stall(), timeout_s=0.25 * longer)
    with pytest.raises(
        SandboxTimeoutError, match=f"no complete answer within the timeout of {0.25 * longer:g} s"
    ):
        await handle.get_info()
    assert len(wire.requests) == 2


@given_time
async def test_an_answer_that_does_not_come_is_not_asked_for_again(template, *, longer):
    handle, wire = await template(stall(), timeout_s=0.2 * longer)
    with pytest.raises(SandboxTimeoutError):
        await handle.get_info()
    assert len(wire.requests) == 1


async def test_attempts_that_were_answered_use_one_connection(template):
    handle, wire = await template(reply(503), reply(429), GOOD)
    await handle.get_info()
    assert wire.connections == 1
