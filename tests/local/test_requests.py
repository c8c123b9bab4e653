"""What every request meets first: key, ids, routes, headers."""

import socket
import uuid

import httpx
import pytest

from superserve.local import LocalServer
from tests.local.talk import Talk

BAD = (400, "bad_request")


@pytest.fixture
def keyless(http):
    del http.headers["X-API-Key"]
    return http


def test_health_needs_no_key(keyless):
    answer = keyless.get("/health")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "version": "0.1.0"})


@pytest.mark.parametrize(
    "headers", [{}, {"X-API-Key": ""}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer x"}]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/templates"),
        ("POST", "/templates"),
        ("GET", "/templates/nonsense"),
        ("DELETE", "/templates/nonsense"),
    ],
)
def test_a_missing_or_wrong_key_is_refused_before_anything_else_is_looked_at(
    keyless, error, headers, method, path
):
    answer = keyless.request(method, path, headers=headers)

    assert error(answer) == (401, "auth_failed")


def test_only_the_key_header_counts(server, keyless, error):
    answer = keyless.get("/templates", headers={"Authorization": f"Bearer {server.api_key}"})

    assert error(answer) == (401, "auth_failed")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/"),
        ("GET", "/nowhere"),
        ("PATCH", "/templates"),
        ("DELETE", "/templates"),
        ("PUT", "/templates/7a3f2b8c-0000-4000-8000-000000000001"),
        ("POST", "/templates/7a3f2b8c-0000-4000-8000-000000000001"),
        ("OPTIONS", "/templates"),
        ("POST", "/health"),
        ("GET", "/templates/a/b"),
        ("GET", "/templates/a%2Fb"),
        ("GET", "/templates/../templates/x/builds/y/z"),
    ],
)
def test_an_unknown_route_or_a_wrong_method_is_a_plain_404_without_a_key(keyless, method, path):
    answer = keyless.request(method, path)

    assert (answer.status_code, answer.text) == (404, "404 page not found")
    assert answer.headers["content-type"] == "text/plain"


def test_head_is_a_method_that_no_route_knows(keyless):
    answer = keyless.head("/health")

    assert answer.status_code == 404


@pytest.mark.parametrize("path", ["/templates/", "/templates/{id}/", "/templates/{id}/builds/", "/health/"])
def test_a_slash_too_many_is_redirected_with_a_page_for_get(http, path):
    answer = http.get(path.format(id=uuid.uuid4()) + "?name_prefix=a%20b")

    assert answer.status_code == 301
    assert answer.headers["location"] == answer.url.path.rstrip("/") + "?name_prefix=a%20b"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "Moved Permanently" in answer.text


def test_a_post_is_redirected_with_307(http):
    answer = http.post("/templates/")

    assert (answer.status_code, answer.headers["location"], answer.text) == (307, "/templates", "")


@pytest.mark.parametrize("path", ["/templates/a/builds/", "/templates/a/", "/templates//"])
def test_a_slash_too_many_is_redirected_to_where_a_route_is(http, path):
    answer = http.get(path)
    deletion = http.delete(path)

    assert (answer.status_code, answer.headers.get("location")) in {
        (301, path.rstrip("/")),
        (404, None),
    }
    assert deletion.status_code == (307 if path == "/templates/a/" else 404)


def test_a_parameter_that_cannot_be_read_is_dropped(server, http):
    server.templates.add("b")

    def listed(query):
        return {row["name"] for row in http.get(f"/templates?{query}").json()}

    assert listed("name_prefix=%zz&name_prefix=b") == listed("name_prefix=b") == {"b"}
    for query in ("name_prefix=b;x=1", "name_prefix=%4", "name_prefix=%u0041", "name_prefix=%"):
        assert len(listed(query)) > 1, query


def test_deleting_an_empty_id_ends_in_a_plain_404(http):
    answer = http.request("DELETE", "/templates/", follow_redirects=True)

    assert (answer.status_code, answer.text) == (404, "404 page not found")


def test_a_method_that_nothing_below_knows_is_not_redirected(http):
    assert http.request("PATCH", "/templates/").status_code == 404


@pytest.mark.parametrize(
    "spelling",
    [
        str.upper,
        lambda text: f"urn:uuid:{text}",
        lambda text: f"URN:UUID:{text}",
        lambda text: f"{{{text}}}",
        lambda text: f"x{text}y",
        lambda text: text.replace("-", ""),
    ],
)
def test_ids_have_several_spellings_and_answers_one(server, http, spelling):
    template_id = server.templates.add("demo")

    answer = http.get("/templates/" + spelling(template_id))

    assert (answer.status_code, answer.json()["id"]) == (200, template_id)


