"""What every request meets: the key, the JSON, the ids, the routes, the headers."""

import gzip
import json
import re
import socket
import uuid

import httpx
import pytest

from tests.conformance.target import BAD, BASE_IMAGE, KEYLESS, error_of, message_of

fact = pytest.mark.fact
only_here = pytest.mark.only_here


@fact("key-1", "Without a good key every call on templates is a 401 `auth_failed`.")
@pytest.mark.parametrize("headers", [{}, {"X-API-Key": ""}, {"X-API-Key": "no such key"}])
def test_a_key_is_needed(keyless, headers):
    assert error_of(keyless.get("/templates", headers=headers)) == KEYLESS


@fact("key-2", "The key is looked at before ids, query and body.")
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/templates/nonsense"), ("POST", "/templates"), ("DELETE", "/templates/x")]
)
def test_the_key_comes_first(keyless, method, path):
    assert error_of(keyless.request(method, path, content="nonsense")) == KEYLESS


@fact("key-3", "Only the header X-API-Key counts; a bearer token doesn't.")
def test_a_bearer_token_is_no_key(target, keyless):
    answer = keyless.get("/templates", headers={"Authorization": f"Bearer {target.api_key}"})

    assert error_of(answer) == KEYLESS


@fact("key-4", "All failures of a key have the same message.")
def test_nothing_is_told_about_a_bad_key(keyless):
    messages = {
        message_of(keyless.get("/templates", headers=headers))
        for headers in ({}, {"X-API-Key": "no such key"}, {"X-API-Key": "sk-" + "0" * 40})
    }

    assert len(messages) == 1


@fact("key-5", "A revoked key is a 401.")
@only_here("needs a key to revoke")
def test_a_revoked_key_is_refused(steered, steered_http):
    key = steered.add_key()
    headers = {"X-API-Key": key}
    before = steered_http.get("/templates", headers=headers)
    steered.revoke_key(key)

    assert before.status_code == 200
    assert error_of(steered_http.get("/templates", headers=headers)) == KEYLESS


@fact("json-1", "An unknown key is a 400 at every depth.")
@pytest.mark.parametrize("place", ["top", "build_spec", "step", "env", "user"])
def test_unknown_keys_are_refused(accepts, place):
    extra = {"surprise": 1}
    spec = {
        "build_spec": extra,
        "step": {"steps": [{"run": "true", **extra}]},
        "env": {"steps": [{"env": {"key": "A", "value": "b", **extra}}]},
        "user": {"steps": [{"user": {"name": "app", **extra}}]},
    }

    assert not accepts(spec.get(place, {}), **(extra if place == "top" else {}))


@fact("json-2", "The content type isn't looked at.")
@pytest.mark.parametrize("content_type", ["text/plain", "application/xml"])
def test_any_content_type_will_do(http, taken, content_type):
    body = json.dumps({"name": taken, "build_spec": {"from": BASE_IMAGE}})

    assert http.post("/templates", content=body, headers={"Content-Type": content_type}).status_code == 409


@fact("json-3", "A compressed body isn't understood.")
def test_a_compressed_body_is_refused(http, taken):
    body = gzip.compress(json.dumps({"name": taken, "build_spec": {"from": BASE_IMAGE}}).encode())

    assert error_of(http.post("/templates", content=body, headers={"Content-Encoding": "gzip"})) == BAD


@fact("json-4", "A body may have a megabyte.")
def test_a_large_body_is_read(accepts):
    assert accepts({"start_cmd": "x" * 1_000_000})


@fact("json-5", "An empty body is a 400, and so is what isn't JSON or isn't an object.")
@pytest.mark.parametrize("text", ["", " ", "{", "nonsense", "[]", "1", '{"name": "x",}', "{'name': 'x'}"])
def test_what_is_no_object_is_refused(http, text):
    assert error_of(http.post("/templates", content=text)) == BAD


