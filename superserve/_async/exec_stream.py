"""Reading the event stream of one command, in the caller's own thread or task."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

import httpx

from superserve import _clock as time
from superserve._http import policy
from superserve._http.tasks_async import messages, next_piece
from superserve._streams import sse
from superserve._streams.exec import Event, Exit, Failure, read_message

# Seconds without a byte, of which the server sends some every 15, after which the stream is dead.
SILENCE_S: Final = 45.0

_ENDS: Final = (Exit, Failure)


class AsyncExecStream:
    """The stream of a command that was accepted.

    Args:
        response: The answer, whose body is not read yet.
        until: When the command's end is overdue, on the clock of `time.monotonic`; move it on by what callers take for
            themselves.
    """

    def __init__(self, response: httpx.Response, until: float) -> None:
        self.until = until
        self._response = response
        self._unfinished = 0

    async def read(self) -> AsyncGenerator[Event]:
        """Yield what the command says; its end, which nothing follows, is the last.

        Raises:
            NoEventError: It said something that cannot be understood.
            httpx.HTTPError: The stream broke, or its end is overdue.
        """
        policy.refuse_packing(self._response)
        sse.keep_alive(self._response)
        async with messages(sse.wrap(self._response, self._bounded())) as found:
            async for message in found:
                self._unfinished = 0
                # It is joined each time that it is asked for.
                data = message.data
                for event in read_message(data) if data else ():
                    yield event
                    if isinstance(event, _ENDS):
                        return

    async def _bounded(self) -> AsyncIterator[bytes]:
        """Yield the body, each piece within its time, unless a message has no end."""
        pieces = self._response.aiter_bytes()
        while True:
            piece = await next_piece(pieces, min(self.until, time.monotonic() + SILENCE_S))
            if piece is None:
                return
            self._unfinished += len(piece)
            policy.refuse_length(self._response.request, self._unfinished)
            yield piece
