"""A program that interrupts itself at random moments of a wait, or of an iteration over a log, and looks what is left.

python -m tests.interrupts ("wait" | "wait with a log" | "iterate") TIMES
"""

import contextlib
import random
import signal
import sys
import threading
import time

from superserve import Superserve, Template
from tests.script import BUILD_ID, LINE, TEMPLATE_ID, Script
from tests.wire import PATIENCE_S, STREAM_HEAD, Peer, Request, Wire, chunk, reset, sse, stall

EVENT = chunk(sse(LINE))
GO_ON = (
    "The build goes on; wait again with "
    f"Template.connect('{TEMPLATE_ID}').wait_until_ready(build_id='{BUILD_ID}')."
)


class InterruptError(Exception):
    """What the signal handler raises."""


def chatty(peer: Peer, _request: Request) -> None:
    """Send a log that says something all the time, until the client hangs up."""
    peer.send(STREAM_HEAD)
    peer.drip(EVENT * 10_000, 0.0001)


def main(what: str, times: int) -> None:
    """Interrupt that often enough to strike everywhere."""
    moments = random.Random(7)  # the same on every run, as far as the machine's speed is
    signal.signal(signal.SIGALRM, interrupt)
    logs = [stall(), reset(STREAM_HEAD + EVENT[:20]), stall(STREAM_HEAD + EVENT), chatty] * 1000
    with Wire(Script(build=["building"], logs=logs)) as wire:
        with Superserve(api_key="key", base_url=wire.url) as client:
            template = Template.connect(TEMPLATE_ID, client=client)
            for _ in range(times):
                error = interrupted(what, template, moments.uniform(0.0005, 0.03))
                until = time.monotonic() + PATIENCE_S
                while readers() and time.monotonic() < until:
                    time.sleep(0.001)
                assert not readers(), f"still reading after {error!r}"
                # Before the wait has begun there is nothing to say.
                assert what == "iterate" or getattr(error, "__notes__", [GO_ON]) == [GO_ON]
            # The client is as good as ever.
            assert template.get_info().id == TEMPLATE_ID
        wire.until(lambda: wire.open_connections == 0)
    print(f"{times} interrupts, nothing left")  # noqa: T201 - a program


def interrupt(_number: int, _frame: object) -> None:
    """Raise, as handlers of SIGTERM and SIGALRM do."""
    raise InterruptError


def interrupted(what: str, template: Template, seconds: float) -> InterruptError:
    """Do it until the signal comes; return what the signal's handler has raised."""
    try:
        # Again some time later: Python loses what is raised while it runs the call-back of a weak reference.
        signal.setitimer(signal.ITIMER_REAL, seconds, 10.0)
        if what == "iterate":
            with contextlib.closing(template.iter_build_logs(build_id=BUILD_ID)) as events:
                for _event in events:
                    pass
        else:
            on_log = (lambda event: None) if what == "wait with a log" else None
            template.wait_until_ready(on_log=on_log, poll_interval_s=0.001, build_id=BUILD_ID)
    except InterruptError as error:
        return error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    raise AssertionError("a build that never ends has ended")


def readers() -> list[str]:
    """Return the threads that read logs."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("superserve")]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