@fact("json-6", "A top-level null is a request without a name.")
def test_null_is_an_empty_request(http):
    answer = http.post("/templates", content="null")

    assert error_of(answer) == BAD
    assert "name" in message_of(answer)


@fact("json-7", "A second value after the first is a 400.")
def test_a_second_value_is_refused(accepts, taken):
    body = json.dumps({"name": taken, "build_spec": {"from": BASE_IMAGE}}).encode()

    assert not accepts(content=body + b" {}")
    assert not accepts(content=body + b" 1")


@fact("json-8", "A stray closing bracket after the value goes unnoticed.")
def test_a_stray_bracket_is_overlooked(accepts, taken):
    body = json.dumps({"name": taken, "build_spec": {"from": BASE_IMAGE}}).encode()

    assert accepts(content=body + b"}")
    assert accepts(content=body + b" ]")


@fact("json-9", "Keys match in any case.")
def test_keys_match_in_any_case(accepts, taken):
    body = {"NAME": taken, "Vcpu": 1, "build_Spec": {"FROM": BASE_IMAGE, "Steps": [{"Run": "true"}]}}

    assert accepts(content=json.dumps(body).encode())


@fact("json-10", "Of doubled keys the last one wins.")
def test_the_last_of_doubles_wins(accepts, taken):
    spec = json.dumps({"from": BASE_IMAGE})

    assert accepts(content=f'{{"name": "", "name": "{taken}", "build_spec": {spec}}}'.encode())
    assert not accepts(content=f'{{"name": "{taken}", "name": "", "build_spec": {spec}}}'.encode())


@fact("json-10b", "Doubled objects are merged, and the elements of a doubled array with those before them.")
def test_doubled_objects_are_merged(accepts, taken):
    def body(*members):
        return f'{{"name": "{taken}", {", ".join(members)}}}'.encode()

    spec, steps = f'"build_spec": {{"from": "{BASE_IMAGE}"}}', '"build_spec": {"steps": [{"run": "a"}]}'

    assert accepts(content=body(spec, steps))
    assert accepts(content=body(steps, spec))
    assert not accepts(content=body(spec, '"build_spec": null'))
    assert not accepts(
        content=body(
            f'"build_spec": {{"from": "{BASE_IMAGE}", "steps": [{{"run": "a"}}], "steps": [{{"workdir": "/b"}}]}}'
        )
    )


@fact("json-10c", "Null leaves an earlier name, from, start_cmd or ready_cmd as it was.")
def test_null_leaves_an_earlier_text(accepts, taken):
    spec = f'{{"from": "{BASE_IMAGE}", "from": null}}'

    assert accepts(content=f'{{"name": "{taken}", "name": null, "build_spec": {spec}}}'.encode())


@fact("json-11", "Null for what is optional means that it isn't given.")
def test_null_is_absent(accepts):
    nothing = {"steps": None, "start_cmd": None, "ready_cmd": None}

    assert accepts(nothing, vcpu=None, memory_mib=None, disk_mib=None)


@fact("json-12", "An integer is written as one: 1.0, 1e3, strings, booleans and more than 32 bits are a 400.")
@pytest.mark.parametrize("form", ["1024.0", "1e3", '"1024"', "true", "2147483648", "-2147483649", "[]"])
def test_integers_have_one_form(http, taken, form):
    body = f'{{"name": "{taken}", "memory_mib": {form}, "build_spec": {{"from": "{BASE_IMAGE}"}}}}'

    assert error_of(http.post("/templates", content=body)) == BAD


@fact("json-13", "Invalid UTF-8 and half surrogate pairs are taken.")
def test_broken_text_is_taken(accepts, taken):
    head = f'{{"name": "{taken}", "build_spec": {{"from": "{BASE_IMAGE}", "start_cmd": "'.encode()

    assert accepts(content=head + b'\xff"}}')
    assert accepts(content=head + rb'\ud800"}}')


IDS = [("GET", ""), ("DELETE", ""), ("GET", "/builds"), ("POST", "/builds")]


