"""What is built from this checkout installs in a fresh environment: the wheel and the sdist, with and without extras."""

import importlib.util
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = "cli,dockerfile,local,official,yaml"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("uv") is None, reason="uv builds and installs here"),
]

USE = """
import importlib.metadata, superserve, superserve_api
from superserve._http import policy
assert superserve.__version__ == importlib.metadata.version("superserve-client") != "0"
for name in superserve.__all__:
    getattr(superserve, name)
print(superserve.__file__)
"""
USE_EXTRAS = """
from superserve import Superserve, Template
from superserve.local import LocalServer
with LocalServer(speed=100) as server, Superserve(api_key=server.api_key, base_url=server.base_url) as client:
    Template.create(name="a", from_="python:3.11", client=client).wait_until_ready()
    sent = server.requests.last.headers["user-agent"]
import superserve
assert sent.startswith(f"superserve-python/{superserve.__version__} "), sent
"""


def run(*command):
    # What this process is told about modules is not for those that it starts.
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd="/")
    assert ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"
    return ran


def uv(*arguments):
    return run(sys.executable, "-m", "uv", *arguments)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--out-dir", str(folder), str(ROOT))
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    # The last is the form that README has for other environments than the checkout's own.
    return {"wheel": wheel.as_uri(), "sdist": sdist.as_uri(), "git": f"git+{ROOT.as_uri()}"}


@pytest.mark.parametrize("kind", ["wheel", "sdist", "git"])
@pytest.mark.parametrize("extras", ["", f"[{EXTRAS}]"], ids=["bare", "extras"])
def test_it_installs_in_a_fresh_environment_and_works(built, tmp_path, kind, extras):
    if kind == "git" and not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    uv("venv", "--quiet", "--python", sys.executable, str(tmp_path / "venv"))
    python = str(tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python")
    uv("pip", "install", "--quiet", "--python", python, f"superserve-client{extras} @ {built[kind]}")

    used = run(python, "-I", "-W", "error", "-c", USE)
    assert Path(used.stdout.strip()).is_relative_to(tmp_path)
    if extras:
        run(python, "-I", "-c", USE_EXTRAS)
        run(python, "-I", "-m", "superserve", "--version")
    else:
        bare = subprocess.run(
            [python, "-I", "-c", "import superserve.local"], capture_output=True, text=True, check=False
        )
        advice = "superserve-client[local]"
        assert f"pip install '{advice}'" in bare.stderr
        if kind == "wheel":
            # What is installed is known to be wanted: only the extra is looked for, wherever the rest came from.
            uv("pip", "install", "--quiet", "--python", python, advice)
            run(python, "-I", "-c", USE_EXTRAS)


def test_the_source_distribution_holds_no_tools_of_evidence(built):
    with tarfile.open(url2pathname(urlsplit(built["sdist"]).path)) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert {"openapi.yaml", "superserve/__init__.py", "generated/superserve_api/client.py"} < set(names)
    assert [name for name in names if "evidence" in name.split("/")] == []
