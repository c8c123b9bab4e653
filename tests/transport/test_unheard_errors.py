"""What becomes of an error that nobody waits for any more."""

import asyncio
import gc
import time

import httpx

from superserve._http.tasks_async import run_until
from tests.conftest import KEY


def test_nothing_is_logged_of_what_a_call_came_to_that_was_cancelled_before(caplog):
    """Asyncio would log the text of the error, and that quotes the server."""

    async def main():
        has_begun = asyncio.Event()

        async def work():
            has_begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                # As a connection may fail while it is given up.
                raise httpx.RemoteProtocolError(f"illegal status line: HTTP/1.1 47 {KEY}")

        running = asyncio.create_task(run_until(time.monotonic() + 60, work))
        await has_begun.wait()
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()

    asyncio.run(main())
    gc.collect()
    assert caplog.text == ""
