"""Which requests faults strike, how often, and how long they live."""

import threading

import httpx
import pytest

from superserve.local import LocalServer
from tests.local.talk import Talk

LIST = "GET /templates"
LOGS = "streamTemplateBuildLogs"


# Which requests


def test_by_default_a_fault_strikes_the_next_request_that_it_is_for(server, http):
    fault = server.faults.on(LIST).answer(503)

    statuses = [
        http.get("/templates/x").status_code,
        http.post("/templates").status_code,
        http.get("/templates").status_code,
        http.get("/templates").status_code,
    ]

    assert statuses == [400, 400, 503, 200]
    assert (fault.struck, fault.left) == (1, 0)


@pytest.mark.parametrize(
    ("on", "struck"),
    [
        ("GET /templates", ["GET /templates", "GET /templates?name_prefix=a"]),
        ("get /templates", ["GET /templates", "GET /templates?name_prefix=a"]),
        ("listTemplates", ["GET /templates", "GET /templates?name_prefix=a"]),
        ("/templates", ["GET /templates", "GET /templates?name_prefix=a", "POST /templates"]),
        ("* /templates", ["GET /templates", "GET /templates?name_prefix=a", "POST /templates"]),
        ("GET /templates/{id}", ["GET /templates/1"]),
        ("GET /templates/{}/builds/{which}", ["GET /templates/1/builds/2"]),
        ("GET /templates/1", ["GET /templates/1"]),
        ("GET /templates/2", []),
        ("POST *", ["POST /templates"]),
        ("GET /nowhere", ["GET /nowhere"]),
        ("health", ["GET /health"]),
    ],
)
def test_requests_are_named_by_method_and_path_or_operation(server, http, on, struck):
    server.faults.on(on, share=1).answer(599)
    requests = [
        "GET /templates", "GET /templates?name_prefix=a", "POST /templates", "GET /templates/1",
        "GET /templates/1/builds/2", "GET /nowhere", "GET /health",
    ]  # fmt: skip

    answers = {request: http.request(*request.split(" ")).status_code for request in requests}

    assert [request for request, status in answers.items() if status == 599] == struck


def test_a_star_is_for_all_requests(server, http):
    fault = server.faults.on("*", times=2).answer(500)

    assert [http.get("/x").status_code, http.delete("/y").status_code] == [500, 500]
    assert fault.left == 0


def test_a_fault_strikes_so_many_requests_after_so_many(server, http):
    fault = server.faults.on(LIST, times=2, skip=1).answer(503)

    assert [http.get("/templates").status_code for _ in range(5)] == [200, 503, 503, 200, 200]
    assert (fault.struck, fault.left) == (2, 0)


def test_faults_are_used_up_in_the_order_in_which_they_were_set(server, http):
    server.faults.on(LIST).answer(501)
    server.faults.on("*").answer(502)
    server.faults.on(LIST).answer(503)

    assert [http.get("/templates").status_code for _ in range(4)] == [501, 502, 503, 200]


def test_a_share_of_requests_has_no_end_and_follows_its_seed(server, http):
    def struck(seed):
        with server.faults.on(LIST, share=0.3, seed=seed).answer(503) as fault:
            statuses = [http.get("/templates").status_code for _ in range(60)]
            assert (fault.struck, fault.left) == (statuses.count(503), None)
        return statuses

    first = struck(1)

    assert 0 < first.count(503) < 40
    assert first == struck(1)
    assert first != struck(2)


def test_a_share_can_be_limited(server, http):
    fault = server.faults.on(LIST, share=1, times=2).answer(503)

    assert [http.get("/templates").status_code for _ in range(3)] == [503, 503, 200]
    assert fault.left == 0


def test_the_seed_of_the_server_is_the_seed_of_its_faults(open_client):
    def struck(seed):
        with LocalServer(seed=seed, limits=False) as server:
            http = open_client(server)
            runs = []
            for _ in range(2):
                server.faults.on("GET /health", share=0.5).answer(503)
                runs.append([http.get("/health").status_code for _ in range(40)])
                server.reset()
            http.close()
        return runs

    first, again = struck(7)

    assert first == again, "a reset starts all over"
    assert struck(7) == [first, first]
    assert struck(8)[0] != first