@pytest.mark.parametrize(
    "text", ["demo", "1", "x" * 36, "%C3%A4", "0" * 31, "0" * 33, "{" + "0" * 32 + "}", "%00"]
)
def test_an_id_that_is_no_uuid_is_a_400_that_quotes_it(http, error, text):
    answer = http.get(f"/templates/{text}")

    assert error(answer) == BAD
    assert httpx.URL(f"http://x/{text}").path[1:] in answer.json()["error"]["message"]


def test_the_template_id_is_checked_before_the_build_id_and_both_before_any_row(http, error):
    both = http.get("/templates/one/builds/two")
    build = http.get(f"/templates/{uuid.uuid4()}/builds/two")

    assert error(both) == BAD
    assert "one" in both.json()["error"]["message"]
    assert error(build) == BAD
    assert "two" in build.json()["error"]["message"]


def test_an_empty_id_inside_a_path_is_a_400(http, error):
    assert error(http.get("/templates//builds")) == BAD


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/templates", "/templates/nonsense"])
def test_security_headers_are_on_every_handled_answer(http, path):
    answer = http.get(path)

    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "max-age=" in answer.headers["strict-transport-security"]
    assert "etag" not in answer.headers


def test_a_malformed_escape_in_the_path_is_a_plain_400(server):
    port = httpx.URL(server.base_url).port
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as lines:
        connection.sendall(b"GET /templates/%zz HTTP/1.1\r\nHost: x\r\n\r\n")

        assert lines.readline().split()[1] == b"400"
        assert b"text/plain" in lines.read()


def test_one_connection_serves_many_requests(server):
    port = httpx.URL(server.base_url).port
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as lines:
        for _ in range(3):
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert lines.readline() == b"HTTP/1.1 200 OK\r\n"
            while lines.readline() != b"\r\n":
                pass
            assert lines.read(33) == b'{"status":"ok","version":"0.1.0"}'


def test_head_and_body_of_an_answer_are_sent_together(server):
    with Talk(server) as talk:
        for _ in range(20):
            talk.send("GET /health")

            assert talk.receive().endswith(b"}")


def test_a_body_that_nobody_reads_does_no_harm(server, http):
    template_id = server.templates.add("demo")

    first = http.post(f"/templates/{template_id}/builds", content=b"x" * 500_000)
    second = http.get(f"/templates/{template_id}")

    assert (first.status_code, second.status_code) == (201, 200)


def test_a_broken_body_of_what_is_no_request_to_the_api_is_a_plain_400(server, caplog):
    with Talk(server) as talk:
        talk.send_raw("POST /_local/faults", "Transfer-Encoding: chunked", b"zz\r\n{}")
        answer, end = talk.rest()

    assert answer.startswith(b"HTTP/1.1 400")
    assert b"text/plain" in answer
    assert end == "closed"
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_broken_body_that_nobody_waits_for_ends_the_connection_after_the_answer(server, caplog):
    with Talk(server) as talk:
        talk.send_raw("GET /", "Transfer-Encoding: chunked", b"zz\r\n{}")
        answer, end = talk.rest()
    with Talk(server) as late:
        late.send_raw("GET /", "Transfer-Encoding: chunked")
        late.head()
        late.send_body(b"zz\r\n{}")
        late.rest()

    assert answer.startswith(b"HTTP/1.1 200")
    assert end == "closed"
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_names_are_never_ids(server, http, error):
    server.templates.add("demo")

    assert error(http.get("/templates/demo")) == BAD


def test_long_headers_are_read(http):
    assert http.get("/health", headers={"X-Long": "x" * 500_000}).status_code == 200


@pytest.mark.parametrize(("speed", "told"), [(1, None), (1.5, None), (0.5, None), (2.5, "2"), (100, "100")])
def test_answers_tell_how_fast_the_server_is(speed, told):
    with LocalServer(speed=speed) as server:
        server.faults.on("GET /templates").answer(503)
        answers = [httpx.get(server.base_url + path, verify=False) for path in ("/health", "/templates")]

    assert [answer.headers.get("superserve-local-speed") for answer in answers] == [told, told]
