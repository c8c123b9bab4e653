"""The faults that are set: which requests and builds they match, and how often they struck."""

import threading
from collections.abc import Mapping
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Generic, NamedTuple, Self, TypeVar

import attrs

from superserve.local._app import arguments
from superserve.local._app.clock import monotonic
from superserve.local._app.patterns import Pattern
from superserve.local._app.process import Process
from superserve.local._faults.outcomes import BuildFault
from superserve.local._machines.jobs import BuildJob

if TYPE_CHECKING:
    from superserve.local._faults.effects import Effect

E = TypeVar("E")

_SEED_BITS = 64


class Aim(NamedTuple):
    """Which of the matching requests or builds a fault strikes, and how many."""

    times: int | None
    """The most to strike."""
    share: float | None
    """The probability for each."""
    skip: int
    """The number to skip first."""
    seed: int | None
    optional: bool
    """Whether the fault may never strike."""

    @classmethod
    def read(
        cls, times: int | None, share: float | None, skip: int, seed: int | None, optional: bool
    ) -> Self:
        """Return the checked arguments of a caller."""
        return cls(
            times=None if times is None else arguments.check_whole("times", times, 1),
            share=None if share is None else arguments.check_positive("share", share, 1),
            skip=arguments.check_whole("skip", skip, 0),
            seed=None if seed is None else arguments.check_whole("seed", seed, 0),
            optional=arguments.check_flag("optional", optional),
        )

    @property
    def limit(self) -> int | None:
        """The most to strike: by default one; None for no limit."""
        return 1 if self.times is None and self.share is None else self.times

    @property
    def given(self) -> dict[str, object]:
        """The arguments that were given."""
        return {
            "times": self.times,
            "share": self.share,
            "skip": self.skip or None,
            "seed": self.seed,
            "optional": self.optional,
        }


@attrs.define(eq=False)
class Entry:
    """A fault in the registry."""

    number: int
    kind: str
    options: Mapping[str, object]
    target: "tuple[Pattern, Effect] | BuildFault"
    aim: Aim
    random: Random
    seen: int = 0
    taken: int = 0
    struck: int = 0

    @property
    def is_missed(self) -> bool:
        """Whether it should have struck, and never did."""
        return not (self.struck or self.aim.optional)

    @property
    def left(self) -> int | None:
        """The strikes that are left; None for no limit."""
        return None if self.aim.limit is None else self.aim.limit - self.taken

    def take(self) -> Random | None:
        """Decide whether to strike a match. Return the random generator for the strike, or None."""
        self.seen += 1
        share = self.aim.share
        if self.seen <= self.aim.skip or (share is not None and self.random.random() >= share):
            return None
        self.taken += 1
        return Random(self.random.getrandbits(_SEED_BITS))  # noqa: S311 - faults are no secrets


class Strike(Generic[E]):
    """A fault that is about to affect one request or build."""

    def __init__(self, registry: "Registry", entry: Entry, effect: E, random: Random) -> None:
        self.effect = effect
        self.random = random
        self._registry = registry
        self._entry = entry
        self._landed = False

    def land(self) -> None:
        """Record that it made a difference. Only the first call counts."""
        if self._landed:
            return
        self._landed = True
        with self._registry.changed:
            self._entry.struck += 1
            self._registry.changed.notify_all()