@fact("id-1", "A template id that is no UUID is a 400 that quotes it.")
@pytest.mark.parametrize(("method", "tail"), IDS)
def test_an_id_is_a_uuid(http, method, tail):
    answer = http.request(method, f"/templates/no-uuid{tail}")

    assert error_of(answer) == BAD
    assert "no-uuid" in message_of(answer)


@fact("id-2", "A name is no id.")
def test_a_name_is_no_id(http, taken):
    assert error_of(http.get(f"/templates/{taken}")) == BAD


@fact("id-3", "The template id is checked before the build id, and both before any row is looked for.")
@pytest.mark.parametrize(("method", "tail"), [("GET", ""), ("DELETE", ""), ("GET", "/logs")])
def test_ids_are_checked_in_order(http, method, tail):
    both = http.request(method, f"/templates/first/builds/second{tail}")
    build = http.request(method, f"/templates/{uuid.uuid4()}/builds/second{tail}")

    assert error_of(both) == error_of(build) == BAD
    assert "first" in message_of(both)
    assert "second" in message_of(build)


@fact("id-4", "An id may be spelt in capitals, after urn:uuid:, between two characters, or without dashes.")
@pytest.mark.parametrize(
    "spell",
    [str.upper, "urn:uuid:{}".format, "{{{}}}".format, "x{}y".format, lambda text: text.replace("-", "")],
)
def test_ids_have_several_spellings(http, ready, spell):
    answer = http.get(f"/templates/{spell(ready.id)}")

    assert (answer.status_code, answer.json()["id"]) == (200, ready.id)


@fact("id-5", "Answers spell ids in lower case with dashes.")
def test_answers_have_canonical_ids(ready):
    ids = [ready.id, ready.build_id, ready.answer["team_id"]]

    assert [str(uuid.UUID(text)) for text in ids] == ids


@fact("id-6", "A slash in an id, escaped or not, makes it another route: a 404 in plain text.")
@pytest.mark.parametrize("text", ["a/b", "a%2Fb"])
def test_a_slash_makes_another_route(http, text):
    answer = http.get(f"/templates/{text}")

    assert (answer.status_code, answer.text) == (404, "404 page not found")


@fact("id-7", "A slash too many is redirected where the method has a route: GET with 301, POST with 307.")
def test_a_slash_too_many_is_redirected(http):
    page = http.get("/templates/")
    post = http.post("/templates/")

    assert (page.status_code, page.headers["location"]) == (301, "/templates")
    assert page.headers["content-type"].startswith("text/html")
    assert (post.status_code, post.headers["location"]) == (307, "/templates")
    assert http.get("/templates/./").headers["location"] == "/templates"


@fact("id-8", "A slash too many is a plain 404 for every other method, with rate-limit headers.")
@pytest.mark.parametrize("method", ["DELETE", "PUT", "OPTIONS", "PATCH", "HEAD"])
def test_a_slash_too_many_is_no_route_of_other_methods(http, request, target, method):
    client = request.getfixturevalue("limited_http") if target.is_local else http
    answer = client.request(method, "/templates/")

    assert answer.status_code == 404
    assert method == "HEAD" or answer.text == "404 page not found"
    assert "ratelimit-limit" in answer.headers


@fact("id-9", "DELETE of builds with a slash too many, or with an empty id, is a plain 404.")
@pytest.mark.parametrize(
    "path", ["/templates/00000000-0000-4000-8000-000000000000/builds/", "/templates//builds/"]
)
def test_builds_with_a_slash_too_many_are_not_deleted(http, path):
    assert (http.delete(path).status_code, http.delete(path).text) == (404, "404 page not found")


@fact("id-10", "The query of a redirect is kept, and escaped in its page.")
@only_here("needs a connection of its own, past proxies")
def test_the_query_of_a_redirect_is_escaped(steered):
    status, head, body = send_raw(steered, b"GET /templates/?a=<b>\"'& HTTP/1.1")

    assert status == 301
    assert b'/templates?a=<b>"' in head
    assert b"&lt;b&gt;" in body
    assert b"<b>" not in body


