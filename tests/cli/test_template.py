"""`superserve template`: what each command does, prints and exits with."""

import asyncio
import signal

import pytest

from superserve import AsyncTemplate, Template, TemplateSpec
from superserve.specs import load_all
from tests.patience import given_time

NOBODYS = "7a3f2b8c-0000-4000-8000-00000000000f"


@pytest.fixture
def web(run):
    """A template that is ready."""
    assert run("template", "build", "web").code == 0
    return Template.get_by_name("web")


def test_init_writes_a_spec_that_can_be_built(run, folder):
    (folder / "superserve.toml").unlink()
    ran = run("template", "init", "--name", "mine")
    assert (ran.code, ran.stdout) == (0, "superserve.toml\n")
    assert (folder / "superserve.toml").read_text().startswith("#:schema ./superserve.schema.json\n")
    assert (folder / "superserve.schema.json").exists()
    assert [problem for spec in load_all("superserve.toml").values() for problem in spec.check()] == []
    assert run("template", "build", "mine").code == 0


def test_init_writes_over_nothing_unless_told_to(run, folder):
    before = (folder / "superserve.toml").read_text()
    ran = run("template", "init")
    assert (ran.code, ran.stdout) == (5, "")
    assert "--force" in ran.stderr
    assert (folder / "superserve.toml").read_text() == before
    assert run("template", "init", "--force").code == 0
    assert run("template", "init", "x.toml", "--name", "A B").code == 2


def test_check_tells_all_problems_and_sends_nothing(run, folder, server):
    assert run("template", "check").code == 0
    (folder / "superserve.toml").write_text(
        "[templates.Web]\nfrom = 'alpine'\nsteps = [{env = {key = 'PATH', value = 'x'}}]\n"
    )
    ran = run("template", "check")
    assert ran.code == 2
    assert [line.split(" ")[0] for line in ran.stdout.splitlines()] == [
        "superserve.toml:1:1:", "superserve.toml:2:1:", "superserve.toml:3:18:",
    ]  # fmt: skip
    assert ran.stderr == "2 errors, 1 warnings\n"
    assert [problem["where"] for problem in run("template", "check", "--json").json] == [
        "name",
        "from",
        "steps[0].env.key",
    ]
    assert list(server.requests) == []


def test_what_is_wrong_with_the_file_itself_is_data_of_check(run, folder):
    (folder / "superserve.toml").write_text("[templates.web]\nfrom = 'a'\nvcpus = 3\nsteps = [{rum = 'x'}]\n")
    ran = run("template", "check")
    assert (ran.code, ran.stderr) == (2, "2 errors, 0 warnings\n")
    assert ran.stdout == (
        "superserve.toml:3:1: error: templates.web.vcpus: unknown key 'vcpus'; did you mean 'vcpu'?\n"
        "superserve.toml:4:10: error: steps[0]: unknown key 'rum'; did you mean 'run'?\n"
    )
    assert run("template", "check", "-f", "none.toml", "--json").json[0]["place"]["file"] == "none.toml"


def test_warnings_fail_a_strict_check(run, folder):
    (folder / "superserve.toml").write_text("[templates.web]\nfrom = 'a'\nvcpu = 4\n")
    assert run("template", "check").code == 0
    assert run("template", "check", "--strict").code == 2


def test_plan_tells_what_build_would_do(run, web):
    assert (
        run("template", "plan", "web").stdout
        == "web: reuse: the spec is the same, and the template is ready\n"
    )
    assert [(one["name"], one["action"]) for one in run("template", "plan", "--json").json] == [
        ("web", "reuse"), ("broken", "create"),
    ]  # fmt: skip


def test_build_takes_a_template_from_the_file(run):
    ran = run("template", "build", "web")
    assert ran.code == 0
    assert ran.stdout.split()[::2] == ["web", "ready"]
    assert "web: create: there is no template 'web'" in ran.stderr
    assert "== Step 1/1  $ echo made\nmade\n" in ran.stderr


def test_build_leaves_alone_what_is_as_it_should_be(run, web, server):
    server.requests.clear()
    ran = run("template", "build", "web", "--json")
    assert ran.json["id"] == web.id
    assert {request.method for request in server.requests} == {"GET"}


def test_a_failed_build_exits_1_with_the_steps_own_text_on_stderr(run):
    ran = run("template", "build", "broken")
    assert (ran.code, ran.stdout) == (1, "")
    assert "exited with code 3; the command was 'exit 3', written at superserve.toml:9:3" in ran.stderr
    error = run("template", "build", "broken", "--json").error
    assert (error["category"], error["code"], error["build"]["command"]) == ("build", "step_failed", "exit 3")
    assert error["build"]["log_tail"] == ["fine"]


