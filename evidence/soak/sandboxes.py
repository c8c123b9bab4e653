"""What is done in each sandbox of the soak, and what must come of it.

Each command first writes its number into a file of the sandbox. At the end of the journey that file tells how often each
has run, and that has to agree with what the caller was told: once where there was a result, at most once where the
outcome is not known, and never where a call was refused.
"""

import random
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import attrs
from travel import PASSING, PAUSE_S, TRIES, Figures, Traveller, WrongError

from superserve import (
    AsyncSandbox,
    AsyncSuperserve,
    FileNotFoundInSandboxError,
    NotFoundError,
    OutcomeUnknownError,
    Sandbox,
    SandboxNotRunningError,
    Superserve,
)

AnySandbox = Sandbox | AsyncSandbox

COMMANDS: Final = 10
MARK: Final = "soak"
"""The metadata entry that tells the soak's sandboxes apart."""

_RAN: Final = "/home/user/ran"
# Much more than any takes here; a call whose answer stalls lasts ten seconds longer.
_LIMIT_S: Final = 20.0
_LINES: Final = 40


@attrs.define
class SandboxFigures(Figures):
    """What has been seen of sandboxes and what was done in them."""

    sandboxes: int = 0
    commands: int = 0
    files: int = 0
    ran_unknown: int = 0


