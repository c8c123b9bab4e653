"""The lives of templates and sandboxes, as one Python SDK reports them: a line of JSON for every step, on stdout.

It runs with this SDK and with the official one, which have the same import name, each in an environment of its own, and
imports nothing else. `async` as its argument takes the asynchronous class instead. What is compared is what a caller
sees: values and errors, not sentences.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import superserve
from superserve import EnvStep, EnvStepValue, RunStep, UserStep, UserStepValue, WorkdirStep

IMAGE = "debian:12"
POLL_S = 0.05
UNKNOWN = "00000000-0000-4000-8000-000000000000"
TEMPLATE_FIELDS = ("name", "status", "vcpu", "memory_mib", "disk_mib", "size_bytes", "error_message")
SANDBOX_FIELDS = ("name", "vcpu_count", "memory_mib", "timeout_seconds", "auto_delete_seconds")
TIMES = ("created_at", "built_at", "started_at", "finalized_at")


class Driver:
    """Runs steps and reports them."""

    def __init__(self, template_class: Any, sandbox_class: Any, run: Callable[[Any], Any]) -> None:
        self.template_class = template_class
        self.sandbox_class = sandbox_class
        self.run = run

    def step(self, name: str, work: Callable[[], Any]) -> Any:
        """Do something, report what came out, and return it; None if it was an error."""
        value = None
        try:
            value = work()
            outcome = shown(value)
        except Exception as error:  # noqa: BLE001 - whatever an SDK raises is what is compared
            outcome = {"raises": kind_of(error), **details_of(error)}
        sys.stdout.write(json.dumps({"step": name, "outcome": outcome}) + "\n")
        sys.stdout.flush()
        return value

    def create(self, name: str, *commands: str, **options: Any) -> Any:
        """Create a template."""
        steps = [RunStep(run=command) for command in commands]
        return self.run(self.template_class.create(name=name, from_=IMAGE, steps=steps, **options))

    def logs(self, template: Any, **options: Any) -> dict[str, Any]:
        """Return what is in a template's log."""
        events: list[Any] = []
        self.run(template.stream_build_logs(on_event=events.append, **options))
        return {
            "events": len(events),
            "stdout": [event.text for event in events if event.stream == "stdout"],
            "streams": sorted({str(getattr(event.stream, "value", event.stream)) for event in events}),
            "last": [events[-1].finished, text_of(events[-1].status)],
            "times": all(event.timestamp is not None and aware(event.timestamp) for event in events),
        }

    def wait(self, template: Any, **options: Any) -> Any:
        """Wait for a template's build."""
        return self.run(template.wait_until_ready(poll_interval_s=POLL_S, **options))


def shown(value: Any) -> Any:  # noqa: PLR0911 - one for each kind of value
    """Return what a caller sees of a value, as JSON."""
    if isinstance(value, list):
        return [shown(item) for item in value]
    if hasattr(value, "build_spec_hash"):
        fields = {"status": text_of(value.status), "error_message": value.error_message}
        return {**fields, **times_of(value)}
    if hasattr(value, "exit_code"):
        return {name: getattr(value, name) for name in ("exit_code", "stdout", "stderr")}
    if hasattr(value, "commands"):
        return {"name": value.name, "metadata": dict(value.metadata)}
    if hasattr(value, "vcpu_count"):
        fields = {name: getattr(value, name) for name in SANDBOX_FIELDS}
        return {**fields, "status": text_of(value.status), "metadata": dict(value.metadata)}
    if hasattr(value, "vcpu"):
        fields = {name: getattr(value, name) for name in TEMPLATE_FIELDS}
        return {**fields, "status": text_of(value.status), **times_of(value)}
    return value


def times_of(value: Any) -> dict[str, Any]:
    """Say of each time whether it is there, and whether it has a zone."""
    found = {name: getattr(value, name) for name in TIMES if hasattr(value, name)}
    return {
        name: time if time is None else ("aware" if aware(time) else "naive") for name, time in found.items()
    }


def aware(time: Any) -> bool:
    """Whether a time has a zone."""
    return getattr(time, "tzinfo", None) is not None


def text_of(status: Any) -> Any:
    """Return a status as text."""
    return getattr(status, "value", status)


def kind_of(error: Exception) -> str:
    """Return the name of an error's class, with its module if it isn't the SDK's own."""
    kind = type(error)
    package = kind.__module__.partition(".")[0]
    return kind.__name__ if package in {"superserve", "builtins"} else f"{package}.{kind.__name__}"


def details_of(error: Exception) -> dict[str, Any]:
    """Return what an error tells a program."""
    names = ("status_code", "code")
    details = {name: getattr(error, name) for name in names if getattr(error, name, None) is not None}
    if isinstance(error, superserve.BuildError):
        details["ids"] = bool(error.build_id and error.template_id)
        details["tells"] = "exited with code 3" in str(error)
    return details


