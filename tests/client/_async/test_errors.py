"""From a response to an error: its class, what it says, and what it holds."""

import pickle
import ssl
import traceback

import pytest

from superserve import (
    AsyncSuperserve,
    AsyncTemplate,
    AuthenticationError,
    ConflictError,
    NotFoundError,
    RateLimitError,
    SandboxConnectionError,
    SandboxError,
    SandboxTimeoutError,
    ServerError,
    ValidationError,
)
from tests.conftest import KEY
from tests.patience import given_time
from tests.wire import cut, envelope, head, reply, reset, stall

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


@pytest.fixture
def failing(serve, connect):
    """Make a call that a scripted server answers so; return the error that comes of it."""

    async def failing(*answers, call=None, **options):
        client = connect(serve(*answers), **options)
        with pytest.raises(SandboxError) as caught:
            await (call(client) if call else AsyncTemplate.connect(ID, client=client))
        return caught.value

    return failing


def throw(error):
    raise error


def create(client):
    return AsyncTemplate.create(name="my-env", from_="python:3.11", client=client)


async def test_an_error_says_what_was_done_to_which_object(client, failing):
    with pytest.raises(NotFoundError) as caught:
        await AsyncTemplate.connect(ID, client=client)
    assert str(caught.value).startswith(f"could not get template {ID}: ")
    assert str(caught.value).endswith(" [404 not_found]")
    assert caught.value.action == f"get template {ID}"
    error = await failing(reply(502, "<html>", content_type="text/html"))
    assert str(error) == f"could not get template {ID}: Bad Gateway [502]"


ACTIONS = {
    f"get template {ID}": lambda template: template.get_info(),
    "create template 'a'": lambda template: AsyncTemplate.create(
        name="a", from_="b", client=template._client
    ),
    "list templates": lambda template: AsyncTemplate.list(client=template._client),
    f"delete template {ID}": lambda template: template.delete(),
    f"rebuild template {ID}": lambda template: template.rebuild(),
    f"list the builds of template {ID}": lambda template: template.list_builds(),
    f"get build b-1 of template {ID}": lambda template: template.get_build("b-1"),
    f"cancel build b-1 of template {ID}": lambda template: template.cancel_build("b-1"),
}


@pytest.mark.parametrize(("action", "call"), ACTIONS.items(), ids=ACTIONS)
async def test_each_call_has_words_for_what_it_does(serve, connect, action, call):
    wire = serve(reply(json=TEMPLATE), reply(418, json=envelope("teapot", "No.")))
    template = await AsyncTemplate.connect(ID, client=connect(wire))
    with pytest.raises(SandboxError) as caught:
        await call(template)
    assert caught.value.action == action
    assert str(caught.value) == f"could not {action}: No. [418 teapot]"


async def test_a_log_that_cannot_be_read_is_an_error_that_says_so(serve, connect):
    build = {"id": "b-1", "template_id": ID, "status": "building", "build_spec_hash": "ab12"}
    build["created_at"] = TEMPLATE["created_at"]

    def answer(peer, request):
        is_log = request.path.endswith("/logs")
        peer.send(reply(418, json=envelope("teapot", "No.")) if is_log else reply(json=build))

    wire = serve(reply(json=TEMPLATE), answer)
    template = await AsyncTemplate.connect(ID, client=connect(wire))
    with pytest.raises(SandboxError) as caught:
        await template.stream_build_logs(on_event=print, build_id="b-1")
    assert str(caught.value) == f"could not read the log of build b-1 of template {ID}: No. [418 teapot]"


async def test_a_refused_key_says_what_to_check(server, failing):
    with pytest.raises(AuthenticationError) as caught:
        await AsyncTemplate.list(api_key="ss_live_wrong", base_url=server.base_url)
    assert caught.value.status_code == 401
    assert "check api_key= or SUPERSERVE_API_KEY" in str(caught.value)
    error = await failing(reply(401, "Unauthorized", content_type="text/plain"))
    assert str(error).endswith(": Unauthorized [401]; check api_key= or SUPERSERVE_API_KEY")
    error = await failing(reply(403, json=envelope("forbidden", "Not allowed.")))
    assert str(error).endswith("Not allowed. [403 forbidden]; this API key lacks the permission")


async def test_the_responses_headers_and_request_id_are_there(failing):
    error = await failing(reply(404, headers={"X-Request-ID": "r-1", "RateLimit-Remaining": "7"}))
    assert error.headers["ratelimit-remaining"] == "7"
    assert error.headers["x-request-id"] == error.request_id == "r-1"
    error = await failing(reply(404, headers={"X-Cloud-Trace-Context": "105445aa/1;o=1"}))
    assert error.request_id == "105445aa/1;o=1"
    error = await failing(reply(404))
    assert error.request_id is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ValidationError),
        (404, NotFoundError),
        (409, ConflictError),
        (429, RateLimitError),
        (500, ServerError),
    ],
)
async def test_each_status_has_its_class(failing, status, kind):
    error = await failing(reply(status, json=envelope("some_code", "What happened.")), max_attempts=1)
    assert (type(error), error.status_code, error.code) == (kind, status, "some_code")
    assert error.message == "What happened."


