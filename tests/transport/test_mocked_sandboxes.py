"""Commands and files under the usual ways to mock httpx: only the documented requests are answered, each once."""

import asyncio

import httpx
import pytest
import respx

from superserve import AsyncSandbox, AsyncSuperserve, OutcomeUnknownError, Sandbox, Superserve
from tests.conftest import KEY
from tests.talk import SANDBOX_ID, TOKEN, sandbox_row
from tests.wire import envelope, sse

API = "https://api.superserve.test"
BOXES = "https://boxes.superserve.test"
ROW = {**sandbox_row(), "access_token": TOKEN}
END = {"exit_code": 0, "finished": True}
STREAMED = {"content": sse({"stdout": "hi"}, END), "headers": {"Content-Type": "text/event-stream"}}


def answers(router):
    """Answer one call each of what the program below does."""
    mine = {"X-Access-Token": TOKEN, "X-Superserve-Sandbox-Id": SANDBOX_ID}
    router.post(f"{API}/sandboxes").respond(201, json=ROW)
    router.post(f"{BOXES}/exec", headers=mine).respond(json={"stdout": "hi", "stderr": "", "exit_code": 0})
    router.post(f"{BOXES}/exec/stream", headers=mine).respond(**STREAMED)
    router.post(f"{BOXES}/files", params={"path": "/x"}, content=b"abc", headers=mine).respond(
        json={"path": "/x", "size": 3}
    )
    router.get(f"{BOXES}/files", params={"path": "/x"}, headers=mine).respond(content=b"abc")
    router.delete(f"{API}/sandboxes/{SANDBOX_ID}").respond(204)


def test_a_program_with_a_mock_of_its_own_passes():
    with respx.mock(assert_all_called=True) as router:
        answers(router)
        with (
            Superserve(api_key=KEY, base_url=API, sandbox_url=BOXES) as client,
            Sandbox.create(name="box", client=client) as sandbox,
        ):
            assert sandbox.commands.run("echo hi").stdout == "hi"
            assert sandbox.commands.run("echo hi", on_stdout=str).stdout == "hi"
            sandbox.files.write("/x", "abc")
            assert sandbox.files.read_text("/x") == "abc"
        assert [call.response.status_code for call in router.calls] == [201, 200, 200, 200, 200, 204]


async def test_the_same_program_in_async_code_passes():
    with respx.mock(assert_all_called=True) as router:
        answers(router)
        async with (
            AsyncSuperserve(api_key=KEY, base_url=API, sandbox_url=BOXES) as client,
            await AsyncSandbox.create(name="box", client=client) as sandbox,
        ):
            assert (await sandbox.commands.run("echo hi")).stdout == "hi"
            assert (await sandbox.commands.run("echo hi", on_stdout=str)).stdout == "hi"
            await sandbox.files.write("/x", "abc")
            assert await sandbox.files.read_text("/x") == "abc"
        assert [call.response.status_code for call in router.calls] == [201, 200, 200, 200, 200, 204]


def test_pytest_httpx_does_as_well(httpx_mock):
    httpx_mock.add_response(method="POST", url=f"{API}/sandboxes/{SANDBOX_ID}/activate", json=ROW)
    httpx_mock.add_response(
        method="POST", url=f"{BOXES}/exec", json={"stdout": "hi", "stderr": "", "exit_code": 3}
    )
    httpx_mock.add_response(method="POST", url=f"{BOXES}/exec/stream", **STREAMED)
    with Superserve(api_key=KEY, base_url=API, sandbox_url=BOXES) as client:
        sandbox = Sandbox.connect(SANDBOX_ID, client=client)
        assert sandbox.commands.run("exit 3").exit_code == 3
        assert sandbox.commands.run("echo hi", timeout_seconds=100).stdout == "hi"


@pytest.mark.parametrize(
    "failure", [httpx.ReadTimeout("late"), httpx.ReadError("reset"), httpx.WriteError("reset")]
)
async def test_what_a_mock_lets_fail_may_have_run(failure):
    with respx.mock() as router:
        router.post(f"{API}/sandboxes/{SANDBOX_ID}/activate").respond(json=ROW)
        router.post(f"{BOXES}/exec").mock(side_effect=failure)
        async with AsyncSuperserve(api_key=KEY, base_url=API, sandbox_url=BOXES) as client:
            sandbox = await AsyncSandbox.connect(SANDBOX_ID, client=client)
            with pytest.raises(OutcomeUnknownError):
                await sandbox.commands.run("x")
            assert router.calls.call_count == 2


async def test_surprise_11_many_commands_on_a_paused_sandbox_wake_it_once():
    new = {**ROW, "access_token": "b" * 64}
    asleep = httpx.Response(503, json=envelope("sandbox_unavailable", "It is paused."))
    ran = httpx.Response(200, json={"stdout": "", "stderr": "", "exit_code": 0})
    with respx.mock() as router:
        activations = router.post(f"{API}/sandboxes/{SANDBOX_ID}/activate")
        activations.side_effect = [httpx.Response(200, json=ROW), httpx.Response(200, json=new)]
        router.post(f"{BOXES}/exec", headers={"X-Access-Token": TOKEN}).mock(return_value=asleep)
        router.post(f"{BOXES}/exec", headers={"X-Access-Token": "b" * 64}).mock(return_value=ran)
        async with AsyncSuperserve(api_key=KEY, base_url=API, sandbox_url=BOXES) as client:
            sandbox = await AsyncSandbox.connect(SANDBOX_ID, client=client)
            results = await asyncio.gather(*[sandbox.commands.run("x") for _ in range(8)])
        assert all(result.ok for result in results)
        assert activations.call_count == 2
