"""Reading the event stream of one command, in the caller's own thread or task."""

import time
from collections.abc import AsyncIterator
from typing import Final

import httpx
from httpx_sse import EventSource

from superserve._http import policy
from superserve._http.tasks_async import next_piece
from superserve._streams import sse
from superserve._streams.exec import Event, Exit, Failure, read_message

SILENCE_S: Final = 45.0
"""Seconds without a byte, of which the server sends some every 15, after which the stream is dead."""


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

    async def read(self) -> AsyncIterator[Event]:
        """Yield what the command says; its end, which nothing follows, is the last.

        Raises:
            NoEventError: It said something that cannot be understood.
            httpx.HTTPError: The stream broke, or its end is overdue.
        """
        policy.refuse_packing(self._response)
        sse.keep_alive(self._response)
        body = _Body(self)
        async for message in EventSource(sse.wrap(self._response, body)).aiter_sse():
            body.unfinished = 0
            if not message.data:
                continue
            for event in read_message(message.data):
                yield event
                if isinstance(event, Exit | Failure):
                    return

    def pieces(self) -> AsyncIterator[bytes]:
        """Return the body as it comes."""
        return self._response.aiter_bytes()


class _Body(httpx.AsyncByteStream):
    """The body of the stream, each piece of which has its time.

    Attributes:
        unfinished: Bytes since the last message ended.
    """

    def __init__(self, stream: AsyncExecStream) -> None:
        self.unfinished = 0
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = self._stream.pieces()
        while True:
            deadline = min(self._stream.until, time.monotonic() + SILENCE_S)
            piece = await next_piece(pieces, deadline)
            if piece is None:
                return
            self.unfinished += len(piece)
            policy.refuse_length(self._stream._response.request, self.unfinished)
            yield piece