async def test_what_to_do_next_stands_apart_and_at_the_end(failing):
    error = await failing(reply(401, json=envelope("unauthorized", "No.")))
    assert (error.message, error.hint) == ("No.", "check api_key= or SUPERSERVE_API_KEY")
    assert str(error).endswith("No. [401 unauthorized]; check api_key= or SUPERSERVE_API_KEY")
    assert pickle.loads(pickle.dumps(error)).hint == error.hint


async def test_a_used_up_quota_says_what_to_do(failing):
    error = await failing(reply(429, json=envelope("too_many_templates", "At most 10 templates.")))
    assert error.retry_after is None
    assert str(error).endswith(
        "At most 10 templates. [429 too_many_templates]; delete a template that is no longer needed, then try again"
    )


async def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else(serve, connect, failing):
    elsewhere = serve(reply(200, json=[]))
    for status in (301, 302, 303, 307, 308):
        error = await failing(reply(status, headers={"Location": f"{elsewhere.url}/templates/{ID}"}))
        assert type(error) is SandboxError
        assert error.status_code == status
        assert "redirects are not followed: check base_url= or SUPERSERVE_BASE_URL" in str(error)
    assert elsewhere.connections == 0


async def test_errors_from_responses_survive_pickling_whole(failing):
    error = await failing(reply(404, json=envelope("not_found", "No."), headers={"X-Request-Id": "r-1"}))
    other = pickle.loads(pickle.dumps(error))
    assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize("status", [500, 503, 520])
async def test_a_create_that_fails_on_the_server_says_that_the_template_may_exist(failing, status):
    error = await failing(reply(status), call=create)
    assert "the template may have been created" in str(error)
    assert "Template.list(name_prefix='my-env')" in str(error)


@pytest.mark.parametrize(
    "answer", [cut(), reset(), cut(head(202)[:20]), cut(head(202, {"Content-Length": "9"}) + b"{}")]
)
async def test_a_create_whose_answer_is_lost_says_that_the_template_may_exist(failing, answer):
    error = await failing(answer, call=create)
    assert type(error) is SandboxConnectionError
    assert str(error).startswith("could not create template 'my-env': the connection to the server broke: ")
    assert "the template may have been created" in str(error)
    assert "Template.list(name_prefix='my-env')" in str(error)
    assert error.status_code is None


@pytest.mark.parametrize("answer", [reply(503), cut(), reply(202, "?")])
async def test_a_name_that_is_the_key_is_not_shown(failing, answer):
    def create(client):
        return AsyncTemplate.create(name=KEY, from_="python:3.11", client=client)

    error = await failing(answer, call=create)
    assert "Template.list(name_prefix='***')" in error.hint
    assert KEY not in str(error) + repr(vars(error))