def test_hints_of_a_failed_build_name_commands(run, server):
    server.faults.on_build("web").fail("boot_failed")
    assert "superserve template rebuild web tries again" in run("template", "build", "web").stderr
    ran = run("template", "build", "--all")
    assert "superserve template logs broken shows the whole log\nIt printed last:\n  fine" in ran.stderr


def test_several_are_built_together_and_summed_up(run):
    ran = run("template", "build", "--all", "--json")
    assert ran.code == 1
    assert [(one["name"], one["error"] and one["error"]["code"]) for one in ran.json] == [
        ("web", None), ("broken", "step_failed"),
    ]  # fmt: skip
    assert "1 of 2 templates are ready" in ran.stderr


def test_build_refuses_what_has_mistakes_before_anything_is_sent(run, folder, server):
    (folder / "superserve.toml").write_text("[templates.web]\nfrom = 'alpine'\n[templates.Api]\nfrom = 'x'\n")
    ran = run("template", "build", "--all")
    assert ran.code == 2
    assert "superserve.toml:2:1" in ran.stderr
    assert "superserve.toml:3:1" in ran.stderr
    assert list(server.requests) == []


def test_nothing_is_replaced_without_a_yes(run, folder, web, server):
    (folder / "superserve.toml").write_text("[templates.web]\nfrom = 'other'\n")
    server.requests.clear()
    ran = run("template", "build", "web", "--json")
    assert (ran.code, ran.stdout, ran.error["code"]) == (5, "", "not_confirmed")
    assert "delete template web and create it anew" in ran.error["message"]
    assert run("template", "build", "web", "--dry-run").stdout.startswith("web: replace: ")
    assert {request.method for request in server.requests} == {"GET"}
    assert run("template", "build", "web", "--yes").code == 0
    assert Template.get_by_name("web").id != web.id


def test_what_sandboxes_use_is_not_replaced(run, folder, web, server):
    assert run("sb", "create", "box", "-t", "web").code == 0
    file = folder / "superserve.toml"
    file.write_text(file.read_text().replace("echo made", "echo other"))
    ran = run("template", "build", "web", "--yes", "--json")
    assert (ran.code, ran.error["category"]) == (5, "conflict")
    assert "in use by 1 sandbox" in ran.error["message"]
    assert run("template", "build", "web", "broken", "--yes", "-q").code == 5
    ran = run("template", "prune", "--keep", "0", "--prefix", "web", "--yes", "--json")
    assert (ran.code, [one["deleted"] for one in ran.json]) == (5, [False])
    assert run("template", "show", "web", "--json").json["id"] == web.id
    assert run("sb", "show", "box", "--json").json["status"] == "active"


def test_without_waiting_it_says_how_to_come_back(run, server):
    server.builds.hold()
    ran = run("template", "build", "web", "--no-wait")
    assert (ran.code, ran.stdout.split()[-1]) == (0, "building")
    assert "superserve template logs web" in ran.stderr
    server.builds.release()


def test_a_wait_that_takes_too_long_exits_124(run, server):
    server.builds.hold()
    ran = run("template", "build", "web", "--timeout", "0.05")
    assert ran.code == 124
    assert "the build goes on: superserve template logs web shows it" in ran.stderr
    server.builds.release()


def test_rebuild_takes_a_name_or_an_id(run, web):
    assert run("template", "rebuild", "web").stdout.split()[::2] == ["web", "ready"]
    assert run("template", "rebuild", web.id, "--no-wait", "--json").json["template_id"] == web.id


@pytest.mark.parametrize("command", ["show", "logs", "rm", "cancel", "rebuild"])
@pytest.mark.parametrize("name", ["nobody", NOBODYS])
def test_an_unknown_template_exits_3_with_nothing_on_stdout(run, command, name):
    ran = run("template", command, name)
    assert (ran.code, ran.stdout) == (3, "")
    assert ran.stderr.startswith("superserve: ")


def test_a_name_that_the_file_does_not_have_exits_3_too(run):
    ran = run("template", "build", "wep")
    assert (ran.code, ran.stdout) == (3, "")
    assert "known are web, broken" in ran.stderr


