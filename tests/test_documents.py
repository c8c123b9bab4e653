"""What the documents say works: every Python block and docstring example runs, every command and link exists.

In a Markdown file, a block of `python` runs in a namespace of its own, against a local server that the environment
names; `python continues` goes on in the namespace of the block before it. A block of `text` that follows is what it
prints, where `...` stands for anything. Docstrings have `>>>` examples, with the public names of superserve at hand.
"""

import ast
import asyncio
import contextlib
import doctest
import html
import inspect
import io
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import attrs
import pytest
import yaml

import superserve
import superserve.specs
from superserve.local import LocalServer
from superserve.local import __main__ as command_line

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
MODULES = sorted((ROOT / "superserve").rglob("*.py"))

FENCED = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)#\s]+)[^)]*\)")
OUTPUT = doctest.OutputChecker()
LENIENT = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@attrs.frozen
class Block:
    """A fenced block of a document."""

    file: Path
    line: int
    info: str
    text: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"

    @property
    def language(self) -> str:
        return self.info.split()[0] if self.info else ""


def blocks(file: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a document; `line` is that of the fence."""
    text = file.read_text(encoding="utf-8")
    for found in FENCED.finditer(text):
        yield Block(file, text.count("\n", 0, found.start()) + 1, found["info"].strip(), found["text"])


def stories() -> Iterator[list[Block]]:
    """Yield the blocks that share a namespace, each Python block with the text that it prints behind it."""
    for file in DOCUMENTS:
        story: list[Block] = []
        for block in blocks(file):
            if block.info == "python" and story:
                yield story
                story = []
            if block.info in {"python", "python continues"} or (story and block.info == "text"):
                story.append(block)
        if story:
            yield story


def compiled(source: str, file: Path, line: int, mode: str = "exec") -> CodeType:
    """Compile what may await without a function around it, so that tracebacks show its place."""
    padded = "\n" * (line - 1) + source
    return compile(padded, file, mode, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


def output(code: CodeType, names: dict[str, object], runner: asyncio.Runner) -> str:
    """Run code and return what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        result = eval(code, names)
        if inspect.iscoroutine(result):
            runner.run(result)
    return printed.getvalue()


@pytest.fixture(scope="module")
def _curated() -> Iterator[LocalServer]:
    # With the templates that a sandbox is started from when none is named.
    with LocalServer(speed=100, limits=False) as server:
        yield server


@pytest.fixture
def names(_curated, environment) -> dict[str, object]:
    """An empty namespace, and the local server in the environment."""
    _curated.reset()
    environment.setenv("SUPERSERVE_BASE_URL", _curated.base_url)
    environment.setenv("SUPERSERVE_API_KEY", _curated.api_key)
    return {"__name__": "__main__"}


@pytest.mark.parametrize("story", list(stories()), ids=lambda story: str(story[0]))
def test_every_python_block_of_a_document_runs(story, names):
    printed = ""
    for block in story:
        if block.language == "python":
            # A program of its own may start an event loop of its own: the runner makes one when it is needed.
            with asyncio.Runner() as runner:
                printed = output(compiled(block.text, block.file, block.line + 1), names, runner)
        else:
            assert OUTPUT.check_output(block.text, printed, LENIENT), (
                f"{block} says otherwise than:\n{printed}"
            )


@pytest.mark.slow
def test_the_tests_that_documents_show_pass(names, environment, tmp_path):
    # In a process of its own, whose plugin has a server of its own: as a reader runs them. Other plugins cost seconds.
    environment.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for number, story in enumerate(stories()):
        source = "\n".join(block.text for block in story if block.language == "python")
        if "def test_" in source:
            (tmp_path / f"test_{number}_{story[0].file.stem}.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "superserve.pytest_plugin", "."]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_block_is_of_a_kind_that_a_test_runs_or_reads():
    checked = {"python", "python continues", "text", "console", "sh", "toml", "yaml"}
    told = [block for story in stories() for block in story if block.info == "text"]
    # Another test compares this page with the command.
    files = [file for file in DOCUMENTS if file.name != "command.md" or file.parent.name != "reference"]
    for block in (block for file in files for block in blocks(file)):
        assert block.info in checked or block.info.startswith("{"), f"{block} is {block.info or 'nothing'}"
        assert block.info != "text" or block in told, f"{block} stands behind no program"


def test_configurations_that_are_shown_can_be_read(tmp_path):
    shown = [block for file in DOCUMENTS for block in blocks(file) if block.language in {"toml", "yaml"}]
    assert shown
    for block in shown:
        read = tomllib.loads(block.text) if block.language == "toml" else yaml.safe_load(block.text)
        if "templates" in read:
            (tmp_path / "superserve.toml").write_text(block.text, encoding="utf-8")
            for spec in superserve.specs.load_all(tmp_path / "superserve.toml").values():
                assert [problem for problem in spec.check() if problem.severity == "error"] == []


def test_the_log_that_the_page_on_logging_shows_is_the_one_that_comes():
    program, shown = blocks(ROOT / "docs" / "howto" / "logging.md")
    # In a process of its own, whose logging nobody has set up.
    ran = subprocess.run([sys.executable, "-c", program.text], capture_output=True, text=True, check=True)
    for line in shown.text.splitlines():
        assert any(OUTPUT.check_output(line, found, LENIENT) for found in ran.stderr.splitlines()), line


def docstrings() -> Iterator[tuple[str, Path, int, str]]:
    """Yield each docstring of the package that has an example: its name, file, first line and text."""
    for file in MODULES:
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        source = file.read_text(encoding="utf-8")
        if ">>>" not in source and "```" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            text = ast.get_docstring(node)
            if text and (">>>" in text or "```" in text):
                yield f"{module}.{getattr(node, 'name', '')}", file, node.body[0].lineno, text


@pytest.mark.parametrize(
    ("file", "line", "text"),
    [pytest.param(file, line, text, id=name) for name, file, line, text in docstrings()],
)
def test_every_example_of_a_docstring_prints_what_it_says(file, line, text, names):
    assert "```" not in text, "examples of docstrings are written with >>>"
    names.update({name: getattr(superserve, name) for name in superserve.__all__})
    with asyncio.Runner() as runner:
        for example in doctest.DocTestParser().get_examples(text):
            code = compiled(example.source, file, line + example.lineno, "single")
            printed = output(code, names, runner)
            assert OUTPUT.check_output(example.want, printed, LENIENT), f"{example.source}printed {printed!r}"


def sessions() -> set[str]:
    """Return the names of the sessions in noxfile.py."""
    return {
        node.name
        for node in ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.decorator_list
    }


def mentioned(pattern: str) -> list[str]:
    """Return what the documents say where the pattern's group is."""
    return [found for file in DOCUMENTS for found in re.findall(pattern, file.read_text(encoding="utf-8"))]


def test_every_nox_session_that_is_mentioned_exists():
    named = mentioned(r"nox -s ([\w-]+)")

    assert {"demo", "tests", "generate"} <= set(named)
    assert set(named) - sessions() == set()


def test_every_extra_that_is_mentioned_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = mentioned(r"pip install [^\n`]*\[(\w+)\]")

    assert "local" in named
    assert project["optional-dependencies"].keys() >= set(named)


def test_every_command_line_of_the_local_server_that_is_shown_is_understood():
    shown = mentioned(r"python -m superserve\.local\b([^\n`#&]*)")
    parser = command_line._parser("python -m superserve.local")

    assert shown
    for arguments in shown:
        parser.parse_args(shlex.split(arguments))


def test_every_source_file_that_is_named_exists():
    folders = (".", "docs", "evidence", "examples", "generated", "scripts", "superserve", "tests")
    files = [
        file.relative_to(ROOT)
        for folder in folders
        for file in ((ROOT / folder).glob("*") if folder == "." else (ROOT / folder).rglob("*"))
    ]
    named = mentioned(r"`([\w./*-]+\.(?:py|md|yaml|toml))`")

    assert named
    assert [name for name in named if not any(file.match(name) for file in files)] == []


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(file):
    targets = [found["target"] for found in LINK.finditer(file.read_text(encoding="utf-8"))]

    assert [target for target in targets if "://" not in target and not (file.parent / target).exists()] == []


def test_the_picture_of_the_front_page_shows_what_its_program_prints():
    picture = html.unescape((ROOT / "docs" / "images" / "hello.svg").read_text(encoding="utf-8"))
    shown = " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", picture.replace("\xa0", " ")))
    printed = next(block for block in blocks(ROOT / "docs" / "index.md") if block.info == "text").text

    for line in printed.splitlines():
        assert line.removesuffix("...") in shown
    # It asks nobody for anything.
    assert re.findall(r"https?://[^\s\"]+", picture) == ["http://www.w3.org/2000/svg"]


def test_the_readme_begins_with_what_a_newcomer_needs():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    for command in ("demo", "tests"):
        assert f"python -m pip install nox && python -m nox -s {command}\n" in readme


REFERENCE = ROOT / "docs" / "reference"


def first_cells(file):
    """Return what is marked as code in the first cell of each row of a page's tables."""
    rows = re.findall(r"^\| (`[^|]*) \|", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_every_error_and_every_code_with_advice_has_a_cause_and_a_cure():
    codes = {code for code in superserve.errors._HINTS if isinstance(code, str)}

    assert first_cells(REFERENCE / "errors.md") >= codes | set(superserve.errors.__all__)


def test_every_environment_variable_of_ours_is_documented():
    read = {
        name
        for file in MODULES
        for name in re.findall(r"\b_?SUPERSERVE_[A-Z_]+\b", file.read_text(encoding="utf-8"))
    }
    page = (REFERENCE / "environment.md").read_text(encoding="utf-8")

    assert read
    assert {name for name in read if f"`{name}`" not in page} == set()