@fact("id-11", "The length of an id is that of its bytes.")
def test_the_length_of_an_id_is_in_bytes(http, ready):
    assert error_of(http.get(f"/templates/%C3%A9{ready.id}x")) == BAD


@fact("route-1", "An unknown route is a plain-text 404 that needs no key.")
def test_an_unknown_route_is_a_plain_404(keyless):
    answer = keyless.get("/nowhere")

    assert (answer.status_code, answer.text) == (404, "404 page not found")
    assert answer.headers["content-type"].startswith("text/plain")


@fact("route-2", "A wrong method is an unknown route; 405 is never sent, nor are there CORS answers.")
@pytest.mark.parametrize(
    ("method", "path"), [("PATCH", "/templates"), ("PUT", "/templates"), ("OPTIONS", "/templates")]
)
def test_a_wrong_method_is_an_unknown_route(keyless, method, path):
    answer = keyless.request(method, path, headers={"Origin": "https://example.com"})

    assert (answer.status_code, answer.text) == (404, "404 page not found")
    assert "access-control-allow-origin" not in answer.headers


@fact("route-3", "GET /health needs no key.")
def test_health_needs_no_key(keyless):
    answer = keyless.get("/health")

    assert answer.status_code == 200
    assert {"status", "version"} <= answer.json().keys()


@fact("route-4", "A request that isn't well-formed HTTP, such as a path with %zz, is a 400 in plain text.")
@only_here("needs a connection of its own, past proxies")
def test_a_malformed_request_is_a_plain_400(steered):
    port = httpx.URL(steered.base_url).port
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as lines:
        connection.sendall(b"GET /templates/%zz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        status, rest = lines.readline(), lines.read()

    assert status.split()[1] == b"400"
    assert b"text/plain" in rest


@fact(
    "header-1", "Handled answers carry X-Content-Type-Options, X-Frame-Options and Strict-Transport-Security."
)
@pytest.mark.parametrize("path", ["/health", "/templates", "/templates/no-uuid"])
def test_security_headers_are_sent(http, path):
    answer = http.get(path)

    assert {"x-content-type-options", "x-frame-options", "strict-transport-security"} <= answer.headers.keys()


@fact("header-1b", "Strict-Transport-Security is for two years and subdomains.")
def test_https_is_for_two_years(http):
    sent = http.get("/templates").headers["strict-transport-security"]

    assert sent == "max-age=63072000; includeSubDomains"


@fact("header-5", "A body of more than 2 KiB comes in chunks, without Content-Length.")
def test_long_answers_come_in_chunks(http):
    long = http.get(f"/templates/{'x' * 3000}")
    short = http.get("/templates/x")

    assert "content-length" not in long.headers
    assert long.headers["transfer-encoding"] == "chunked"
    assert "content-length" in short.headers


PLAIN_HTTP = "needs a connection of its own, past proxies"


def send_raw(target, *lines, host=b"localhost", body=b""):
    """Send a request line with headers; gives the status, the head and the body of the answer."""
    port = httpx.URL(target.base_url).port
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"\r\n".join([*lines, b"Host: " + host, b"Connection: close", b"", body]))
        if body:
            connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            head, _, content = answer.read().partition(b"\r\n\r\n")
    return int(head.split()[1]), head, content


@fact("route-5", "Targets that are no path: OPTIONS * is a 200, CONNECT and PRI a 404, others a plain 400.")
@only_here(PLAIN_HTTP)
@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"OPTIONS * HTTP/1.1", 200),
        (b"CONNECT x:443 HTTP/1.1", 404),
        (b"GET templates HTTP/1.1", 400),
        (b"GET ?x HTTP/1.1", 400),
        (b"GET * HTTP/1.1", 400),
        (b"PRI * HTTP/2.0", 404),
    ],
)
def test_odd_targets_are_answered(steered, caplog, line, status):
    assert send_raw(steered, line)[0] == status
    assert not caplog.records


