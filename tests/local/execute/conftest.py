"""Builds in execute mode, with and without bwrap, and a look at what they leave."""

import asyncio
import collections
import contextlib
import logging
import os
import pathlib
import re
import signal
import tempfile
import threading

import coverage
import pytest

from superserve.local._machines.jobs import BuildFailed, BuildJob, Step
from superserve.local._machines.processes import ExecuteRunner, isolation

# Every wait for something that must happen ends in failure after this.
WAIT_S = 60

# In the environment of every process of a build, to find it among the machine's.
MARKER = f"superserve-test-{os.getpid()}"


class Lines:
    """A build's log in memory."""

    def __init__(self):
        self.events = []
        self._changed = asyncio.Event()

    def write(self, stream, text):
        self.events.append((stream, text))
        self._changed.set()

    def of(self, stream):
        return [text for kind, text in self.events if kind == stream]

    def text(self, stream):
        return "".join(self.of(stream))

    async def prints(self, text):
        async with asyncio.timeout(WAIT_S):
            while text not in self.text("stdout"):
                self._changed.clear()
                await self._changed.wait()


class Build:
    """A build that runs beside the test."""

    def __init__(self, runner, log, task):
        self.runner = runner
        self.log = log
        self.task = task

    async def end(self):
        """Wait for the end; raise what the build raised."""
        async with asyncio.timeout(WAIT_S):
            await self.task

    async def cancel(self):
        self.task.cancel()
        await asyncio.wait([self.task], timeout=WAIT_S)
        assert self.task.cancelled()


class Builds:
    """Starts builds in one way: plain or inside bwrap."""

    def __init__(self, isolate):
        self._isolate = isolate

    def runner(self, limits=None):
        return ExecuteRunner(speed=20, limits=limits, isolate=self._isolate)

    def begin(self, *steps, limits=None, **options):
        """Begin a build without waiting for anything."""
        runner, log = self.runner(limits), Lines()
        return Build(runner, log, asyncio.create_task(runner.run(job(*steps, **options), log)))

    async def start(self, *steps, limits=None, **options):
        """Begin a build and return it when it has printed `started`."""
        build = self.begin(*steps, limits=limits, **options)
        await build.log.prints("started")
        return build

    async def run(self, *steps, limits=None, **options):
        """Carry out a build and return its log."""
        build = self.begin(*steps, limits=limits, **options)
        await build.end()
        return build.log

    async def fail(self, *steps, limits=None, **options):
        """Carry out a build that must fail; return its message, with T for the time it took, and its log."""
        build = self.begin(*steps, limits=limits, **options)
        with pytest.raises(BuildFailed) as caught:
            await build.end()
        return re.sub(r"failed after [0-9.hms]+:", "failed after T:", caught.value.message), build.log


def job(*steps, **options):
    steps = (Step(run=step) if isinstance(step, str) else step for step in steps)
    plain = BuildJob(
        build_id="b", template_id="t", from_="python:3.11", steps=(Step(env=("MARKER", MARKER)), *steps),
        start_cmd=None, ready_cmd=None, vcpu=1, memory_mib=1024, disk_mib=4096,
    )  # fmt: skip
    return plain._replace(**options)


def marked():
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if MARKER.encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def open_descriptors():
    """Return what the descriptors of this process lead to, with how many lead there, where the system tells."""
    found = collections.Counter()
    for descriptor in pathlib.Path("/dev/fd").iterdir():
        # The one by which the folder is read is closed by now.
        with contextlib.suppress(OSError):
            found[descriptor.readlink()] += 1
    return found


def measure_agent(monkeypatch):
    # The agent is a program of its own, in an environment of its own: it has to be told to be measured.
    current = coverage.Coverage.current()
    options = ("--branch", "--parallel-mode", f"--data-file={current.config.data_file}", "--rcfile=/dev/null")
    include = f"--include={isolation._AGENT}"
    monkeypatch.setattr(isolation, "_PYTHON_OPTIONS", ("-m", "coverage", "run", *options, include))


@pytest.fixture
def marker():
    """The value of MARKER in the environment of all that the builds of these tests start."""
    return MARKER


@pytest.fixture
def processes():
    """Returns the pids of all that the builds of these tests started and that still runs."""
    if not pathlib.Path("/proc/self/environ").exists():
        pytest.skip("processes are looked for in /proc")
    return marked


@pytest.fixture
def until():
    """Waits until a condition outside of this process holds."""

    async def until(condition):
        async with asyncio.timeout(WAIT_S):
            while not condition():  # noqa: ASYNC110 - no event tells of the state of other processes
                await asyncio.sleep(0.01)

    return until


@pytest.fixture
def scratch_folders(tmp_path):
    """Returns the scratch folders that there are now."""
    return lambda: list(tmp_path.glob("superserve-*"))


@pytest.fixture(autouse=True)
def nothing_is_left(scratch_folders, monkeypatch, tmp_path, caplog):
    """Whatever a test does: afterwards no scratch folder, process, thread, descriptor or complaint is there."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # Compared by what is new: what earlier tests of other modules have left may go in the meantime.
    threads = set(threading.enumerate())
    descriptors = open_descriptors()
    yield
    left = marked()
    for pid in left:  # Nor shall they trouble the next test.
        os.kill(pid, signal.SIGKILL)
    assert left == []
    assert scratch_folders() == []
    assert set(threading.enumerate()) - threads == set()
    assert open_descriptors() - descriptors == collections.Counter()
    assert [
        record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.WARNING
    ] == []


@pytest.fixture(scope="session")
def bwrap_works():
    return isinstance(isolation.find_isolation(), isolation.Bwrap)


@pytest.fixture
def plain_builds(monkeypatch):
    """Builds whose steps are plain processes."""
    if coverage.Coverage.current():
        measure_agent(monkeypatch)
    return Builds(isolate=False)


@pytest.fixture
def isolated_builds(bwrap_works):
    """Builds whose steps run inside bwrap."""
    if not bwrap_works:
        pytest.skip("bwrap does not work on this machine")
    return Builds(isolate=True)


@pytest.fixture(params=["plain", "isolated"])
def builds(request):
    """Builds of both kinds, one after the other."""
    return request.getfixturevalue(f"{request.param}_builds")