@pytest.mark.parametrize(
    "location", ["https://host:port/", "http://[::1", "/a\tb", "http://xn--/", "/" + "a" * 70_000, ""]
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_that_leads_nowhere_is_an_error_like_any_other(failing, status, location):
    error = await failing(reply(status, headers={"Location": location}))
    assert (type(error), error.status_code) == (SandboxError, status)
    assert error.hint == "redirects are not followed: check base_url= or SUPERSERVE_BASE_URL"
    error = await failing(reply(status, headers={"Location": location}), call=create)
    assert error.status_code == status


async def test_what_the_caller_was_handling_is_left_as_it_is(failing):
    own, other = KeyError({"key": KEY}), KeyError(KEY)
    # In a circle, as exceptions can stand.
    own.__cause__, other.__cause__ = other, own
    try:
        throw(own)
    except KeyError:
        error = await failing(cut(f"HTTP/1.1 {KEY}\r\n\r\n".encode()))
    assert own.args == ({"key": KEY},)
    assert other.args == (KEY,)
    assert KEY not in str(error.__cause__)


async def test_a_certificate_that_the_caller_was_handling_is_not_taken_for_the_servers(serve, connect):
    wire = serve(reply(200))
    wire.__exit__()
    try:
        throw(ssl.SSLCertVerificationError("another"))
    except ssl.SSLCertVerificationError:
        with pytest.raises(SandboxConnectionError, match="check the network"):
            await AsyncTemplate.list(client=connect(wire))


@given_time
async def test_a_create_without_an_answer_in_time_says_that_the_template_may_exist(failing, *, longer):
    error = await failing(stall(), call=create, timeout_s=0.2 * longer)
    assert type(error) is SandboxTimeoutError
    assert isinstance(error, TimeoutError)
    assert str(error).startswith(
        f"could not create template 'my-env': no complete answer within the timeout of {0.2 * longer:g} s; "
        "the template may have"
    )


async def test_a_create_that_was_refused_does_not_say_that_the_template_may_exist(failing):
    error = await failing(reply(409, json=envelope("conflict", "The name is taken.")), call=create)
    assert str(error) == (
        "could not create template 'my-env': The name is taken. [409 conflict]; "
        "choose another name, or find the template that has it with Template.list(name_prefix='my-env')"
    )


@pytest.mark.parametrize("status", [408, 499, 600])
async def test_a_create_that_somebody_in_between_gave_up_may_have_been_made(serve, connect, status):
    with pytest.raises(SandboxError, match=r"may have been created; look for it with Template\.list"):
        await create(connect(serve(reply(status))))


async def test_a_key_that_is_quoted_in_another_form_is_not_shown_either(serve):
    # As h11 quotes what is no HTTP.
    key = "s3cret\\part'two"
    wire = serve(cut(f"HTTP/1.1 {key}\r\n\r\n".encode()))
    async with AsyncSuperserve(api_key=key, base_url=wire.url) as client:
        with pytest.raises(SandboxError) as caught:
            await AsyncTemplate.list(client=client)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


async def test_a_server_that_cannot_be_reached_through_a_proxy_is_told_so(connect, environment):
    environment.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with pytest.raises(
        SandboxConnectionError,
        match=r"cannot connect to http://api\.test through the proxy 127\.0\.0\.1:9 of HTTP_PROXY: \[Errno \d+\] .*; "
        r"check the network, HTTP_PROXY and base_url= or SUPERSERVE_BASE_URL$",
    ):
        await AsyncTemplate.list(api_key="k", base_url="http://api.test")


async def test_a_server_that_is_not_there_is_a_connection_error(serve, connect):
    wire = serve(reply(200))
    wire.__exit__()
    with pytest.raises(SandboxConnectionError) as caught:
        await create(connect(wire))
    error = caught.value
    assert str(error).startswith(f"could not create template 'my-env': cannot connect to {wire.url}: ")
    assert str(error).endswith("; check the network and base_url= or SUPERSERVE_BASE_URL")
    assert "may have been created" not in str(error)
    assert (error.status_code, error.code, error.headers) == (None, None, {})


async def test_a_rebuild_whose_answer_is_lost_says_how_to_go_on(serve, connect):
    wire = serve(reply(json=TEMPLATE), cut())
    handle = await AsyncTemplate.connect(ID, client=connect(wire))
    with pytest.raises(SandboxConnectionError, match=r"rebuild\(\) again returns it while it runs"):
        await handle.rebuild()


def echoes(key):
    """Answers that hold the key in every place that gets into an error, and where it could be cut in two."""
    yield reply(404, json=envelope("not_found", f"No template for {key}."))
    yield reply(404, json=envelope(key, key))
    yield reply(404, json={"error": key})
    yield reply(404, json=envelope("not_found", " " * 3000 + "x" * 480 + key))
    yield reply(404, "x" * 480 + key, content_type="text/plain")
    yield reply(404, " " * 1980 + key, content_type="text/plain")
    yield reply(404, headers={"X-Request-Id": key, f"X-{key}": "1", "X-Sent": f"key={key}"})
    yield reply(200, key)
    yield reply(200, key, content_type=f"text/{key}")
    yield reply(200, json=key)
    yield reply(200, json={"id": [key]})
    yield reply(200, json={"id": "1", "name": "a", "team_id": "b", "status": "c", "vcpu": key})
    yield f"HTTP/1.1 {key}\r\n\r\n".encode()
    yield f"{key} 200 OK\r\n\r\n".encode()
    yield f"HTTP/1.1 200 OK\r\n{key}\r\n\r\n".encode()
    yield f"HTTP/1.1 200 OK\r\nContent-Length: {key}\r\n\r\n".encode()
    yield f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 40\r\n\r\n{key}".encode()
    yield f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{key}\r\n".encode()


async def test_the_key_is_in_no_error_even_if_the_server_sends_it_back(failing, key):
    for answer in echoes(key):
        error = await failing(
            lambda peer, _request, answer=answer: (peer.send(answer), peer.close()), max_attempts=1
        )
        # With everything behind it that a traceback shows.
        shown = "".join(traceback.format_exception(error)) + str(error) + repr(error) + repr(vars(error))
        assert pickle.loads(pickle.dumps(error)).args == error.args
        assert key not in shown
        assert key.lower() not in shown.lower()
        # Not a part of it either, where a text was cut.
        assert key[:12] not in shown
        assert key.encode() not in pickle.dumps(error)
