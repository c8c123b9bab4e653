"""The pytest plugin, used as its users do: in a session of its own, on the example suite."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree as ET

import attrs
import pytest

from superserve import pytest_plugin
from superserve.local import LocalServer

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "testing"


REAL_KEY = "ss_live_0123456789abcdef"
ASYNCIO = (
    "-p",
    "pytest_asyncio.plugin",
    "-o",
    "asyncio_mode=auto",
    "-o",
    "asyncio_default_fixture_loop_scope=function",
)


def run_pytest(
    folder: Path, *arguments: str, plugins: tuple[str, ...] = ("-p", "superserve.pytest_plugin")
) -> subprocess.CompletedProcess[str]:
    """Run the tests of a folder with no other plugins than these, which take long to load, and a key of a real account."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    environment["SUPERSERVE_API_KEY"] = REAL_KEY
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "generated")])
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", "-c", os.devnull),
            *("--rootdir", str(folder)),
            *plugins,
            *arguments,
            str(folder),
        ],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        timeout=300,
        check=False,
    )


def outcome(result: subprocess.CompletedProcess[str]) -> str:
    return result.stdout.strip().splitlines()[-1] if result.stdout else result.stderr


@attrs.frozen
class Nested:
    """What one run of pytest came to: for each test what it failed with, or None."""

    failures: dict[str, str | None]
    output: str

    def failures_of(self, file: str) -> dict[str, str]:
        return {
            name.rpartition("::")[2]: text
            for name, text in self.failures.items()
            if text is not None and name.startswith(f"{file}::")
        }


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory) -> Nested:
    """All the suites below in one run: to start one takes longer than their tests.

    The plugin is loaded by name and by the suite's own conftest; the network is blocked.
    """
    folder = tmp_path_factory.mktemp("nested")
    (folder / "conftest.py").write_text("pytest_plugins = ['superserve.pytest_plugin']\n")
    suites = (SUITE, ASYNCHRONOUS, MISSES, FORGETFUL, SANDBOX_TESTS, OFFICIAL_TESTS)
    for name, suite in zip(
        ("suite", "asynchronous", "misses", "forgetful", "sandboxes", "official"), suites, strict=True
    ):
        (folder / f"test_{name}.py").write_text(suite)
    report = folder / "report.xml"
    result = run_pytest(folder, *ASYNCIO, "-o", "superserve_block_network=true", f"--junitxml={report}")
    output = result.stdout + result.stderr
    assert report.exists(), output
    cases = ET.parse(report).iter("testcase")
    failures: dict[str, str | None] = {}
    for case in cases:
        found = [*case.findall("failure"), *case.findall("error")]
        failures[f"{case.get('classname')}::{case.get('name')}"] = found[0].get("message") if found else None
    return Nested(failures, output)


