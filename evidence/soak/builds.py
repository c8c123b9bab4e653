"""The builds of the soak: each is made so that its outcome and every event of its log are known beforehand."""

import itertools
import random
import shlex
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final

import attrs

from superserve import BuildLogEvent

REPLAYED_EVENTS: Final = 256
"""How many events of a log the server replays to a reader that comes late; of those after them it sends only what is new.

Such a hole shows in nothing that the server sends on a first connection, so nobody can flag it there.
"""

# What the local server's logs say around the steps' own output.
_EVENTS_AROUND: Final = 5
_EVENTS_PER_STEP: Final = 3
_MOST_LINES: Final = REPLAYED_EVENTS - 60
_FLOOD: Final = (300, 900)
_ENDLESS_S: Final = 300
# The server shortens them, too.
_COMMAND_SHOWN: Final = 60

# Characters at which a careless reader of lines would cut, and some that take several bytes.
_ODD: Final = ("", "", "", " \u2028 ", " \u0085 ", " \x0b\x0c ", " größer ", " 日本 ", " 🦀 ", " data: x ")


class Kind(StrEnum):
    """What a build does."""

    READY = "ready"
    FLOODING = "flooding"
    """Becomes ready, after more output than a late reader can get."""
    FAILING = "failing"
    """A step fails."""
    UNPULLABLE = "unpullable"
    """The base image can't be pulled."""
    ENDLESS = "endless"
    """Prints, and then goes on for longer than anybody waits."""


@attrs.frozen
class Build:
    """One template's build.

    Attributes:
        name: The template's name, and part of each line that the build prints.
        kind: What it does.
        from_: The base image.
        commands: Its steps.
        lines: What each step prints.
        exit_code: What the last step exits with.
    """

    name: str
    kind: Kind
    from_: str
    commands: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    exit_code: int = 0

    @property
    def steps(self) -> list[dict[str, object]]:
        """The steps as `Template.create` takes them."""
        return [{"run": command} for command in self.commands]

    @property
    def log(self) -> list[str]:
        """Every event of the log, as `tokens` tells them; durations are left out, commands are shortened."""
        if self.kind is Kind.UNPULLABLE:
            return [f"Pulling image {self.from_}", "image_pull_failed:", "failed"]
        log = [f"Pulling image {self.from_}", "Image ready", "Starting build environment"]
        for number, (command, lines) in enumerate(zip(self.commands, self.lines, strict=True), start=1):
            step = f"Step {number}/{len(self.commands)}"
            log += [step, f"$ {command}"[:_COMMAND_SHOWN], *lines, f"{step} completed"]
        if self.kind is Kind.FAILING:
            return [*log[:-1], "step_failed:", "failed"]
        return [*log, "Saving template", "ready"]

    @property
    def is_replayed_whole(self) -> bool:
        """Whether a reader that comes late gets all of the log."""
        return len(self.log) <= REPLAYED_EVENTS


def make(name: str, kind: Kind, dice: random.Random) -> Build:
    """Return a build of some kind; all else about it is rolled."""
    if kind is Kind.UNPULLABLE:
        return Build(name, kind, f"nosuch/{name}", ("true",), ((),))
    count = dice.randint(1, 4)
    printed = dice.randint(*_FLOOD) if kind is Kind.FLOODING else dice.randint(0, _MOST_LINES)
    cuts = [0, *sorted(dice.randint(0, printed) for _ in range(count - 1)), printed]
    lines = [
        tuple(_line(name, index, dice) for index in range(start, end))
        for start, end in itertools.pairwise(cuts)
    ]
    exit_code = dice.randint(1, 255) if kind is Kind.FAILING else 0
    commands = [_command(step, dice.uniform(0, 1.5)) for step in lines]
    if kind is Kind.FAILING:
        commands[-1] += f" && exit {exit_code}"
    if kind is Kind.ENDLESS:
        commands.append(f"sleep {_ENDLESS_S}")
        lines.append(())
    return Build(name, kind, "debian:12", tuple(commands), tuple(lines), exit_code)


def _line(name: str, index: int, dice: random.Random) -> str:
    filling = "x" * dice.randint(2_000, 9_000) if dice.random() < 0.002 else ""  # noqa: PLR2004 - now and then
    return f"{name} {index}{dice.choice(_ODD)}{filling}".strip()


def _command(lines: Sequence[str], sleep_s: float) -> str:
    echoes = [f"echo {shlex.quote(line)}{' >&2' if line[-1] in '13579' else ''}" for line in lines]
    return " && ".join([f"sleep {sleep_s:.2f}", *echoes])


def tokens(events: Sequence[BuildLogEvent]) -> Iterator[tuple[str, bool]]:
    """Yield each event as `Build.log` has it, and whether it says that text is missing before it."""
    for event in events:
        text = event.text
        if event.stream == "error":
            text = text.partition(" ")[0]
        elif event.stream == "system":
            if text.startswith("build queued"):
                # Those come for as long as a build waits in line, and belong to no log.
                continue
            if text.startswith("$ "):
                text = text[:_COMMAND_SHOWN]
            elif " completed (" in text:
                text = text.partition(" (")[0]
        yield text, event.after_gap


@attrs.frozen
class Reading:
    """How well a log was read."""

    problem: str | None = None
    """What is wrong with it: an event twice, out of order, made up, or missing without a reason."""
    missing: int = 0
    """How many events are missing before an event with `after_gap`."""
    flags: int = 0
    """How many events have `after_gap`."""
    needless: int = 0
    """How many of them come right after the one before."""
    dropped: int = 0
    """How many events are missing without a flag, after as many as the server replays."""
    lost: int = 0
    """How many events are missing at the end, where the wait's warning says so."""


def judge(
    build: Build, events: Sequence[BuildLogEvent], *, whole: bool = True, may_lack_end: bool = False
) -> Reading:
    """Compare the log that was read with the one that the build wrote.

    Args:
        build: What was built.
        events: What was read.
        whole: Whether the log was read to its end, as far as the reader knows.
        may_lack_end: Whether the reader has said that it did not get the end.
    """
    expected = build.log
    position = missing = flags = needless = dropped = lost = 0
    problem = None
    for text, after_gap in tokens(events):
        flags += after_gap
        if after_gap and build.is_replayed_whole:
            problem = f"event {position} has after_gap in a log that the server replays whole"
            break
        if position < len(expected) and text == expected[position]:
            needless += after_gap
        elif text in expected[position:] and (after_gap or position >= REPLAYED_EVENTS):
            hole = expected.index(text, position) - position
            missing, dropped = (missing + hole, dropped) if after_gap else (missing, dropped + hole)
            position += hole
        else:
            due = expected[position] if position < len(expected) else "the end"
            problem = f"event {position}: {text[:99]!r} where {due[:99]!r} was due"
            break
        position += 1
    left = len(expected) - position
    if whole and left and problem is None:
        if may_lack_end:
            lost = left
        elif position >= REPLAYED_EVENTS:
            dropped += left
        else:
            problem = f"the last {left} of {len(expected)} events are missing"
    return Reading(problem, missing, flags, needless, dropped, lost)


def judge_advice(advice: str, status: str) -> str | None:
    """Return what is wrong with what an error says of its build, when it was to be cancelled and now is `status`."""
    _, claims, rest = advice.partition(" has ended: ")
    if claims:
        claim = rest.partition(".")[0]
        if claim != status:
            return f"the error says that the build has ended as {claim}, but it is {status}"
        return None
    if "It is not known whether build " in advice or "go on; " in advice or "goes on; " in advice:
        return None
    return f"the error does not say what has become of the build: {advice!r}"