class SandboxJourney(Traveller):
    """One sandbox's way from its creation to its end."""

    figures: SandboxFigures

    def __init__(self, client: Superserve | AsyncSuperserve, name: str, dice: random.Random) -> None:
        super().__init__(client, dice, SandboxFigures())
        self._name = name
        self._class = AsyncSandbox if self._is_async else Sandbox
        self._sandbox: AnySandbox
        self._told: dict[int, str] = {}

    async def travel(self) -> SandboxFigures:
        """Go the whole way, and return what was seen on it; raise WrongError if something was wrong."""
        start = time.monotonic()
        self._sandbox = await self._create()
        for number in range(COMMANDS):
            await self._run(
                number, self._dice.choices(list(WAYS), [weight for _, weight in WAYS.values()])[0]
            )
            if self._dice.random() < 0.15:  # noqa: PLR2004 - now and then
                await self._persist(self._sandbox.pause)
            if self._dice.random() < 0.3:  # noqa: PLR2004 - now and then
                await self._use_file()
        await self._compare()
        await self._persist(self._sandbox.kill)
        try:
            await self._persist(self._class.get, self._sandbox.id, client=self._client)
        except NotFoundError:
            pass
        else:
            raise WrongError("the sandbox is still there after its end")
        self.figures.sandboxes += 1
        self.figures.longest_s = time.monotonic() - start
        return self.figures

    # -- Ways of running a command; each returns what it came to, which is known beforehand.

    async def plain(self, number: int) -> str:
        """Run a line, and wait for all of it."""
        code = self._dice.randrange(256)
        line = f"{_mark(number)}; echo out {number}; echo err {number} >&2; exit {code}"
        result = await self._now(self._sandbox.commands.run(line, timeout_seconds=_LIMIT_S))
        _expect(
            (result.exit_code, result.stdout, result.stderr), (code, f"out {number}\n", f"err {number}\n")
        )
        return "ok" if code == 0 else "failed"

    async def argv(self, number: int) -> str:
        """Run a program without a shell."""
        argv = ["sh", "-c", f'{_mark(number)}; printf "%s|" "$@"', "sh", "a b", "$HOME", "*", "é"]
        result = await self._now(self._sandbox.commands.run(argv, timeout_seconds=_LIMIT_S))
        _expect((result.exit_code, result.stdout), (0, "a b|$HOME|*|é|"))
        return "ok"

    async def stream(self, number: int) -> str:
        """Run a line whose output comes as it is printed."""
        pieces: list[str] = []
        line = f"{_mark(number)}; i=0; while [ $i -lt {_LINES} ]; do echo line $i; i=$((i+1)); done"
        try:
            result = await self._now(
                self._sandbox.commands.run(line, on_stdout=pieces.append, timeout_seconds=_LIMIT_S)
            )
        finally:
            # Whatever happens, what came is what the command printed, from its beginning on.
            if not _PRINTED.startswith("".join(pieces)):
                raise WrongError(f"a callback was given {''.join(pieces)!r}")
        _expect((result.exit_code, result.stdout, "".join(pieces)), (0, _PRINTED, _PRINTED))
        return "ok"

    async def pipe(self, number: int) -> str:
        """Send bytes through a command and back."""
        data = self._dice.randbytes(self._dice.randrange(100_000))
        result = await self._now(
            self._sandbox.commands.run(
                f"{_mark(number)}; cat", input=data, encoding=None, timeout_seconds=_LIMIT_S
            )
        )
        _expect((result.exit_code, result.stdout == data), (0, True))
        return "ok"

    async def time_out(self, number: int) -> str:
        """Run what takes too long."""
        line = f"{_mark(number)}; echo begun; exec sleep 60"
        result = await self._now(self._sandbox.commands.run(line, timeout_seconds=1))
        _expect((result.timed_out, result.exit_code, result.stdout), (True, 124, "begun\n"))
        return "timed out"

    async def converse(self, number: int) -> str:
        """Talk to a command, and interrupt it."""
        line = f'{_mark(number)}; trap "exit 3" INT; while read -r line; do echo "heard $line"; done'
        session = await self._now(self._sandbox.commands.spawn(line, timeout_seconds=_LIMIT_S))
        try:
            await self._now(session.stdin.write("one\n"))
            heard = b""
            if self._is_async:
                async for output in session:
                    heard += output.data
                    if heard.endswith(b"\n"):
                        break
            else:
                for output in session:
                    heard += output.data
                    if heard.endswith(b"\n"):
                        break
            await self._now(session.kill("SIGINT"))
            result = await self._now(session.wait())
        finally:
            await self._now(session.close())
        _expect((result.exit_code, result.stdout), (3, "heard one\n"))
        return "interrupted"

    async def leave(self, number: int) -> str:
        """Hang up on a command that has no end."""
        line = f"{_mark(number)}; exec sleep 600"
        session = await self._now(self._sandbox.commands.spawn(line))
        await self._now(session.close())
        return "left"

    # -- What is around them

    async def _run(self, number: int, way: str) -> None:
        """Run one command, and keep what its caller was told."""
        self.figures.commands += 1
        try:
            told = await WAYS[way][0](self, number)
        except OutcomeUnknownError as error:
            told = "unknown"
            self._note(way, error)
        except PASSING as error:
            told = "refused"
            self._note(way, error)
        self._told[number] = told
        self.figures.outcomes[told] += 1

    async def _use_file(self) -> None:
        """Write a file, and read it back; if it is not known whether it was written, it is whole or not there."""
        path = f"/home/user/{secrets.token_hex(4)}/a file é"
        content = self._dice.randbytes(self._dice.randrange(300_000))
        is_known = True
        try:
            await self._now(self._sandbox.files.write(path, content, atomic=self._dice.random() < 0.5))  # noqa: PLR2004
        except PASSING as error:
            is_known = False
            self._note("write", error)
        self.figures.files += 1
        try:
            found = await self._persist(self._sandbox.files.read, path)
        except FileNotFoundInSandboxError:
            if is_known:
                raise
        else:
            if found != content:
                raise WrongError(f"of {len(content)} bytes written, {len(found)} other bytes were read")

    async def _compare(self) -> None:
        """Compare what has run with what callers were told."""
        try:
            lines = (await self._persist(self._sandbox.files.read_text, _RAN)).split()
        except FileNotFoundInSandboxError:
            lines = []
        ran = Counter(map(int, lines))
        for number, told in self._told.items():
            allowed = {"unknown": (0, 1), "left": (0, 1), "refused": (0,)}.get(told, (1,))
            if ran[number] not in allowed:
                raise WrongError(f"command {number} was told to be {told!r}, and ran {ran[number]} times")
            if told == "unknown" and ran[number]:
                self.figures.ran_unknown += 1

    async def _create(self) -> AnySandbox:
        for _ in range(TRIES):
            adopts = self._dice.random() < 0.5  # noqa: PLR2004 - half of them
            try:
                return await self._now(
                    self._class.create(
                        name=self._name,
                        metadata={MARK: self._name},
                        adopt_lost=adopts,
                        client=self._client,
                    )
                )
            except PASSING as error:
                self._note("adopt" if adopts else "create", error)
                text = str(error)
                is_told = self._name in text or isinstance(error, SandboxNotRunningError)
            # What may have been made by a call that failed is found by what it was given, and not used.
            found = await self._persist(self._class.list, metadata={MARK: self._name}, client=self._client)
            if found and not is_told:
                raise WrongError(
                    f"a create whose answer was lost did not say how to find the sandbox: {text}"
                )
            for info in found:
                await self._persist(self._class.kill_by_id, info.id, client=self._client)
            await self._now(self._sleep(PAUSE_S))
        raise WrongError(f"the sandbox could not be created in {TRIES} tries")


_PRINTED: Final = "".join(f"line {number}\n" for number in range(_LINES))

WAYS: Final[dict[str, tuple[Callable[[SandboxJourney, int], Awaitable[str]], int]]] = {
    "plain": (SandboxJourney.plain, 30),
    "argv": (SandboxJourney.argv, 10),
    "stream": (SandboxJourney.stream, 25),
    "pipe": (SandboxJourney.pipe, 15),
    "converse": (SandboxJourney.converse, 10),
    "time out": (SandboxJourney.time_out, 5),
    "leave": (SandboxJourney.leave, 5),
}
"""How commands are run, and how often each way is gone."""


def _mark(number: int) -> str:
    return f"echo {number} >> {_RAN}"


def _expect(found: object, expected: object) -> None:
    if found != expected:
        raise WrongError(f"came to {found!r:.500}, not {expected!r:.500}")