def life_cycle(driver: Driver) -> None:
    """From creation to deletion."""
    create, run, step, template_class = driver.create, driver.run, driver.step, driver.template_class
    steps = [
        # Long enough that a second rebuild meets the first, also on a busy machine.
        RunStep(run="echo hello; sleep 20"),
        EnvStep(env=EnvStepValue(key="A", value="b")),
        WorkdirStep(workdir="/srv/app"),
        UserStep(user=UserStepValue(name="app", sudo=True)),
    ]
    sizes = {"vcpu": 2, "memory_mib": 512, "disk_mib": 2048}
    template = step(
        "create",
        lambda: run(
            template_class.create(
                name="compat", from_=IMAGE, steps=steps, start_cmd="sleep 1", ready_cmd="true", **sizes
            )
        ),
    )
    step("create: id of the first build", lambda: bool(template.latest_build_id))
    texts: list[str] = []
    step("wait_until_ready", lambda: driver.wait(template, on_log=lambda event: texts.append(event.text)))
    step("wait_until_ready: on_log", lambda: "hello" in texts)
    step("get_info", lambda: run(template.get_info()))
    step("connect", lambda: run(template_class.connect(template.id)))
    step("connect by name", lambda: run(template_class.connect("compat")))
    step("connect to an id with a slash", lambda: run(template_class.connect(f"{template.id}/builds")))
    step("connect to nothing", lambda: run(template_class.connect("")))
    step("list", lambda: run(template_class.list(name_prefix="compat")))
    step("list: all", lambda: len(run(template_class.list())))
    step("stream_build_logs", lambda: driver.logs(template))
    step("stream_build_logs: build_id", lambda: driver.logs(template, build_id=template.latest_build_id))
    step("stream_build_logs: callback raises", lambda: run(template.stream_build_logs(on_event=complain)))
    step("wait_until_ready: callback raises", lambda: driver.wait(template, on_log=complain).status)
    step("rebuild", lambda: run(template.rebuild()))
    step("wait_until_ready: after a rebuild", lambda: driver.wait(template))
    step("wait_until_ready: ready already", lambda: driver.wait(run(template_class.connect(template.id))))
    step("list_builds", lambda: run(template.list_builds()))
    step("list_builds: limit", lambda: len(run(template.list_builds(limit=1))))
    step("get_build", lambda: run(template.get_build(template.latest_build_id)))
    step("get_build: unknown", lambda: run(template.get_build(UNKNOWN)))
    slow = create("compat-slow", "sleep 600")
    step("rebuild: in flight already", lambda: run(slow.rebuild()).id == slow.latest_build_id)
    step("delete: while it builds", lambda: run(slow.delete()))
    step("cancel_build", lambda: run(slow.cancel_build(slow.latest_build_id)))
    step("cancel_build: get_build", lambda: state_of(run(slow.get_build(slow.latest_build_id))))
    step("cancel_build: again", lambda: run(slow.cancel_build(slow.latest_build_id)))
    step("cancel_build: unknown", lambda: run(slow.cancel_build(UNKNOWN)))
    step("cancel_build: wait_until_ready", lambda: driver.wait(slow))
    step("delete", lambda: run(slow.delete()))
    step("delete: again", lambda: run(slow.delete()))
    step("delete: get_info", lambda: run(slow.get_info()))
    step("delete_by_id: unknown", lambda: run(template_class.delete_by_id(UNKNOWN)))
    step("delete_by_id", lambda: run(template_class.delete_by_id(template.id)))
    failing = create("compat-failing", "true", "exit 3")
    step("a failed build: wait_until_ready", lambda: driver.wait(failing))
    step("a failed build: get_info", lambda: run(failing.get_info()))
    step("a failed build: stream_build_logs", lambda: driver.logs(failing))


