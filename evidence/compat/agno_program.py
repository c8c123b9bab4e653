"""The tools that agno gives its agents for sandboxes (SuperserveTools), called as an agent calls them.

It knows nothing of a local server. What it does is told on stdout; it fails if something comes out that should not.
"""

import asyncio
import tempfile
import zipfile
from pathlib import Path

from agno.agent import Agent
from agno.tools.superserve import SuperserveTools

from superserve import Sandbox


def expect(what: str, answer: str, *parts: str) -> None:
    """Tell that an answer has these parts, or fail."""
    for part in parts:
        assert part in answer, f"{what}: {answer}"
    print(f"{what}: as expected")


def main() -> None:
    """Call the tools, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        tools = SuperserveTools(all=True, output_directory=folder, command_timeout=20)
        agent = Agent(tools=[tools])
        expect("run_python_code", tools.run_python_code(agent, "print(6 * 7)"), "42", "Exit code: 0")
        expect("run_command", tools.run_command(agent, "pwd; exit 3"), "/home/user", "Exit code: 3")
        expect("create_file", tools.create_file(agent, "/home/user/made/a.txt", "made"), "File written")
        expect("read_file", tools.read_file(agent, "/home/user/made/a.txt"), "made")
        expect("read_file of none", tools.read_file(agent, "/nowhere"), "error")
        expect("list_files", tools.list_files(agent, "/home/user/made"), "a.txt")
        expect(
            "download_directory", tools.download_directory(agent, "/home/user/made", "made.zip"), "made.zip"
        )
        with zipfile.ZipFile(Path(folder, "made.zip")) as archive:
            assert [archive.read(name) for name in archive.namelist() if name.endswith("a.txt")] == [b"made"]
        expect("get_sandbox_info", tools.get_sandbox_info(agent), "active")
        expect("pause_sandbox", tools.pause_sandbox(agent), "aused")
        expect("resume_sandbox", tools.resume_sandbox(agent), "esumed")
        expect("get_preview_url", tools.get_preview_url(agent, 8080), "https://8080-")
        expect("delete_file", tools.delete_file(agent, "/home/user/made"), "/home/user/made")
        expect("list_sandboxes", tools.list_sandboxes(), "agno-")
        expect("arun_command", asyncio.run(tools.arun_command(agent, "echo async")), "async", "Exit code: 0")
        expect("shutdown_sandbox", tools.shutdown_sandbox(agent), "shut down")
    assert not Sandbox.list()
    print("no sandbox is left")


main()
