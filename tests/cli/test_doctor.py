"""`superserve doctor`: twelve broken set-ups, each named rightly."""

import contextlib
import datetime as dt
import re
import socket
import ssl
import sys
import threading

import pytest
import trustme

from superserve.cli import _doctor
from tests.wire import envelope, reply


@pytest.fixture
def ill(run):
    """Run the doctor, and return what it finds wrong, with all that it says."""

    def ill():
        ran = run("doctor", "--json")
        wrong = {
            found["check"]: found["message"] for found in ran.json if found["status"] in {"error", "warning"}
        }
        assert ran.code == (7 if any(found["status"] == "error" for found in ran.json) else 0)
        return wrong

    return ill


@pytest.fixture
def answering(serve, environment):
    """Have the service answer as scripted."""

    def answering(*answers):
        environment.setenv("SUPERSERVE_BASE_URL", serve(*answers).url)

    return answering


@pytest.fixture
def untrusted():
    """The address of a server whose certificate nobody has signed whom this machine trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)

    def serve():
        with contextlib.suppress(OSError):
            peer, _ = listener.accept()
            with peer, context.wrap_socket(peer, server_side=True):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://localhost:{listener.getsockname()[1]}"
        # Nobody may have come.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_package_with_files_of_the_same_names_is_an_error(ill, monkeypatch, tmp_path):
    record = tmp_path / "superserve-0.11.4.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: superserve\nVersion: 0.11.4\n")
    (record / "RECORD").write_text("superserve/__init__.py,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "files of the same names" in ill()["versions"]


def test_a_set_up_that_works_has_nothing_wrong(run, ill):
    assert ill() == {}
    text = run("doctor").stdout
    assert "answers, and accepts the key" in text
    assert "FAIL" not in text


def test_1_there_is_no_key(ill, environment):
    environment.delenv("SUPERSERVE_API_KEY")
    assert list(ill()) == ["key"]


def test_2_the_key_has_quotes_around_it(ill, environment, server):
    environment.setenv("SUPERSERVE_API_KEY", f'"{server.api_key}"')
    assert "quotes" in ill()["key"]


def test_3_the_service_does_not_take_the_key(ill, environment):
    environment.setenv("SUPERSERVE_API_KEY", "wrong")
    assert "does not accept this key (401)" in ill()["key"]


def test_4_the_key_names_a_region_that_is_not_known(ill, environment):
    environment.delenv("SUPERSERVE_BASE_URL")
    environment.setenv("SUPERSERVE_API_KEY", "ss_live_mars_" + "0" * 32)
    assert "does not know its region 'mars'" in ill()["region"]


def test_5_the_address_is_none(ill, environment):
    environment.setenv("SUPERSERVE_BASE_URL", "api.superserve.ai")
    assert "must start with https://" in ill()["address"]


def test_6_the_name_of_the_host_is_not_known(ill, environment, monkeypatch):
    def look_up(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    environment.setenv("SUPERSERVE_BASE_URL", "https://nowhere.test")
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert "there is no host named nowhere.test" in ill()["address"]


def test_7_nothing_listens_there(ill, environment):
    environment.setenv("SUPERSERVE_BASE_URL", "http://127.0.0.1:9")
    assert "nothing listens at" in ill()["address"]


def test_8_it_does_not_answer(ill, environment, deaf, monkeypatch):
    monkeypatch.setattr(_doctor, "_TIMEOUT_S", 0.1)
    environment.setenv("SUPERSERVE_BASE_URL", f"http://127.0.0.1:{deaf.port}")
    assert "does not answer within" in ill()["network"]


def test_9_the_certificate_is_not_trusted(ill, environment, untrusted):
    environment.setenv("SUPERSERVE_BASE_URL", untrusted)
    assert "is not trusted" in ill()["tls"]


def test_10_the_proxy_is_none(ill, environment):
    environment.setenv("SUPERSERVE_BASE_URL", "http://api.test")
    environment.setenv("HTTP_PROXY", "socks9://user:hunter2@127.0.0.1:9")
    found = ill()
    assert list(found) == ["proxy"]
    assert "hunter2" not in str(found)


def test_10_the_proxy_is_not_there(ill, environment):
    environment.setenv("SUPERSERVE_BASE_URL", "https://api.test")
    environment.setenv("HTTPS_PROXY", "http://user:hunter2@127.0.0.1:9")
    assert ill() == {"proxy": "the proxy 127.0.0.1:9 of HTTPS_PROXY cannot be reached"}


def test_11_what_answers_is_not_the_api(ill, answering):
    answering(reply(200, body="<html>", content_type="text/html"))
    assert "is not the API (200)" in ill()["address"]
    answering(reply(json={"hello": "world"}))
    assert "is not the API (200)" in ill()["address"]
    answering(reply(302, headers={"Location": "https://login.test"}))
    assert "is not the API (302)" in ill()["address"]


def test_12_the_clock_is_wrong(ill, answering):
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    answering(reply(json=[], headers={"Date": yesterday.strftime("%a, %d %b %Y %H:%M:%S GMT")}))
    [off_s] = re.findall(r"clock is \+(\d+) s off", ill()["clock"])
    # Time goes on meanwhile.
    assert 86_399 <= int(off_s) < 86_400 + 600


def test_the_quota_is_used_up(ill, server):
    for number in range(10):
        server.templates.add(f"t{number}")
    assert ill()["quota"].startswith("10 templates")


def test_the_service_is_ill_itself(ill, answering):
    answering(reply(500, json=envelope("internal_error", "x")))
    assert "answers 500" in ill()["service"]
    answering(reply(429, json=envelope("rate_limited", "x")))
    assert "too many requests" in ill()["quota"]


def test_an_address_without_encryption_is_warned_of(ill, environment, monkeypatch):
    monkeypatch.setattr(_doctor, "_service", lambda: iter(()))
    environment.setenv("SUPERSERVE_BASE_URL", "http://api.superserve.test")
    assert "is not encrypted" in ill()["address"]


def test_without_the_local_server_its_part_is_skipped(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "superserve.local._machines.processes.isolation", None)
    [found] = [found for found in run("doctor", "--json").json if found["check"] == "local"]
    assert (found["status"], found["hint"]) == ("skipped", "pip install 'superserve-client[local]'")


def test_causes_that_lead_back_to_one_of_them_are_looked_at_once():
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert [*_doctor._causes(first)] == [first, second]
