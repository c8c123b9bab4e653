"""What becomes of an error that nobody waits for any more."""

import asyncio
import gc

import httpx
from superserve._http.transport_async import Call

from tests.conftest import KEY


def test_nothing_is_logged_of_what_a_call_came_to_that_was_cancelled_before(caplog):
    """Asyncio would log the text of the error, and that quotes the server."""

    async def main():
        call, is_closed = Call(asyncio.Lock()), asyncio.Event()
        has_begun = asyncio.Event()

        async def work():
            has_begun.set()
            # As httpcore closes a connection after an answer that makes no sense: that is no wait for the network.
            await is_closed.wait()
            raise httpx.RemoteProtocolError(f"illegal status line: HTTP/1.1 47 {KEY}")

        running = asyncio.create_task(call.run(work))
        await has_begun.wait()
        running.cancel()
        asyncio.get_running_loop().call_soon(is_closed.set)
        await asyncio.wait([running])
        assert running.cancelled()

    asyncio.run(main())
    gc.collect()
    assert caplog.text == ""