@fact("route-6", "A target with scheme and host is served.")
@only_here(PLAIN_HTTP)
def test_an_absolute_target_is_served(steered):
    key = b"X-API-Key: " + steered.api_key.encode()

    status, _, body = send_raw(
        steered, b"GET http://localhost/templates?name_prefix=superserve/ HTTP/1.1", key
    )

    assert status == 200
    assert b"superserve/base" in body


@fact(
    "route-7",
    "HTTP/2.0 is a 505 and HTTP/1.x is served, an unknown Expect a 417, an unknown transfer encoding a 501.",
)
@only_here(PLAIN_HTTP)
@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([b"GET /health HTTP/2.0"], 505),
        ([b"GET /health HTTP/3.0"], 505),
        ([b"GET /health HTTP/0.9"], 505),
        ([b"GET /health HTTP/1.2"], 200),
        ([b"POST /templates HTTP/1.1", b"Expect: miracles"], 417),
        ([b"POST /templates HTTP/1.1", b"Transfer-Encoding: gzip"], 501),
        ([b"GET /health HTTP/1.1", b"X: a\x01b"], 400),
        ([b"GET /health HTTP/1.1", b"X: " + b"x" * (1 << 20) + b"x" * 5000], 431),
    ],
)
def test_what_http_does_not_allow_is_refused(steered, lines, status):
    assert send_raw(steered, *lines)[0] == status


@fact("route-8", "A Host that is none is a 400.")
@only_here(PLAIN_HTTP)
def test_a_malformed_host_is_refused(steered):
    assert send_raw(steered, b"GET /health HTTP/1.1", host=b"a/b")[0] == 400


@fact("route-9", "A path may have bytes beyond ASCII: a 404 of the router, or an id that is none.")
@only_here(PLAIN_HTTP)
@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        (b"/caf\xc3\xa9", 404, b"404 page not found"),
        (b"/templates/caf\xc3\xa9", 400, '"café"'.encode()),
        (b"/templates?name_prefix=caf\xc3\xa9", 200, b"[]"),
    ],
)
def test_a_path_may_have_any_byte(steered, path, status, text):
    key = b"X-API-Key: " + steered.api_key.encode()

    answered, _, body = send_raw(steered, b"GET " + path + b" HTTP/1.1", key)

    assert answered == status
    assert text in body.replace(b'\\"', b'"')


@fact("route-10", "A body with a bad chunk size, or one that is cut short, is a JSON 400.")
@only_here(PLAIN_HTTP)
@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"Transfer-Encoding: chunked", b"zz\r\n{}\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked", b'5\r\n{"nam'),
        (b"Content-Length: 100", b'{"name": "x"'),
    ],
)
def test_a_body_that_is_not_whole_is_refused(steered, caplog, framing, body):
    key = b"X-API-Key: " + steered.api_key.encode()

    status, head, answered = send_raw(steered, b"POST /templates HTTP/1.1", key, framing, body=body)

    assert status == 400
    assert b"application/json" in head
    assert json.loads(answered)["error"]["code"] == "bad_request"
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@fact("header-2", "No ETag, no compression, no request id.")
def test_some_headers_are_never_sent(http):
    answer = http.get("/templates", headers={"Accept-Encoding": "gzip, br"})

    assert not {"etag", "content-encoding", "x-request-id"} & answer.headers.keys()


@fact("header-3", "JSON comes as application/json; charset=utf-8.")
def test_json_names_its_charset(http):
    assert http.get("/templates").headers["content-type"] == "application/json; charset=utf-8"


@fact("header-4", "Times of templates and builds are UTC in whole seconds, with a Z.")
def test_times_are_utc_in_whole_seconds(http, ready):
    rows = [http.get(ready.path).json(), http.get(ready.build_path).json(), ready.answer]
    times = [row[name] for row in rows for name in row if name.endswith("_at")]

    assert len(times) == 6
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time) for time in times)
