"""Build a template from start to end: create it, follow its build, rebuild, cancel, fail, delete.

Without an account, on a local server that runs the steps as processes of this machine, in seconds:

    python -m nox -s demo

On the real service, where a build takes minutes:

    export SUPERSERVE_API_KEY=ss_live_...
    python examples/build_template.py
"""

import secrets
import sys
import textwrap
import time

import attrs

from superserve import (
    AuthenticationError,
    BuildCancelledError,
    BuildError,
    BuildStep,
    EnvStep,
    EnvStepValue,
    NotFoundError,
    RunStep,
    SandboxError,
    Superserve,
    Template,
    print_log,
)

# The names of all that this run creates begin so, and no others do: clean_up finds everything again.
PREFIX = f"sdk-demo-{secrets.token_hex(3)}"

# What a shell says of a program that Ctrl-C has ended.
INTERRUPTED = 130

STEPS: list[BuildStep] = [
    {"run": "uname -sm"},
    {"user": {"name": "app"}},
    {"workdir": "/app"},
    # Steps are plain dicts, as above, or typed.
    EnvStep(EnvStepValue("GREETING", "Hello")),
    RunStep('for n in 1 2 3 4 5; do echo "$GREETING from $(pwd), $n of 5"; sleep 0.5; done'),
    RunStep("echo 'while sleep 0.1; do date > heartbeat; done' > serve.sh"),
]


def create_and_wait(client: Superserve) -> Template:
    """Create a template, print its build's log as it is written, and show what has become of it."""
    title("Create a template")
    template = Template.create(
        name=f"{PREFIX}-web",
        from_="python:3.11",
        vcpu=1,
        memory_mib=1024,
        disk_mib=4096,
        steps=STEPS,
        start_cmd="sh serve.sh",
        ready_cmd="test -s heartbeat",
        client=client,
    )
    row("name", template.name)
    row("id", template.id)
    row("status", template.status)

    title("Wait until it is ready, with the build's log")
    info = template.wait_until_ready(on_log=print_log())

    title("What it is now: a TemplateInfo")
    for field, value in attrs.asdict(info).items():
        if value is not None:
            row(field, value)
    return template


def rebuild_and_cancel(template: Template) -> None:
    """Queue a second build and cancel it: the template stays as the first one left it."""
    title("Rebuild, and cancel that")
    build = template.rebuild()
    row("rebuild", f"{build.id}, {build.status}")
    row("and again", f"{template.rebuild().id}, the same: it is still in flight")
    template.cancel_build(build.id)
    try:
        template.wait_until_ready()
    except BuildCancelledError as error:
        row("BuildCancelledError", error)
    row("template", template.get_info().status)

    title("All its builds, newest first")
    for build in template.list_builds():
        row(build.status, f"{build.id}, created at {build.created_at:%H:%M:%S}")


def fail(client: Superserve) -> None:
    """Build what cannot be built, and show what the error tells."""
    title("A build that fails at its second step")
    template = Template.create(
        name=f"{PREFIX}-broken",
        from_="python:3.11",
        steps=[{"run": "echo fine"}, {"run": "echo 'not so fine' >&2; exit 3"}, {"run": "echo never"}],
        client=client,
    )
    try:
        template.wait_until_ready(on_log=print_log())
    except BuildError as error:
        title("What a BuildError tells")
        row("message", error.message)
        row("code", error.code)
        row("step", f"{error.step} of {error.step_count}")
        row("command", error.command)
        row("exit code", error.exit_code)
        row("printed last", error.log_tail[-1])


def delete_twice(template: Template) -> None:
    """Delete a template that is there, then one that is not."""
    title("Delete it, twice")
    template.delete()
    row("first", "deleted")
    template.delete()
    row("second", "was gone already, which is no error")
    try:
        template.get_info()
    except NotFoundError as error:
        row("NotFoundError", error)


def clean_up(client: Superserve) -> None:
    """Delete everything that this run has created and that is still there, however it ended."""
    for info in Template.list(name_prefix=PREFIX, client=client):
        template = Template.connect(info.id, client=client)
        # A template that is being built cannot be deleted.
        for build in template.list_builds():
            if not build.status.is_terminal:
                template.cancel_build(build.id)
        template.delete()


def title(text: str) -> None:
    """Print a heading."""
    print(f"\n{text}", flush=True)


def row(label: str, value: object) -> None:
    """Print a value with its label before it."""
    say(f"   {label:<20}", str(value))


def say(before: str, text: str) -> None:
    """Print a text, wrapped to the right of what stands before it."""
    indent = " " * len(before)
    print(
        textwrap.fill(text, 100, initial_indent=before, subsequent_indent=indent, break_on_hyphens=False),
        flush=True,
    )


def main() -> None:
    """Show everything that can be done with a template."""
    started = time.monotonic()
    with Superserve() as client:
        count = len(Template.list(client=client))
        print(f"Superserve at {client.base_url}, with {count} templates so far", flush=True)
        try:
            template = create_and_wait(client)
            rebuild_and_cancel(template)
            fail(client)
            delete_twice(template)
        finally:
            clean_up(client)
    print(f"\nDone in {time.monotonic() - started:.1f} s; nothing is left behind.")


if __name__ == "__main__":
    try:
        main()
    except AuthenticationError as error:
        sys.exit(f"{error}\nWithout an account: python -m nox -s demo")
    except SandboxError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
