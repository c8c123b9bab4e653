"""Ctrl-C once stops watching; Ctrl-C twice ends what is watched."""

import signal
import sys
import threading
import time
from types import FrameType
from typing import Final

import click

_SECOND_CTRL_C_S: Final = 2.0
_LOOK_S: Final = 0.05


def is_pressed_again(what_it_does: str) -> bool:
    """Say what Ctrl-C does now, and return whether it is pressed again soon; False without a terminal."""
    if not sys.stderr.isatty():
        return False
    pressed = threading.Event()

    def note(_signal: int, _frame: FrameType | None) -> None:
        pressed.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        click.echo(f"\nStopped watching; Ctrl-C again now {what_it_does}.", err=True)
        until = time.monotonic() + _SECOND_CTRL_C_S
        # Wait in short steps: if another thread gets the signal first, a long wait would delay its handler.
        while not pressed.is_set() and time.monotonic() < until:
            pressed.wait(_LOOK_S)
        return pressed.is_set()
    finally:
        signal.signal(signal.SIGINT, before)
