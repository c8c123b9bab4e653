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