@pytest.mark.slow
def test_the_example_suite_passes_wherever_it_is_copied_to_without_other_plugins(tmp_path: Path) -> None:
    folder = tmp_path / "copied"
    folder.mkdir()
    for file in EXAMPLE.glob("*.py"):
        shutil.copy(file, folder)
    result = run_pytest(folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "7 passed" in outcome(result)


@pytest.mark.slow
def test_the_example_suite_passes_on_several_workers() -> None:
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    result = run_pytest(EXAMPLE, "-p", "xdist.plugin", "-n", "2")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "7 passed" in outcome(result)


SUITE = """
import os

import pytest
from superserve import Template, ValidationError

keys = []


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_begins_with_nothing(superserve_api, turn):
    assert all(info.name.startswith("superserve/") for info in Template.list())
    Template.create(name="mine", from_="python:3.11")
    keys.append(superserve_api.api_key)
    assert os.environ["SUPERSERVE_API_KEY"] == superserve_api.api_key
    assert os.environ["SUPERSERVE_BASE_URL"] == superserve_api.base_url


def test_each_test_has_a_key_of_its_own(superserve_api):
    assert len({*keys, superserve_api.api_key}) == 3


def test_the_key_is_not_shown(superserve_api):
    assert superserve_api.api_key not in repr(superserve_api)


def test_the_environment_is_as_before():
    assert os.environ["SUPERSERVE_API_KEY"] == "ss_live_0123456789abcdef"


def test_one_server_serves_them_all(superserve_server, superserve_api):
    assert superserve_api.server is superserve_server


def test_faults_are_set(superserve_faults):
    superserve_faults.on("*", share=1).answer(400)
    with pytest.raises(ValidationError):
        Template.list()


def test_a_fault_that_may_miss_is_optional(superserve_faults):
    superserve_faults.on("POST *", optional=True).answer(503)
    superserve_faults.on_build(optional=True).lose()


def test_faults_end_with_their_test(superserve_api):
    assert Template.list() is not None
"""


ASYNCHRONOUS = """
from datetime import datetime

import freezegun
import pytest
import time_machine
from superserve import AsyncTemplate, Template


@pytest.fixture(autouse=True, params=[freezegun.freeze_time, time_machine.travel])
def moment(request):
    options = {"real_asyncio": True} if request.param is freezegun.freeze_time else {"tick": False}
    with request.param("2040-01-01T00:00:00Z", **options):
        yield datetime.fromisoformat("2040-01-01T00:00:00Z")


def test_a_build_while_time_stands_still(moment, superserve_api):
    template = Template.create(name="mine", from_="python:3.11")
    assert template.wait_until_ready(timeout_s=30).created_at == moment


async def test_a_build(superserve_api):
    template = await AsyncTemplate.create(name="mine", from_="python:3.11")
    assert (await template.wait_until_ready(timeout_s=30)).status == "ready"
"""


def test_tests_do_not_see_each_other_and_asynchronous_ones_have_the_same_fixtures(nested: Nested) -> None:
    assert nested.failures_of("test_suite") == nested.failures_of("test_asynchronous") == {}
    ran = [name for name in nested.failures if name.startswith(("test_suite::", "test_asynchronous::"))]
    assert len(ran) == 13, nested.output


MISSES = """
import pytest
from superserve import Template


def test_missed(superserve_faults):
    superserve_faults.on("POST /templates").answer(503)
    Template.list()


def test_removed(superserve_faults):
    with superserve_faults.on("POST /templates").cut():
        Template.list()
    superserve_faults.on("listTemplates").delay(0)
    Template.list()


def test_no_build(superserve_api):
    superserve_api.server.faults.on_build("demo").lose()


@pytest.mark.xfail(strict=True)
def test_expected(superserve_faults):
    superserve_faults.on("*").stall()


def test_other_failure(superserve_faults):
    superserve_faults.on("*").stall()
    assert "this" == "that"


def test_next(superserve_api):
    Template.list()
"""


def test_a_fault_that_never_strikes_fails_its_test_and_no_other(nested: Nested) -> None:
    failures = nested.failures_of("test_misses")
    told = {name for name, text in failures.items() if "never struck, and not set with optional=True" in text}
    assert told == {"test_missed", "test_removed", "test_no_build"}
    assert failures.keys() - told == {"test_other_failure"}
    assert "<Fault 1: answer on='POST /templates' status=503, struck 0>" in failures["test_missed"]
    assert "<Fault 1: cut on='POST /templates', struck 0>" in failures["test_removed"]
    assert "GET /templates: 200" in failures["test_missed"]


FORGETFUL = """
import httpx
import respx
from superserve import AsyncTemplate, Superserve, Template
from superserve.local import LocalServer


def test_forgetful():
    Template.list()


async def test_forgetful_asynchronously():
    await AsyncTemplate.list()


def test_a_raw_call():
    with Superserve() as client:
        client.raw.get_httpx_client().get("/templates")


def test_with_the_fixture(superserve_api):
    assert Template.list()


def test_with_a_server():
    with LocalServer() as server:
        assert Template.list(base_url=server.base_url, api_key=server.api_key)


@respx.mock
def test_with_a_mock():
    respx.get(path="/templates").mock(return_value=httpx.Response(200, json=[]))
    assert Template.list() == []
"""


def test_tests_that_forget_the_fixture_can_be_kept_from_the_network(nested: Nested) -> None:
    failures = nested.failures_of("test_forgetful")
    assert failures.keys() == {"test_forgetful", "test_forgetful_asynchronously", "test_a_raw_call"}
    for text in failures.values():
        assert (
            "superserve_block_network: a client of superserve was about to connect to api.superserve.ai"
            in text
        )
    assert REAL_KEY not in nested.output


def test_the_entry_point_has_the_name_of_its_module() -> None:
    # By its name pytest knows what it has loaded.
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    assert declared == {"superserve.pytest_plugin": "superserve.pytest_plugin"}


@pytest.mark.slow
def test_pytest_runs_without_the_extra(tmp_path: Path) -> None:
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): pass\n")
    # What is not there cannot be imported: the plugin must not ask for it before a test does.
    (tmp_path / "conftest.py").write_text(
        "import sys\n\ndef pytest_sessionfinish(session):\n"
        "    assert not {'starlette', 'uvicorn', 'httpx'} & sys.modules.keys()\n"
    )
    result = run_pytest(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


class Config:
    """As much of pytest's configuration as the plugin asks for."""

    def __init__(self, speed: str) -> None:
        self.speed = speed

    def getini(self, name: str) -> str | bool:
        return {"superserve_speed": self.speed, "superserve_block_network": False}[name]


@pytest.mark.parametrize("speed", ["abc", "", "0", "-1", "nan", "inf", "10001"])
def test_a_speed_that_cannot_work_is_a_usage_error_that_names_the_setting(speed: str) -> None:
    with pytest.raises(pytest.UsageError) as caught:
        pytest_plugin.pytest_configure(Config(speed))
    assert (
        str(caught.value) == f"superserve_speed must be a number more than 0 and at most 10000, not {speed!r}"
    )


def test_the_highest_speed_is_that_of_the_server() -> None:
    pytest_plugin.pytest_configure(Config("10000"))
    with pytest.raises(ValueError, match="at most 10000"):
        LocalServer(speed=10_001)


SANDBOX_TESTS = """
import os
from superserve import Sandbox

seen = []

def test_runs(superserve_sandbox, superserve_api):
    superserve_api.server.commands.on("echo *").answer(stdout="hello")
    assert superserve_sandbox.commands.run("echo hello").stdout == "hello"
    seen.append(superserve_sandbox.id)

def test_is_killed_after_its_test(superserve_sandbox):
    assert superserve_sandbox.id not in seen

def test_leaks(superserve_api):
    Sandbox.create(name="forgotten")

def test_fails_and_leaks(superserve_api):
    Sandbox.create(name="forgotten-too")
    assert False, "first things first"

def test_kills(superserve_api):
    Sandbox.create(name="kept").kill()
"""


def test_each_test_has_a_sandbox_of_its_own_and_one_that_leaves_another_fails(nested: Nested) -> None:
    failures = nested.failures_of("test_sandboxes")
    assert failures.keys() == {"test_leaks", "test_fails_and_leaks"}
    assert "not killed at the end of the test" in failures["test_leaks"]
    assert "'forgotten'" in failures["test_leaks"]
    assert "first things first" in failures["test_fails_and_leaks"]
    assert "not killed" not in failures["test_fails_and_leaks"]


OFFICIAL_TESTS = """
import os
import httpx

BEFORE = dict(os.environ)

def test_the_real_addresses_lead_to_the_local_server(superserve_official):
    assert "SUPERSERVE_BASE_URL" not in os.environ
    # As an SDK does that knows no other address.
    answer = httpx.get(
        "https://api.superserve.ai/templates", headers={"X-API-Key": os.environ["SUPERSERVE_API_KEY"]}
    )
    assert answer.status_code == 200
    assert [request.path for request in superserve_official.server.requests] == ["/templates"]

def test_not_without_the_fixture():
    names = ("HTTPS_PROXY", "SSL_CERT_FILE", "SUPERSERVE_API_KEY")
    assert [os.environ.get(name) for name in names] == [BEFORE.get(name) for name in names]
"""


def test_programs_with_an_official_sdk_are_led_to_the_local_server(nested: Nested) -> None:
    assert nested.failures["test_official::test_the_real_addresses_lead_to_the_local_server"] is None
    assert nested.failures["test_official::test_not_without_the_fixture"] is None
