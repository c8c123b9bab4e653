"""Make templates as specs say, and print what their builds print: written in Python, and read from a file.

Without an account, on a local server that makes builds up:

    python -m superserve.local run -- python examples/ensure_templates.py

On the real service, where a build takes minutes:

    export SUPERSERVE_API_KEY=ss_live_...
    python examples/ensure_templates.py
"""

import sys
from pathlib import Path

from superserve import SandboxError, SpecError, Superserve, TemplateSpec, print_log
from superserve.specs import load_all

BASE = TemplateSpec(name="example-base", from_="python:3.11").workdir("/app")
# The spec that a method is called on stays as it is: both begin with the same step.
SPECS = [
    BASE.renamed("example-numbers").pip_install("numpy"),
    BASE.renamed("example-web").env(DEBUG="1").start("python -m http.server 8080"),
]


def main() -> None:
    """Make one template with its log, then several at once."""
    for spec in (*SPECS, *load_all(Path(__file__).with_name("superserve.toml")).values()):
        for problem in spec.check():
            print(problem)
    with Superserve() as client:
        template = client.templates.ensure(SPECS[0], on_plan=print, on_log=print_log(spec=SPECS[0]))
        print(f"{template.name} is {template.status}\n")
        print(template.latest_build().timeline(), "\n")
        print(client.templates.build_all(SPECS, on_outcome=print))


if __name__ == "__main__":
    try:
        main()
    except SpecError as error:
        sys.exit("\n".join(map(str, error.problems)))
    except SandboxError as error:
        sys.exit(f"{type(error).__name__}: {error}")