def test_logs_print_the_log_to_stdout(run, web):
    ran = run("template", "logs", "web")
    assert "== Step 1/1  $ echo made\nmade\n" in ran.stdout
    assert ran.stderr == ""
    import json

    events = [json.loads(line) for line in run("template", "logs", web.id, "--json").stdout.splitlines()]
    assert {(event["schema"], event["type"]) for event in events} == {(1, "log")}
    assert "made" in [event["text"] for event in events]


def test_ls_prints_a_table_ids_or_one_array(run, web):
    lines = run("template", "ls").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "web"]
    assert run("template", "ls", "-q").stdout == f"{web.id}\n"
    [listed] = run("template", "ls", "--json").json
    assert listed["id"] == web.id
    assert set(listed) == set(web.get_info().to_dict())
    assert run("template", "ls", "--prefix", "x", "--json").json == []


def test_show_takes_a_name_or_an_id_and_tells_of_the_builds(run, web):
    shown = run("template", "show", web.id, "--json").json
    assert (shown["name"], len(shown["builds"])) == ("web", 1)
    text = run("template", "show", "web", "--timeline").stdout
    assert "Step 1/1  $ echo made" in text
    assert "built_at" in text


def test_cancel_ends_the_newest_build(run, server):
    server.builds.hold()
    run("template", "build", "web", "--no-wait")
    assert run("template", "cancel", "web").stdout.split()[-1] == "cancelled"
    server.builds.release()


def test_rm_names_what_it_would_delete_and_deletes_it_when_told_to(run, web):
    ran = run("template", "rm", "web")
    assert (ran.code, ran.stdout) == (5, "")
    assert "delete template web" in ran.stderr
    assert run("template", "rm", "web", "--dry-run").stdout.endswith("would be deleted\n")
    assert Template.get_by_name("web") == web
    assert run("template", "rm", web.id, "--yes").stdout == f"web  {web.id}  deleted\n"
    assert Template.list() == []


def test_rm_of_what_is_in_use_is_a_conflict(run, server):
    server.templates.add("used", sandboxes=1)
    assert run("template", "rm", "used", "--yes").code == 5


def test_prune_only_tells_until_it_is_told_to_delete(run):
    for name in ("ci-1", "ci-2"):
        Template.ensure(TemplateSpec(name=name, from_="a"), poll_interval_s=0.01)
    ran = run("template", "prune", "--prefix", "ci-", "--keep", "1")
    assert ran.stdout.endswith("would be deleted\n")
    assert "--yes" in ran.stderr
    assert [one["deleted"] for one in run("template", "prune", "--keep", "1", "--yes", "--json").json] == [
        True
    ]
    assert len(Template.list()) == 1
    assert run("template", "prune").code == 2
    assert run("template", "prune", "--older-than", "7 days").code == 2
    assert run("template", "prune", "--older-than", "7d").code == 0


def test_import_turns_a_dockerfile_into_a_spec_on_stdout(run, folder):
    (folder / "Dockerfile").write_text("FROM python:3.11\nEXPOSE 80\nRUN make\n")
    ran = run("template", "import", "--name", "new")
    assert "EXPOSE: is left out" in ran.stderr
    (folder / "new.toml").write_text(ran.stdout)
    assert load_all("new.toml")["new"] == TemplateSpec(name="new", from_="python:3.11").run("make")
    (folder / "Dockerfile").write_text("FROM a\nFROM b\n")
    assert run("template", "import").code == 2


def test_a_dockerfile_can_be_built_under_a_name(run, folder):
    (folder / "Dockerfile").write_text("FROM python:3.11\nRUN echo made\nRUN exit 3\n")
    ran = run("template", "build", "mine", "-f", "Dockerfile")
    assert ran.code == 1
    assert "written at Dockerfile:3" in ran.stderr


def test_one_template_is_planned_once(run, server):
    server.requests.clear()
    assert run("template", "build", "web", "--no-wait").code == 0
    assert len(server.requests.to("listTemplates")) == 1


def test_an_interruption_of_several_names_what_goes_on(run, server, monkeypatch):
    async def interrupt(_self, _build_id):
        signal.raise_signal(signal.SIGINT)
        await asyncio.Event().wait()

    monkeypatch.setattr(AsyncTemplate, "get_build", interrupt)
    server.builds.hold()
    ran = run("template", "build", "--all")
    assert (ran.code, ran.stdout) == (130, "")
    assert ran.stderr.count("goes on.") == 2
    assert "superserve template cancel NAME ends it." in ran.stderr
    error = run("template", "build", "--all", "--json").error
    assert error["category"] == "interrupted"
    assert "The build of template web goes on." in error["message"]
    server.builds.release()