def sandboxes(driver: Driver) -> None:
    """Take a sandbox from creation to its end, with commands and files."""
    run, step, sandbox_class = driver.run, driver.step, driver.sandbox_class
    box = step(
        "sandbox: create",
        lambda: run(
            sandbox_class.create(name="box", env_vars={"COLOUR": "blue"}, metadata={"kind": "compat"})
        ),
    )
    step("sandbox: status", lambda: text_of(box.status))
    step("sandbox: get_info", lambda: run(box.get_info()))
    step("sandbox: list", lambda: run(sandbox_class.list(metadata={"kind": "compat"})))
    step("sandbox: connect", lambda: run(sandbox_class.connect(box.id)).id == box.id)
    step("run", lambda: run(box.commands.run("echo out; echo err >&2; echo $COLOUR")))
    step("run: exit code", lambda: run(box.commands.run("exit 42")))
    step("run: cwd and env", lambda: run(box.commands.run("pwd; echo $A", cwd="/tmp", env={"A": "b"})))
    step("run: says whether output was cut", lambda: run(box.commands.run("true")).truncated)
    step("run: timeout", lambda: run(box.commands.run("echo early; sleep 30", timeout_seconds=1)))
    step("run: an unknown program", lambda: run(box.commands.run("no-such-program")).exit_code)
    step("run: a folder that is not there", lambda: run(box.commands.run("true", cwd="/nowhere")))
    step("run: nothing", lambda: run(box.commands.run("")))
    pieces: list[str] = []
    slowly = "for i in 1 2 3; do echo $i; sleep 0.1; done; exit 3"
    step("run: on_stdout", lambda: run(box.commands.run(slowly, on_stdout=pieces.append)))
    step("run: on_stdout: pieces", lambda: "".join(pieces))
    step("run: callback raises", lambda: run(box.commands.run("echo x", on_stdout=complain)))
    spawned(driver, box)
    step("files: write and read_text", lambda: written(driver, box, "/tmp/deep/er.txt", "ü\n"))
    step("files: bytes", lambda: list(written(driver, box, "/tmp/b", bytes(range(256)), text=False))[:4])
    step("files: seen by a command", lambda: run(box.commands.run("cat /tmp/deep/er.txt")).stdout)
    step("files: none", lambda: run(box.files.read("/tmp/none")))
    step("files: a relative path", lambda: run(box.files.read("relative")))
    step("files: a folder as a file", lambda: run(box.files.read("/tmp/deep")))
    step("files: download_dir", lambda: run(box.files.download_dir("/tmp/deep"))[:2] == b"PK")
    step("update", lambda: run(box.update(metadata={"kind": "compat", "more": "yes"})))
    step("update: get_info", lambda: run(box.get_info()).metadata)
    step("update: nothing", lambda: run(box.update()))
    step("pause", lambda: run(box.pause(wait=True)))
    step("pause: get_info", lambda: text_of(run(box.get_info()).status))
    step("resume", lambda: run(box.resume()))
    step("resume: get_info", lambda: text_of(run(box.get_info()).status))
    run(box.pause(wait=True))
    step("run: in a paused sandbox", lambda: run(box.commands.run("echo woken")).stdout)
    run(box.pause(wait=True))
    step("spawn: in a paused sandbox", lambda: run(run(box.commands.spawn("echo woken")).wait()).stdout)
    step("preview", lambda: run_plain(run, box.get_preview_url(8080)).count(box.id))
    step("preview: a port that is taken", lambda: run_plain(run, box.get_preview_url(49983)))
    step("kill", lambda: run(box.kill()))
    step("kill: again", lambda: run(box.kill()))
    step("kill: run", lambda: run(box.commands.run("true")))
    step("kill: get_info", lambda: run(box.get_info()))
    step("kill_by_id: unknown", lambda: run(sandbox_class.kill_by_id(UNKNOWN)))
    step("sandbox: connect to an unknown one", lambda: run(sandbox_class.connect(UNKNOWN)))
    step("sandbox: from an unknown template", lambda: run(sandbox_class.create(name="x", from_template="no")))
    step("sandbox: without a name", lambda: run(sandbox_class.create(name="")))


def spawned(driver: Driver, box: Any) -> None:
    """Talk to commands while they run."""
    run, step, spawn = driver.run, driver.step, box.commands.spawn
    pieces: list[str] = []

    def converse() -> Any:
        command = "while read line; do echo got $line; done; echo bye >&2; exit 4"
        session = run(spawn(command, on_stdout=pieces.append, on_stderr=pieces.append))
        for text in ("one\n", b"two\n"):
            run(session.stdin.write(text))
        run(session.stdin.close())
        return run(session.wait())

    def killed(*signals: str) -> int:
        session = run(spawn("sleep 30"))
        run(session.kill(*signals))
        return run(session.wait()).exit_code

    def closed() -> Any:
        session = run(spawn("sleep 30"))
        run(session.close())
        return run(session.wait())

    step("spawn", converse)
    step("spawn: callbacks", lambda: sorted("".join(pieces).splitlines()))
    place = {"cwd": "/tmp", "env": {"A": "b"}}
    step("spawn: cwd and env", lambda: run(run(spawn("pwd; echo $A", **place)).wait()).stdout)
    step("spawn: kill", killed)
    step("spawn: kill with another signal", lambda: killed("SIGINT"))
    step("spawn: close, then wait", closed)
    step("spawn: timeout", lambda: run(run(spawn("sleep 30", timeout_seconds=1)).wait()))
    step("spawn: an unknown program", lambda: run(run(spawn("no-such-program")).wait()).exit_code)
    step("spawn: a folder that is not there", lambda: run(run(spawn("true", cwd="/nowhere")).wait()))
    step("spawn: callback raises", lambda: run(run(spawn("echo x", on_stdout=complain)).wait()))