def test_many_threads_share_the_strikes_of_a_fault(server, open_client):
    fault = server.faults.on(LIST, times=10).answer(503)
    statuses = []

    def work():
        http = open_client(server)
        statuses.extend(http.get("/templates").status_code for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (statuses.count(503), statuses.count(200)) == (10, 30)
    assert fault.struck == 10


def test_one_choice_of_requests_serves_several_faults(server, http):
    health = server.faults.on("health")
    health.answer(501)
    health.answer(502)

    assert [http.get("/health").status_code for _ in range(3)] == [501, 502, 200]


def test_a_choice_alone_strikes_nothing(server, http):
    server.faults.on("*", share=1)
    server.faults.on_build(share=1)

    assert http.get("/health").status_code == 200
    assert len(server.faults) == 0


# Their life


def test_removed_faults_strike_no_more(server, http):
    kept, removed = server.faults.on(LIST, share=1).answer(503), server.faults.on("GET /health").answer(503)
    removed.remove()
    removed.remove()

    assert [http.get("/health").status_code, http.get("/templates").status_code] == [200, 503]
    assert [fault.id for fault in server.faults] == [kept.id]

    server.faults.clear()

    assert http.get("/templates").status_code == 200
    assert len(server.faults) == 0


def test_a_fault_ends_with_its_context(server, http):
    with server.faults.on(LIST, share=1).answer(503):
        inside = http.get("/templates").status_code

    assert (inside, http.get("/templates").status_code) == (503, 200)


def test_a_fault_tells_what_it_is(server, http):
    fault = server.faults.on(LIST, times=3).cut(after_bytes=0)
    with pytest.raises(httpx.RemoteProtocolError):
        http.get("/templates")

    assert repr(fault) == f"<Fault {fault.id}: cut on='GET /templates' after_bytes=0 times=3, struck 1>"
    assert repr(fault) in repr(server.faults)
    assert (fault.kind, fault.struck, fault.left) == ("cut", 1, 2)


def test_one_can_wait_for_a_fault_to_strike(server):
    fault = server.faults.on(LIST).stall()
    with pytest.raises(TimeoutError, match="has not struck 1 times"):
        fault.wait_for(timeout_s=0)

    with Talk(server).send(LIST):
        fault.wait_for()

    assert fault.struck == 1


def test_faults_need_a_running_server_and_start_with_it(open_client):
    server = LocalServer(limits=False)
    with pytest.raises(RuntimeError, match=r"start\(\)"):
        server.faults.on(LIST).answer(503)
    with server:
        old = server.faults.on(LIST).answer(503)
    with server:
        assert open_client(server).get("/templates").status_code == 200
        assert len(server.faults) == 0
    assert old.struck == 0


# Wrong arguments


@pytest.mark.parametrize(
    ("verb", "arguments", "options", "message"),
    [
        ("answer", ["templates", 503], {}, "'templates' names no requests.*createTemplate"),
        ("answer", ["GET /templates?a=1", 503], {}, "has a query"),
        ("answer", ["GET templates", 503], {}, "names no requests"),
        ("answer", [None, 503], {}, "requests are named by a text"),
        ("answer", [LIST, 100], {}, "status must be 200-599, not 100"),
        ("answer", [LIST, "503"], {}, "status must be a whole number, not '503'"),
        ("answer", [LIST, 200], {"body": "a", "json": 1}, "can't be given together"),
        ("answer", [LIST, 200], {"body": 1}, "body must be text or bytes"),
        ("answer", [LIST, 204], {"body": "a"}, "204 can't have a body"),
        ("answer", [LIST, 200], {"json": object()}, "not JSON serializable"),
        ("answer", [LIST, 200], {"headers": ["a"]}, "headers must be names with values"),
        ("answer", [LIST, 200], {"headers": {"A": 1}}, "the header A must be a text"),
        ("answer", [LIST, 200], {"headers": {"A": "1\n2"}}, "can't be sent as a header"),
        ("answer", [LIST, 200], {"headers": {"A": "€"}}, "can't be sent as a header"),
        ("answer", [LIST, 200], {"headers": {"a b": "1"}}, "can't be sent as a header"),
        ("answer", [LIST, 200], {"headers": {"Content-Length": "1"}}, "the server sets it from the body"),
        ("answer", [LIST, 503], {"delay_s": -1}, "delay_s must be 0 or more seconds"),
        ("answer", [LIST, 503], {"handled": 1}, "handled must be true or false"),
        ("answer", [LIST, 503], {"times": 0}, "times must be at least 1"),
        ("answer", [LIST, 503], {"times": 1.5}, "times must be a whole number"),
        ("answer", [LIST, 503], {"times": True}, "times must be a whole number"),
        ("answer", [LIST, 503], {"share": 0}, "share must be more than 0 and at most 1"),
        ("answer", [LIST, 503], {"share": 1.1}, "share must be more than 0 and at most 1"),
        ("answer", [LIST, 503], {"share": "all"}, "share must be a number"),
        ("answer", [LIST, 503], {"skip": -1}, "skip must be at least 0"),
        ("answer", [LIST, 503], {"seed": "x"}, "seed must be a whole number"),
        ("garble", [LIST, "xml"], {}, "how must be one of truncated, html"),
        ("delay", [LIST, float("nan")], {}, "seconds must be 0 or more"),
        ("delay", [LIST, float("inf")], {}, "seconds must be 0 or more"),
        ("delay", [LIST, 1], {"after_events": 1}, "only event streams have events"),
        ("delay", [LOGS, 1], {"after_events": 1, "after_bytes": 1}, "after_bytes and after_events can't be given together"),
        ("drip", [LIST, -1], {}, "every_s must be 0 or more"),
        ("drip", [LIST, 1], {"count": 0}, "count must be at least 1"),
        ("cut", [LIST], {"after_bytes": -1}, "after_bytes must be at least 0"),
        ("cut", [LIST], {"head_bytes": 1, "after_bytes": 1}, "head_bytes and after_bytes can't be given together"),
        ("cut", [LIST], {"clean": True}, "clean needs a place"),
        ("cut", [LIST], {"clean": True, "head_bytes": 3}, "clean needs a place"),
        ("cut", [LIST], {"after_bytes": 1, "handled": True}, "handled is only for requests without any answer"),
        ("reset", [LIST], {"after_events": 1}, "only event streams have events"),
        ("stall", [LIST], {"head_bytes": "1"}, "head_bytes must be a whole number"),
        ("duplicate", [LIST], {}, "only event streams have events"),
        ("duplicate", ["POST " + "/templates/{id}/builds/{id}/logs"], {}, "only event streams have events"),
        ("duplicate", [LOGS], {"chance": 0}, "chance must be more than 0"),
        ("reorder", ["*"], {}, "only event streams have events"),
        ("reorder", [LOGS], {"group": 1}, "group must be at least 2"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused_and_set_nothing(server, verb, arguments, options, message):
    on, *given = arguments
    choice = {name: value for name, value in options.items() if name in {"times", "share", "skip", "seed"}}
    rest = {name: value for name, value in options.items() if name not in choice}
    with pytest.raises((ValueError, TypeError), match=message):
        getattr(server.faults.on(on, **choice), verb)(*given, **rest)

    assert len(server.faults) == 0