@pytest.mark.parametrize(
    ("arguments", "method"),
    [
        (["build", "web"], "create"),
        (["build", "web", "--no-wait"], "create"),
        (["build", "web", "broken", "--no-wait"], "create"),
        (["rebuild", "web"], "rebuild"),
    ],
)
def test_an_interruption_before_the_build_is_known_says_what_may_be_left(
    run, server, monkeypatch, arguments, method
):
    def interrupt(*_arguments, **_more):
        raise KeyboardInterrupt

    if method == "rebuild":
        server.templates.add("web")
    monkeypatch.setattr(Template, method, interrupt)
    ran = run("template", *arguments)
    assert (ran.code, ran.stdout) == (130, "")
    assert "A build of template web may have started; superserve template show web shows it." in ran.stderr


@given_time
def test_a_limit_of_time_holds_for_several(run, server, longer):
    server.reset()
    server.builds.hold()
    ran = run("template", "build", "--all", "--timeout", 0.2 * longer)
    assert (ran.code, ran.stdout) == (124, "")
    assert "the builds of web, broken go on: superserve template logs NAME shows it" in ran.stderr
    server.builds.release()


def test_several_can_be_started_without_waiting(run, server):
    server.builds.hold()
    ran = run("template", "build", "--all", "--no-wait")
    assert (ran.code, len(ran.stdout.splitlines())) == (0, 2)
    assert "Builds go on: web, broken; superserve template logs NAME shows it" in ran.stderr
    server.builds.release()


def test_what_was_started_is_told_where_the_next_is_refused(run, folder, server):
    server.builds.hold()
    (folder / "superserve.toml").write_text(
        "[templates.web]\nfrom = 'a'\n[templates.second]\nfrom = 'a'\n[templates.third]\nfrom = 'a'\n"
    )
    refusal = {"error": {"code": "too_many_builds", "message": "no more builds at a time"}}
    server.faults.on("createTemplate", skip=1).answer(429, json=refusal)
    ran = run("template", "build", "--all", "--no-wait")
    assert (ran.code, ran.stdout.split()[0]) == (6, "web")
    assert "Builds go on: web;" in ran.stderr
    assert "Not started: second, third." in ran.stderr
    server.builds.release()


def test_several_files_are_read_as_one(run, folder):
    (folder / "more.json").write_text('{"name": "more", "build_spec": {"from": "python:3.11"}}')
    ran = run("template", "plan", "-f", "superserve.toml", "-f", "more.json", "-q")
    assert ran.stdout == "web create\nbroken create\nmore create\n"
    assert (
        "in superserve.toml, more.json"
        in run("template", "plan", "x", "-f", "superserve.toml", "-f", "more.json").stderr
    )


def test_a_template_that_two_files_have_is_refused_with_both_places(run, folder, server):
    (folder / "web").mkdir()
    (folder / "web" / "Dockerfile").write_text("FROM python:3.11\n")
    ran = run("template", "build", "web", "-f", "superserve.toml", "-f", "web/Dockerfile")
    assert (ran.code, ran.stdout) == (2, "")
    assert "web/Dockerfile:1: error: the template 'web' is in superserve.toml:1:1 too" in ran.stderr
    assert list(server.requests) == []


def test_what_is_wrong_with_several_files_is_told_at_once(run, folder):
    (folder / "a.toml").write_text("[templates.a]\nfrm = 'x'\n")
    error = run("template", "plan", "-f", "a.toml", "-f", "none.toml", "--json").error
    assert {problem["place"]["file"] for problem in error["problems"]} == {"a.toml", "none.toml"}


@pytest.mark.parametrize("seconds", ["nan", "inf", "0", "-1", "1e300", "soon"])
def test_a_time_that_no_clock_counts_is_refused_before_anything_is_done(run, server, seconds):
    assert run("template", "build", "web", "--timeout", seconds).code == 2
    assert list(server.requests) == []


@pytest.mark.parametrize("command", ["rebuild", "cancel", "rm"])
def test_what_is_the_systems_is_not_changed(run, server, command):
    server.templates.add("superserve/base")
    ran = run("template", command, "superserve/base", *(["--yes"] if command == "rm" else []))
    assert (ran.code, ran.stdout) == (5, "")
    assert "is the system's" in ran.stderr


def test_rm_takes_a_template_that_is_named_twice_once(run, web):
    assert run("template", "rm", "web", web.id, "--yes").stdout == f"web  {web.id}  deleted\n"


def test_an_age_before_all_time_is_refused(run):
    assert run("template", "prune", "--older-than", "999999w").code == 2
