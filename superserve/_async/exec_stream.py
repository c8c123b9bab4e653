"""Reading the event stream of one command, in the caller's own thread or task."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

import httpx

from superserve import _clock as time
from superserve._http import policy
from superserve._http.responses import reason
from superserve._http.tasks_async import messages, next_piece
from superserve._streams import sse
from superserve._streams.exec import Event, Exit, Failure, NoEventError, read_message

# Seconds without a byte after which the stream counts as dead. The server sends some every 15.
SILENCE_S: Final = 45.0

_ENDS: Final = (Exit, Failure)


class AsyncExecStream:
    """The event stream of a command that the server has accepted.

    Args:
        response: The answer, with its body unread.
        until: The deadline for the command's end, on the clock of `time.monotonic`. The reader moves it by the time that
            callbacks take.
    """

    def __init__(self, response: httpx.Response, until: float) -> None:
        self.until = until
        self._response = response
        self._unfinished = 0

    async def read(self) -> AsyncGenerator[Event]:
        """Yield the events of the command. The last one is its end, or the failure to get that.

        Nothing is raised here. So what a caller raises between two events is never mistaken for an error of the stream.
        """
        try:
            policy.refuse_encoding(self._response)
            sse.keep_alive(self._response)
            async with messages(sse.wrap(self._response, self._checked_body())) as found:
                async for message in found:
                    self._unfinished = 0
                    # It is joined on each access.
                    data = message.data
                    for event in read_message(data) if data else ():
                        yield event
                        if isinstance(event, _ENDS):
                            return
        except NoEventError as error:
            yield Failure(f"its messages cannot be understood: {error}", None, has_started=True)
        except httpx.HTTPError as error:
            yield Failure(f"the stream of its output broke: {reason(error)}", None, has_started=True)

    async def _checked_body(self) -> AsyncIterator[bytes]:
        """Yield the body, each piece within its deadline; raise if a message is too long."""
        pieces = self._response.aiter_bytes()
        while True:
            piece = await next_piece(pieces, min(self.until, time.monotonic() + SILENCE_S))
            if piece is None:
                return
            self._unfinished += len(piece)
            policy.refuse_length(self._response.request, self._unfinished)
            yield piece