class Registry:
    """The faults of one server, in the order in which they were set. It can be used from any thread."""

    def __init__(self, seed: int | None, process: Process) -> None:
        self.process = process
        self.changed = threading.Condition()
        self.entries: list[Entry] = []
        self._seed = seed
        self._count = 0
        self._active: list[Entry] = []
        self._missed: list[Entry] = []

    def add(
        self,
        kind: str,
        options: Mapping[str, object],
        target: "tuple[Pattern, Effect] | BuildFault",
        aim: Aim,
    ) -> "Fault":
        """Set a fault."""
        self.process.check()
        with self.changed:
            self._count += 1
            seed = f"{self._seed} {self._count}" if aim.seed is None and self._seed is not None else aim.seed
            entry = Entry(self._count, kind, options, target, aim, Random(seed))  # noqa: S311 - no secrets
            self.entries.append(entry)
            self._active.append(entry)
            return Fault(self, entry)

    def faults(self) -> list["Fault"]:
        """Return the faults that are set, including those without strikes left."""
        self.process.check()
        with self.changed:
            return [Fault(self, entry) for entry in self.entries]

    def missed(self) -> list["Fault"]:
        """Return the faults that should have struck and never did, removed ones first."""
        self.process.check()
        with self.changed:
            now = [entry for entry in self.entries if entry.is_missed]
            return [Fault(self, entry) for entry in (*self._missed, *now)]

    def remove(self, entry: Entry) -> None:
        """Forget a fault."""
        self.process.check()
        with self.changed:
            if entry in self.entries and entry.is_missed:
                self._missed.append(entry)
            for entries in (self.entries, self._active):
                if entry in entries:
                    entries.remove(entry)

    def clear(self) -> None:
        """Forget all faults."""
        self.process.check()
        with self.changed:
            self._missed += [entry for entry in self.entries if entry.is_missed]
            self.entries.clear()
            self._active.clear()

    def reset(self) -> None:
        """Forget all faults, and start again with the first number and seed."""
        with self.changed:
            self.clear()
            self._missed.clear()
            self._count = 0

    def strike_request(self, method: str, path: str) -> "Strike[Effect] | None":
        """Return the strike of the oldest matching fault that has strikes left, or None."""
        # There are nearly always none, and this is called for every request.
        if not self._active:
            return None
        with self.changed:
            for entry in self._active:
                if isinstance(entry.target, BuildFault):
                    continue
                pattern, effect = entry.target
                if pattern.matches(method, path) and (random := self._take(entry)):
                    return Strike(self, entry, effect, random)
        return None

    def strike_build(self, job: BuildJob, name: str) -> Strike[BuildFault] | None:
        """Return the strike for a build of the template with this name, or None."""
        with self.changed:
            for entry in self._active:
                effect = entry.target
                if (
                    isinstance(effect, BuildFault)
                    and effect.fits(job, name)
                    and (random := self._take(entry))
                ):
                    return Strike(self, entry, effect, random)
        return None

    def _take(self, entry: Entry) -> Random | None:
        random = entry.take()
        if entry.left == 0:
            self._active.remove(entry)
        return random


class Fault:
    """A fault that `server.faults` has set. It can be used from any thread. As a context manager it is removed at the end."""

    def __init__(self, registry: Registry, entry: Entry) -> None:
        self._registry = registry
        self._entry = entry

    @property
    def id(self) -> str:
        """The id of the fault, unique on its server."""
        return str(self._entry.number)

    @property
    def kind(self) -> str:
        """The name of the method that set it, such as `cut`."""
        return self._entry.kind

    @property
    def struck(self) -> int:
        """The number of requests or builds that it changed.

        A cut after 1,000 bytes does not change an answer of 100 bytes, although that counts as one of its `times`.
        """
        self._registry.process.check()
        return self._entry.struck

    @property
    def left(self) -> int | None:
        """The number of requests or builds that it may still strike; None for no limit."""
        self._registry.process.check()
        return self._entry.left

    def remove(self) -> None:
        """Stop striking. What is already struck stays so."""
        self._registry.remove(self._entry)

    def wait_for(self, struck: int = 1, *, timeout_s: float = 10.0) -> None:
        """Wait until it has struck `struck` times. Do not call it in your event loop.

        Args:
            struck: The number of strikes. Default 1.
            timeout_s: Seconds after which TimeoutError is raised. Default 10.

        """
        self._registry.process.check()
        until = monotonic() + timeout_s
        with self._registry.changed:
            while self.struck < struck:
                left = until - monotonic()
                if left <= 0:
                    raise TimeoutError(f"{self!r} has not struck {struck} times in {timeout_s:g} s")
                self._registry.changed.wait(left)

    def describe(self) -> dict[str, object]:
        """Return it in the form of `GET /_local/faults`."""
        return {
            "id": self.id,
            "fault": self.kind,
            **self._entry.options,
            "struck": self.struck,
            "left": self.left,
        }

    def __enter__(self) -> Self:
        """Return the fault. It is active since it was set."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the fault."""
        self.remove()

    def __repr__(self) -> str:
        options = "".join(f" {name}={value!r}" for name, value in self._entry.options.items())
        return f"<Fault {self.id}: {self.kind}{options}, struck {self._entry.struck}>"
