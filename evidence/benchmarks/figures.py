"""What a benchmark finds out, and how two programs are compared fairly on a machine that does other things, too."""

import gc
import statistics
import time
from collections.abc import Callable, Iterable

import attrs


@attrs.frozen
class Figure:
    """One line of the table."""

    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def target(self) -> str:
        """What is to be reached, in words; empty if this is only for information."""
        if self.at_most is not None:
            return f"<= {self.at_most:g}"
        return "" if self.at_least is None else f">= {self.at_least:g}"

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.at_most is not None:
            return self.value <= self.at_most
        return None if self.at_least is None else self.value >= self.at_least


@attrs.frozen
class Taken:
    """What some work took, in seconds: on the clock, and of this process's CPU time (all threads)."""

    wall: float
    cpu: float


class Stopwatch:
    """Runs from its creation."""

    def __init__(self) -> None:
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    def taken(self) -> Taken:
        """Return what has been taken so far."""
        return Taken(time.perf_counter() - self._wall, time.process_time() - self._cpu)


@attrs.frozen
class Comparison:
    """What the plain program and ours took for the same work.

    Attributes:
        plain: Medians of the plain program.
        ours: Medians of ours.
        ratio: Median of ours / plain, each of two runs right after one another, in CPU time: what else the machine
            does hardly changes that, and the server's work is not in it.
    """

    plain: Taken
    ours: Taken
    ratio: float


def compared(plain: Callable[[], Taken], ours: Callable[[], Taken], *, rounds: int) -> Comparison:
    """Run both in turn, so that what else the machine does hits both."""
    plain(), ours()  # connections, lazy imports, caches
    pairs = []
    for number in range(rounds):
        gc.collect()
        if number % 2:
            mine, theirs = ours(), plain()
        else:
            theirs, mine = plain(), ours()
        pairs.append((theirs, mine))
    return Comparison(
        plain=_median([theirs for theirs, _ in pairs]),
        ours=_median([mine for _, mine in pairs]),
        ratio=statistics.median(mine.cpu / theirs.cpu for theirs, mine in pairs),
    )


def _median(taken: list[Taken]) -> Taken:
    return Taken(statistics.median(t.wall for t in taken), statistics.median(t.cpu for t in taken))


def table(sections: dict[str, list[Figure]]) -> str:
    """Return the figures as text, a section each."""
    figures = [figure for section in sections.values() for figure in section]
    width = max(len(figure.name) for figure in figures)
    unit_width = max(len(figure.unit) for figure in figures)
    lines: list[str] = []
    for title, section in sections.items():
        lines += ["", title]
        lines += [_line(figure, width, unit_width) for figure in section]
    return "\n".join(lines)


def _line(figure: Figure, width: int, unit_width: int) -> str:
    verdict = {True: "reached", False: "NOT REACHED", None: ""}[figure.reached]
    value = f"{figure.value:,.0f}" if abs(figure.value) >= 100 else f"{figure.value:.3g}"  # noqa: PLR2004 - digits
    return (
        f"  {figure.name:<{width}}  {value:>8} {figure.unit:<{unit_width}}  {figure.target:<8} "
        f"{verdict:<11}  {figure.note}"
    ).rstrip()


def missed(sections: dict[str, list[Figure]]) -> Iterable[str]:
    """Yield the names of the figures that miss their targets."""
    return (figure.name for section in sections.values() for figure in section if figure.reached is False)