def written(driver: Driver, box: Any, path: str, content: Any, *, text: bool = True) -> Any:
    """Write a file and read it back."""
    driver.run(box.files.write(path, content))
    return driver.run(box.files.read_text(path) if text else box.files.read(path))


def run_plain(run: Callable[[Any], Any], value: Any) -> Any:
    """Await what may be a coroutine in one SDK and a value in another."""
    return run(value) if asyncio.iscoroutine(value) else value


def errors(driver: Driver) -> None:
    """Each class of error."""
    create, run, step, template_class = driver.create, driver.run, driver.step, driver.template_class
    create("compat-taken")
    step("a name in use", lambda: create("compat-taken"))
    step("a bad name", lambda: create("Not A Name"))
    step("a size out of bounds", lambda: create("compat-large", vcpu=9))
    step("steps as plain mappings", lambda: steps_as_mappings(driver))
    step("a step of two kinds", lambda: steps_as_mappings(driver, {"run": "true", "workdir": "/srv"}))
    step("a NUL in a command", lambda: create("compat-nul", "a\0b"))
    step("an unknown template", lambda: run(template_class.connect(UNKNOWN)))
    step("a wrong key", lambda: run(template_class.list(api_key="wrong")))
    key = os.environ.pop("SUPERSERVE_API_KEY")
    step("no key", lambda: run(template_class.list()))
    os.environ["SUPERSERVE_API_KEY"] = key
    slow: list[Any] = []
    step("too many builds", lambda: create_many(driver, slow))
    for template in slow:
        run(template.cancel_build(template.latest_build_id))
    (bare,) = run(template_class.list(name_prefix="bare"))
    step(
        "a template without builds: wait_until_ready",
        lambda: driver.wait(run(template_class.connect(bare.id))),
    )
    step("a template without builds: logs", lambda: driver.logs(run(template_class.connect(bare.id))))
    elsewhere = {"api_key": key, "base_url": os.environ["SUPERSERVE_BASE_URL"] + "/elsewhere"}
    step("an address that isn't the API", lambda: run(template_class.list(**elsewhere)))
    elsewhere["base_url"] = os.environ["COMPAT_NEWER_URL"]
    step("a newer server: a status unknown so far", lambda: len(run(template_class.list(**elsewhere))))
    elsewhere["base_url"] = os.environ["COMPAT_FAULTY_URL"]
    step("503 twice, then an answer", lambda: len(run(template_class.list(**elsewhere))))
    step("429 three times", lambda: run(template_class.connect(UNKNOWN, **elsewhere)))
    cut_off = create("compat-cut-off", "echo hello", **elsewhere)
    step("a log that is cut off: stream_build_logs", lambda: driver.logs(cut_off)["last"])
    step("a log that is cut off: wait_until_ready", lambda: driver.wait(cut_off, on_log=lambda _event: None))
    elsewhere["base_url"] = os.environ["COMPAT_REFUSING_URL"]
    step("nobody answers the call", lambda: run(template_class.list(**elsewhere)))
    elsewhere["base_url"] = os.environ["COMPAT_SILENT_URL"]
    step("no answer within 30 s", lambda: create("compat-silent", **elsewhere))


def steps_as_mappings(driver: Driver, *more: dict[str, Any]) -> Any:
    """Create a template whose steps are dictionaries."""
    steps: Any = [{"run": "true"}, {"env": {"key": "A", "value": "b"}}, *more]
    name = "compat-mappings"
    return text_of(driver.run(driver.template_class.create(name=name, from_=IMAGE, steps=steps)).status)


def create_many(driver: Driver, created: list[Any]) -> None:
    """Create templates that build for long, more than a team may."""
    for number in range(8):
        created.append(driver.create(f"compat-{number}", "sleep 600"))  # noqa: PERF401 - the first ones are kept


def state_of(build: Any) -> list[Any]:
    """Return status and message of a build, whether or not it had been started."""
    return [text_of(build.status), build.error_message]


def complain(_event: object) -> None:
    """Raise, as a callback of a caller may."""
    raise RuntimeError("the callback's own error")


def main() -> None:
    """Run all steps."""
    with contextlib.ExitStack() as stack:
        if sys.argv[1:] == ["async"]:
            runner = stack.enter_context(asyncio.Runner())
            classes = superserve.AsyncTemplate, superserve.AsyncSandbox
            driver = Driver(*classes, lambda work: runner.run(wait_for(work)))
        else:
            driver = Driver(superserve.Template, superserve.Sandbox, lambda value: value)
        if os.environ.get("COMPAT_PART") == "sandboxes":
            sandboxes(driver)
            return
        life_cycle(driver)
        errors(driver)


async def wait_for(work: Any) -> Any:
    """Await what an asynchronous method returned."""
    return await work


if __name__ == "__main__":
    main()
