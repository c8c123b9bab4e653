"""Commands and files of a sandbox on the local server, where they really are."""

import json
import os
import pathlib
import shutil

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from superserve import (
    AsyncSandbox,
    AsyncSuperserve,
    CommandStartError,
    FileKind,
    FileNotFoundInSandboxError,
    OutcomeUnknownError,
    SandboxNotRunningError,
    ValidationError,
)
from superserve.local import LocalServer
from superserve.local._machines.sandboxes.spaces import find_space

# `nox -s tests_slow` tries more.
EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "30"))
few = settings(
    max_examples=max(EXAMPLES // 4, 1),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def machines():
    """A local server; where nothing keeps commands apart, that is asked for by name."""
    isolation = "none" if isinstance(find_space(), str) else "auto"
    with LocalServer(limits=False, isolation=isolation) as server:
        yield server


@pytest.fixture
async def sandbox(machines):
    """A sandbox which is there for one test."""
    async with (
        AsyncSuperserve(api_key=machines.api_key, base_url=machines.base_url) as client,
        await AsyncSandbox.create(name="box", client=client) as sandbox,
    ):
        yield sandbox


async def test_all_ways_to_run_a_command_mean_the_same(sandbox):
    line = "printf 'a\\n'; printf b >&2; exit 3"
    results = [
        await sandbox.commands.run(line),
        await sandbox.commands.run(line, on_stdout=str),
        await sandbox.commands.run(line, input=""),
        await sandbox.commands.run(["sh", "-c", line], timeout_seconds=61),
    ]
    async with await sandbox.commands.spawn(line) as session:
        results.append(await session.wait())
    for result in results:
        assert (result.exit_code, result.stdout, result.stderr) == (3, "a\n", "b")
        assert (result.truncated, result.timed_out) == (False, False)


async def test_surprise_27_what_is_given_reaches_the_command(sandbox):
    result = await sandbox.commands.run('pwd; echo "$A|$HOME"', cwd="/tmp", env={"A": "b $HOME"})
    assert result.stdout.splitlines() == ["/tmp", "b $HOME|/home/user"]
    assert (await sandbox.commands.run(["printf", "%s|", "$HOME", "*", "", "a b"])).stdout == "$HOME|*||a b|"
    assert (await sandbox.commands.run(["pwd"])).stdout == "/home/user\n"


@pytest.mark.parametrize("how", [{}, {"on_stdout": str}, {"input": ""}, {"encoding": None}])
async def test_s1_surprise_1_what_cannot_start_is_an_error_in_all_ways(sandbox, how):
    await sandbox.files.write("/home/user/no-program", "echo hi")
    for command, more in (
        (["no-such-program", "x"], {}),
        (["/home/user/no-program", "x"], {}),
        ("true", {"cwd": "/nowhere"}),
    ):
        with pytest.raises(CommandStartError):
            await sandbox.commands.run(command, **more, **how)


async def test_s15_a_timeout_is_told_with_the_output_so_far(sandbox):
    result = await sandbox.commands.run("echo begun; sleep 60", timeout_seconds=0.2)
    assert (result.exit_code, result.timed_out, result.stdout) == (124, True, "begun\n")


async def test_surprise_3_what_runs_in_the_background_without_its_output_goes_on(sandbox):
    result = await sandbox.commands.run(
        "nohup sh -c 'sleep 0.2; echo late > /tmp/x' >/dev/null 2>&1 </dev/null &"
    )
    assert result.ok
    assert (
        await sandbox.commands.run("until [ -s /tmp/x ]; do sleep 0.05; done; cat /tmp/x")
    ).stdout == "late\n"


async def test_surprise_3_what_runs_in_the_background_with_its_output_ends_with_the_timeout(sandbox):
    line = "sleep 60 & echo $! > /tmp/pid; echo begun"
    result = await sandbox.commands.run(line, timeout_seconds=0.2)
    assert (result.exit_code, result.timed_out, result.stdout) == (124, True, "begun\n")
    alive = "kill -0 $(cat /tmp/pid) 2>/dev/null"
    assert (await sandbox.commands.run(f"while {alive}; do sleep 0.02; done", timeout_seconds=20)).ok


async def test_surprise_7_only_the_websocket_gives_the_bytes_that_were_written(sandbox):
    line = r"printf 'a\342\202\377b'"
    for how in ({}, {"on_stdout": str}):
        # As the server says it: one for each byte that is none of UTF-8.
        assert (await sandbox.commands.run(line, **how)).stdout == "a\ufffd\ufffd\ufffdb"
    assert (await sandbox.commands.run(line, encoding=None)).stdout == b"a\xe2\x82\xffb"


async def test_signals_reach_the_command(sandbox):
    line = "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.05; done"
    async with await sandbox.commands.spawn(line) as session:
        async for output in session:
            if output.data == b"ready\n":
                await session.kill("INT")
        result = await session.wait()
    assert (result.exit_code, result.stdout) == (5, "ready\ncaught\n")


async def test_surprise_14_a_command_that_is_hung_up_on_is_killed(sandbox):
    line = "echo $$ > /tmp/pid; echo ready; sleep 60"
    async with await sandbox.commands.spawn(line) as session:
        async for _ in session:
            break
    alive = "kill -0 $(cat /tmp/pid) 2>/dev/null"
    assert (await sandbox.commands.run(f"while {alive}; do sleep 0.02; done", timeout_seconds=20)).ok


@few
@given(data=st.binary(max_size=200_000))
async def test_any_bytes_come_back_through_a_command(sandbox, data):
    assert (await sandbox.commands.run(["cat", "-"], input=data, encoding=None)).stdout == data


async def test_much_input_and_output_pass_each_other(sandbox):
    data = os.urandom(1024) * 8192
    result = await sandbox.commands.run(["cat", "-"], input=data, encoding=None, max_output_bytes=len(data))
    assert result.stdout == data


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@few
@given(content=st.binary(max_size=50_000), name=names.filter(lambda name: name not in (".", "..")))
@example(content=b"", name="\r")
async def test_any_content_at_any_path_comes_back(sandbox, content, name):
    path = f"/home/user/odd/{name}"
    await sandbox.files.write(path, content)
    assert await sandbox.files.read(path) == content
    assert [info.name for info in await sandbox.files.list("/home/user/odd")] == [name]
    assert (await sandbox.files.stat(path)).size == len(content)
    await sandbox.files.remove("/home/user/odd", recursive=True)


async def test_s44_files_and_commands_see_the_same(sandbox):
    files = sandbox.files
    await files.write("/home/user/a/b.sh", "echo hi", mode=0o755)
    assert (await sandbox.commands.run("sh a/b.sh; stat -c %a a/b.sh")).stdout == "hi\n755\n"
    await sandbox.commands.run("ln -s b.sh a/link; mkdir a/empty")
    assert [(info.name, info.kind) for info in await files.list("/home/user/a")] == [
        ("b.sh", FileKind.FILE),
        ("empty", FileKind.DIRECTORY),
        ("link", FileKind.SYMLINK),
    ]
    await files.write("/home/user/a/b.sh", "echo ho", atomic=True)
    assert await files.read_text("/home/user/a/link") == "echo ho"
    await files.move("/home/user/a/b.sh", "/home/user/c.sh")
    assert not await files.exists("/home/user/a/link")
    assert await files.exists("/home/user/c.sh")
    await files.make_dir("/home/user/d/e/f")
    assert (await files.stat("/home/user/d/e")).is_dir
    with pytest.raises(FileNotFoundInSandboxError):
        await files.remove("/home/user/nothing")
    with pytest.raises(FileNotFoundInSandboxError):
        await files.read("/home/user/nothing")
    for path in ("/home/user/d", "/proc/cpuinfo"):
        with pytest.raises(ValidationError):
            await files.read(path)


async def test_folders_go_in_and_come_out_again(sandbox, tmp_path):
    here = tmp_path / "here"
    for name, data in (("a", b"1"), ("b/c d", b"\xff" * 300_000), ("b/.hidden", b""), ("skip/x", b"")):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(data)
    (here / "empty").mkdir()
    await sandbox.files.upload(here, "/home/user/there", ignore=shutil.ignore_patterns("skip"))
    await sandbox.files.download("/home/user/there", tmp_path / "back")
    shutil.rmtree(here / "skip")

    def tree(folder: pathlib.Path):
        return {
            path.relative_to(folder).as_posix(): path.is_file() and path.read_bytes()
            for path in folder.rglob("*")
        }

    assert tree(tmp_path / "back") == tree(here)
    await sandbox.files.download("/home/user/there/b/c d", tmp_path)
    assert (tmp_path / "c d").read_bytes() == b"\xff" * 300_000


async def test_s44_a_port_is_waited_for(sandbox):
    server = "import socket; s = socket.create_server(('127.0.0.1', 3456)); s.accept()"
    async with await sandbox.commands.spawn(["python3", "-c", server]):
        await sandbox.wait_for_port(3456, timeout_s=20)


async def test_surprise_11_a_paused_sandbox_is_woken_by_a_command_and_by_a_file(sandbox):
    await sandbox.files.write("/home/user/x", "abc")
    await sandbox.pause()
    assert await sandbox.files.read_text("/home/user/x") == "abc"
    await sandbox.pause()
    assert (await sandbox.commands.run("cat x")).stdout == "abc"
    await sandbox.pause()
    for call in (
        lambda: sandbox.commands.run("true", wake=False),
        lambda: sandbox.commands.spawn("true", wake=False),
        lambda: sandbox.files.read("/home/user/x", wake=False),
        lambda: sandbox.files.list("/home/user", wake=False),
    ):
        with pytest.raises(SandboxNotRunningError):
            await call()
    assert (await sandbox.get_info()).status == "paused"


async def test_surprise_20_a_command_that_is_paused_in_the_middle_has_no_result(sandbox):
    line = "echo ready; sleep 60"
    async with await sandbox.commands.spawn(line) as session:
        async for _ in session:
            break
        await sandbox.pause()
        with pytest.raises(OutcomeUnknownError) as caught:
            await session.wait(timeout_s=20)
    assert caught.value.stdout == "ready\n"


async def test_a_sandbox_that_is_gone_runs_nothing(sandbox):
    await sandbox.kill()
    with pytest.raises(SandboxNotRunningError):
        await sandbox.commands.run("true")
    with pytest.raises(SandboxNotRunningError):
        await sandbox.files.read("/home/user/x")


async def test_a_program_can_be_written_run_and_its_output_parsed(sandbox):
    await sandbox.files.write("/home/user/p.py", "import json, sys; print(json.dumps(sys.argv[1:]))")
    result = await sandbox.commands.run(["python3", "p.py", "é", "a\nb"], check=True)
    assert json.loads(result.stdout) == ["é", "a\nb"]
