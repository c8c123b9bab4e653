"""The event loop in which asynchronous calls are made."""

import asyncio

import sniffio

from superserve.errors import SandboxError


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop.

    Raises:
        SandboxError: There is none, or it is not asyncio's.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        pass
    try:
        library = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        raise SandboxError(
            "an asynchronous client needs a running event loop, such as asyncio.run() gives"
        ) from None
    raise SandboxError(
        f"an asynchronous client needs asyncio, and this is {library}; use Superserve in a thread there"
    )


class Bell:
    """Wakes the one task that waits for it. It takes half the time of an `asyncio.Event` in an `asyncio.timeout`."""

    __slots__ = ("_waiter",)

    def __init__(self) -> None:
        self._waiter: asyncio.Future[bool] | None = None

    def ring(self) -> None:
        """Wake the task that waits. If there is none, nothing happens."""
        if self._waiter is not None:
            _settle(self._waiter, True)

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the next ring. Return False if there was none within `timeout_s`."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiter = waiter
        timer = None if timeout_s is None else loop.call_later(timeout_s, _settle, waiter, False)
        try:
            return await waiter
        finally:
            if timer is not None:
                timer.cancel()


def _settle(waiter: asyncio.Future[bool], has_rung: bool) -> None:
    # A cancelled task has cancelled it.
    if not waiter.done():
        waiter.set_result(has_rung)
