"""An agent of LangChain's Deep Agents at work in a sandbox (langchain-superserve), with a script in place of its model.

It knows nothing of a local server. What it does is told on stdout; it fails if something comes out that should not.
"""

from typing import Any

from deepagents import create_deep_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_superserve import SuperserveSandbox

from superserve import Sandbox

TIMED_OUT = 124
PROGRAM = "print(sum(range(10)))\n"
CALLS: list[tuple[str, dict[str, Any], str]] = [
    # Tool, arguments, and what its answer has to hold.
    ("write_file", {"file_path": "/home/user/sum.py", "content": PROGRAM}, "sum.py"),
    ("read_file", {"file_path": "/home/user/sum.py"}, "print(sum(range(10)))"),
    ("execute", {"command": "python3 sum.py"}, "45"),
    (
        "edit_file",
        {"file_path": "/home/user/sum.py", "old_string": "range(10)", "new_string": "range(11)"},
        "sum.py",
    ),
    ("execute", {"command": "python3 sum.py; exit 3"}, "55"),
    ("grep", {"pattern": "range", "path": "/home/user"}, "sum.py"),
    ("ls", {"path": "/home/user"}, "sum.py"),
]


class Script(GenericFakeChatModel):
    """A model that calls tools as it is told; it takes them, and needs none of their descriptions."""

    def bind_tools(self, tools: Any, **options: Any) -> "Script":  # noqa: ARG002 - as inherited
        """Return itself."""
        return self


def main() -> None:
    """Let the agent work."""
    messages = [
        AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": f"call-{number}"}])
        for number, (name, arguments, _) in enumerate(CALLS)
    ]
    sandbox = Sandbox.create(name="langchain", from_template="superserve/python-3.11")
    try:
        backend = SuperserveSandbox(sandbox=sandbox)
        agent = create_deep_agent(
            model=Script(messages=iter([*messages, AIMessage("done")])), backend=backend
        )
        state = agent.invoke({"messages": [{"role": "user", "content": "add some numbers"}]})
        answers = [message.text for message in state["messages"] if message.type == "tool"]
        for (name, _, expected), answer in zip(CALLS, answers, strict=True):
            assert expected in answer, f"{name}: {answer}"
            print(f"{name}: as expected")
        assert backend.execute("sleep 30", timeout=1).exit_code == TIMED_OUT
        print("a command that takes too long: 124")
        up, missing = backend.download_files(["/home/user/sum.py", "/nowhere"])
        assert (up.content, missing.error) == (PROGRAM.replace("10", "11").encode(), "file_not_found")
        print("files: as expected")
    finally:
        sandbox.kill()


main()
