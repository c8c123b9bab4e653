"""The status page at /: what it asks the server for, and what a real browser makes of it where there is one.

With PAGE_PICTURES set to a folder, the tests in the browser leave pictures of the page there.
"""

import base64
import hashlib
import json
import os
import re
from pathlib import Path

import httpx
import pytest

from superserve.local import LocalServer
from superserve.local._machines.sandboxes.spaces import find_space
from tests.local.box import Box
from tests.local.browser import Browser, missing
from tests.local.conftest import client_of

PICTURES = os.environ.get("PAGE_PICTURES")
MARKUP = "<img src=x onerror=\"document.title='taken over'\"><script>document.title='taken over'</script>"

in_browser = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture
def keyless(server):
    with httpx.Client(base_url=server.base_url, verify=False) as http:
        yield http


def overview(client):
    answer = client.get("/_local/overview")
    assert answer.status_code == 200, answer.text
    return answer.json()


# ---- What the page asks the server for


def test_the_page_is_html_that_needs_no_key_and_holds_none(server, keyless):
    answer = keyless.get("/")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.text.startswith("<!doctype html>")
    assert server.api_key not in answer.text


def test_its_policy_allows_its_own_script_and_style_by_hash_and_nothing_from_elsewhere(keyless):
    answer = keyless.get("/")
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))

    def hashed(element):
        (content,) = re.findall(f"<{element}>(.*?)</{element}>", answer.text, re.DOTALL)
        return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

    assert policy == {
        "default-src": "'none'",
        "script-src": hashed("script"),
        "style-src": hashed("style"),
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_it_names_nothing_outside_of_itself(keyless):
    text = keyless.get("/").text

    sources = re.findall(r"(?:src|href|action)=\"([^\"]*)\"|url\(|@import|\bimport\b", text)
    assert [source for source in sources if not source.startswith("data:image/svg+xml,")] == [""]
    assert set(re.findall(r"https?://[^\s'\"]+", text)) == {"http://www.w3.org/2000/svg"}
    assert re.findall(r"fetch\(\W([^$\"`]+)", text) == ["/_local/overview", "/_local/builds/"]


def test_the_overview_has_the_teams_templates_with_their_newest_builds(server, http):
    template = server.templates.add("demo", from_="node:22", status="failed", error_message="boot_failed: no")
    builds = [server.builds.add(template) for _ in range(25)]
    server.templates.add("theirs", team=server.add_team())

    found = overview(http)

    assert found["about"] == "simulated builds, no limits, 100 times faster"
    assert {row["name"] for row in found["templates"] if row["system"]} >= {"superserve/base"}
    (row,) = (row for row in found["templates"] if not row["system"])
    assert (row["id"], row["name"], row["from"], row["error_message"]) == (
        template, "demo", "node:22", "boot_failed: no",
    )  # fmt: skip
    assert [build["id"] for build in row["builds"]] == builds[:4:-1]


def test_the_overview_has_specs_without_values_of_variables_and_durations(server, http, create):
    steps = [
        {"run": "make"},
        {"env": {"key": "TOKEN", "value": "the-secret"}},
        {"workdir": "/app"},
        {"user": {"name": "app", "sudo": True}},
        {"user": {"name": "root"}},
    ]
    _, build_id = create(steps=steps, start_cmd="serve", ready_cmd="true")
    server.builds.wait_for(build_id, "ready")

    shown = overview(http)["templates"][0]

    assert shown["steps"] == [
        ["run", "make"],
        ["env", "TOKEN"],
        ["workdir", "/app"],
        ["user", "app with sudo"],
        ["user", "root"],
    ]
    assert (shown["start_cmd"], shown["ready_cmd"]) == ("serve", "true")
    assert "the-secret" not in str(shown)
    assert 0 < shown["builds"][0]["duration_s"] < 60


def test_the_overview_has_no_duration_of_a_build_that_goes_on(server, http):
    _, build_id = held(server)
    server.builds.wait_for(build_id, "building")

    assert overview(http)["templates"][0]["builds"][0]["duration_s"] is None


def test_each_team_sees_its_own(server, http, open_client):
    team = server.add_team()
    theirs = server.templates.add("theirs", team=team)
    build = server.builds.add(theirs, log=["hello"])
    client = open_client(server, team.api_key)

    assert "theirs" in [row["name"] for row in overview(client)["templates"]]
    assert "hello" in client.get(f"/_local/builds/{build}/logs").text
    assert http.get(f"/_local/builds/{build}/logs").status_code == 404


@pytest.mark.parametrize("path", ["/_local/overview", "/_local/builds/x/logs"])
@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}])
def test_what_the_page_asks_for_needs_a_key(keyless, error, path, headers):
    assert error(keyless.get(path, headers=headers)) == (401, "auth_failed")


def test_the_log_is_the_whole_of_it(server, http):
    build = server.builds.add(server.templates.add(), log=[f"line {number}" for number in range(1000)])

    frames = http.get(f"/_local/builds/{build}/logs").text.split("\n\n")

    assert [json.loads(frame.removeprefix("data: "))["text"] for frame in frames if frame] == [
        *(f"line {number}" for number in range(1000)),
        "ready",
    ]


@pytest.mark.parametrize("path", ["/", "/_local/overview", "/_local/builds/x/logs"])
@pytest.mark.parametrize(
    "host", ["attacker.example", "attacker.example:8080", "127.0.0.1.attacker.example", ""]
)
def test_names_that_were_made_to_lead_here_get_nothing(http, path, host):
    answer = http.get(path, headers={"Host": host})

    assert (answer.status_code, answer.headers["content-type"]) == (421, "text/plain; charset=utf-8")


def test_the_api_takes_any_name_that_leads_here_as_the_real_server_does(http):
    for path in ("/templates", "/_local/faults"):
        assert http.get(path, headers={"Host": "host.docker.internal:8080"}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS"])
def test_other_methods_meet_no_page(http, method):
    assert http.request(method, "/").status_code == 404


def test_a_head_of_the_page_is_answered_as_a_get_without_a_body(keyless):
    got, headed = keyless.get("/"), keyless.head("/")

    assert (headed.status_code, headed.content) == (200, b"")
    without_date = [{**answer.headers, "date": ""} for answer in (got, headed)]
    assert without_date[0] == without_date[1]
    assert headed.headers["content-length"] == str(len(got.content))


def test_a_page_that_is_open_changes_nothing_for_a_test(server, http):
    fault = server.faults.on("*").answer(503)
    build = server.builds.add(server.templates.add(), log=[])
    for path in ("/", "/_local/overview", f"/_local/builds/{build}/logs"):
        assert http.get(path).status_code == 200

    assert server.requests.count() == 0
    assert fault.struck == 0


def test_the_page_takes_nothing_from_rate_limits(limited, limited_http):
    for _ in range(120):
        assert limited_http.get("/_local/overview").status_code == 200

    assert limited_http.get("/templates").headers["ratelimit-remaining"] == "39"


# ---- The page in a browser


@pytest.fixture(scope="module")
def window():
    with Browser() as window:
        yield window


@pytest.fixture
def browser(window):
    """The window, in its usual size; the browser must not have had to complain at the end of the test."""
    window.show_as()
    window.open("about:blank")
    yield window
    assert window.console() == []
    # Nothing is asked for any more when the server stops.
    window.open("about:blank")


@pytest.fixture
def picture(browser):
    """Take a picture of the page, if somebody wants to look at it."""

    def picture(name):
        if PICTURES:
            browser.take_picture(Path(PICTURES, f"{name}.png"))

    return picture


@pytest.fixture
def look(server, browser):
    """Open the page with the link that the command prints."""

    def look(server=server, selection=""):
        browser.open(f"{server.base_url}/#key={server.api_key}")
        browser.wait_for("!document.getElementById('rows').hidden")
        if selection:
            browser.run("location.hash = arguments[0]", selection)

    return look


def held(server, name="demo"):
    """Start a build that writes what the test has it write; gives the template and the build."""
    server.builds.hold()
    template = server.templates.add(name, status="building")
    return template, server.builds.add(template, status="pending")


@in_browser
def test_the_link_shows_the_page_and_hides_the_key(server, browser, look, picture):
    look()

    browser.wait_for_text("main", "No templates yet")
    browser.wait_for_text("nav", "System templates (6)")
    assert browser.address == f"{server.base_url}/"
    assert browser.text("#about") == "simulated builds, no limits, 100 times faster"
    assert server.api_key not in browser.run("return document.documentElement.outerHTML")
    picture("empty")


@in_browser
def test_a_build_is_followed_live(server, browser, look, picture):
    look()
    _, build = held(server)
    server.builds.write(build, "\x1b[32mcompiling\x1b[0m", "linking\nlinked")
    browser.wait_for_text("#log", "linked")
    assert browser.text("#log-state") == "Live."
    assert "compiling\n" in browser.text("#log")

    server.builds.write(build, "warning: old", stream="stderr")
    browser.wait_for_text("#log .stderr", "warning: old")
    picture("live")
    server.builds.finish(build, error_message="step_failed: step 1/2 failed after 3s: exited with code 100")

    browser.wait_for_text("#log .error", "exited with code 100")
    browser.wait_for_text("#log-state", "The log has ended: failed.")
    browser.wait_for_text("#builds", "exited with code 100")
    browser.wait_for_text("nav a[aria-current]", "failed")
    picture("failed")


@in_browser
def test_the_newest_build_is_shown_until_another_is_chosen(server, browser, look, picture):
    first = server.templates.add("first", from_="node:22")
    old = server.builds.add(first, log=["from the old build"])
    server.builds.add(
        first, status="cancelled", error_message="cancelled by user", log=["from the new build"]
    )
    look()
    browser.wait_for_text("#log", "from the new build")

    browser.click(f"#builds a[href*='{old}']")
    browser.wait_for_text("#log", "from the old build")
    assert f"build={old}" in browser.address

    server.builds.add(server.templates.add("second"), log=["from the second template"])
    browser.wait_for_text("nav", "second")
    assert browser.text("#name") == "first"
    browser.click("#own li:first-child a")
    browser.wait_for_text("#log", "from the second template")
    browser.back()
    browser.wait_for_text("#log", "from the old build")
    browser.reload()
    browser.wait_for_text("#log", "from the old build")
    assert browser.text("#name") == "first"
    picture("chosen")


@in_browser
def test_markup_in_names_and_logs_is_text(server, browser, look):
    template, build = held(server, MARKUP)
    server.templates.set(template, status="failed", error_message=MARKUP)
    server.builds.write(build, MARKUP)
    server.builds.write(build, MARKUP, stream=MARKUP)
    look()

    for selector in ("#name", "#message", "nav", "#log"):
        browser.wait_for_text(selector, MARKUP)
    server.builds.finish(build, error_message=MARKUP)
    browser.wait_for_text("#builds", MARKUP)
    assert browser.run("return document.title") == f"failed: {MARKUP} - Superserve local server"
    assert browser.run("return document.querySelectorAll('img, script').length") == 1


@in_browser
def test_a_long_log_is_shown_whole_and_followed_at_its_end(server, browser, look):
    _, build = held(server)
    server.builds.write(build, *(f"line {number}" for number in range(3000)))
    look()
    browser.wait_for_text("#log", "line 2999")
    at_end = (
        "(log => log.scrollHeight - log.scrollTop - log.clientHeight < 30)(document.getElementById('log'))"
    )
    browser.wait_for(at_end)
    assert "line 0\n" in browser.text("#log")

    # Who reads further up is left there.
    browser.run("document.getElementById('log').scrollTop = 0")
    server.builds.write(build, "one more")
    browser.wait_for_text("#log", "one more")
    assert browser.run("return document.getElementById('log').scrollTop") == 0


@in_browser
def test_without_the_link_the_page_asks_for_the_key(server, browser, picture):
    browser.open(server.base_url)
    browser.wait_for_text("#door", "This page needs the server's key")
    assert browser.run("return document.activeElement.id") == "key"
    picture("door")

    browser.type("#key", "wrong\n")
    browser.wait_for_text("#refusal", "That is not a key of this server.")
    # Chromium reports each answer that is an error.
    assert all("401" in complaint for complaint in browser.console())
    browser.type("#key", f" {server.api_key} ")
    browser.click("#door button")

    browser.wait_for_text("main", "No templates yet")
    assert browser.text("#door") == ""


@in_browser
@pytest.mark.parametrize("key", ["schlüssel", "ключ", "a%0Akey", "%00"])
def test_a_key_that_cannot_be_sent_is_asked_for_again(server, browser, key):
    browser.open(f"{server.base_url}/#key={key}")

    browser.wait_for_text("#refusal", "That is not a key of this server.")
    assert browser.text("#trouble") == ""
    browser.type("#key", "ключ\n")
    browser.wait_for_text("#refusal", "That is not a key of this server.")
    browser.type("#key", f"{server.api_key}\n")
    browser.wait_for_text("main", "No templates yet")
    assert browser.text("#trouble") == ""


@in_browser
def test_the_title_tells_status_and_name_of_what_is_shown(server, browser, look):
    template = server.templates.add("demo", status="building")
    look()
    browser.wait_for("document.title === 'building: demo - Superserve local server'")

    server.templates.set(template, status="failed", error_message="boot_failed: no")
    browser.wait_for("document.title === 'failed: demo - Superserve local server'")
    server.revoke_key(server.api_key)

    browser.wait_for("document.title === 'Superserve local server'")
    browser.wait_for_text("#door", "not a key of this server")
    assert all("401" in complaint for complaint in browser.console())


@in_browser
def test_the_spec_is_shown_with_how_long_its_steps_took(server, browser, look, create, picture):
    steps = [
        {"run": "sleep 2"},
        {"env": {"key": "TOKEN", "value": "x"}},
        {"run": "exit 3"},
        {"workdir": "/app"},
    ]
    create("short", steps=[{"run": "true"}])
    _, build_id = create("long", steps=steps, start_cmd="serve --all", ready_cmd="curl -f localhost")
    server.builds.wait_for(build_id, "failed")
    look()

    browser.wait_for_text("#spec summary", "Spec: 4 steps, a start command, a ready command")
    browser.wait_for_text("#spec li:nth-child(3) .failed", "failed after")
    rows = [row.split() for row in browser.text("#spec ul").replace("\n", " ").split("run")]
    assert rows[0] == ["1"]
    assert browser.text("#spec li:nth-child(2) code").split() == ["TOKEN"]
    for number in (1, 2):
        took = browser.text(f"#spec li:nth-child({number}) > :last-child")
        assert f"Step {number}/4 completed ({took})" in browser.text("#log")
    assert browser.text("#spec li:nth-child(4) > :last-child") == ""
    assert browser.text("#spec li:nth-child(5)").split() == ["start", "serve", "--all"]
    assert browser.text("#spec li:nth-child(6)").split() == ["ready", "curl", "-f", "localhost"]
    picture("spec")

    # How far another's steps are isn't shown beside these.
    browser.run("location.hash = `template=${templates[1].id}`")
    browser.wait_for_text("#spec summary", "Spec: 1 step")
    browser.wait_for_text("#log-state", "The log has ended: ready.")
    assert "failed" not in browser.text("#spec")


@in_browser
def test_a_step_that_runs_is_seen_to(server, browser, look):
    _, build = held(server)
    server.builds.write(build, "Step 1/1", stream="system")
    look()
    browser.wait_for_text("#log", "Step 1/1")
    browser.wait_for("steps.get(1)?.className === 'building'")

    server.builds.finish(build)

    browser.wait_for("steps.get(1)?.text === 'not ended'")


@in_browser
def test_times_are_told_as_how_long_ago_and_in_full(server, browser, look):
    template = server.templates.add("demo")
    server.builds.add(template, log=["hello"])
    look()
    browser.wait_for_text("#builds", "just now")

    assert re.search(r"created\s+just now\s+built\s+just now", browser.text("#facts"))
    full = browser.run("return document.querySelector('#builds time').title")
    assert full == browser.run("return document.querySelector('#log > div').title")
    assert browser.text("#log time") in full
    ages = [0, 11, 61, 119, 3600, 7300]
    said = browser.run(
        "return arguments[0].map(age => ago(new Date(Date.now() - age * 1000).toISOString()))", ages
    )
    assert said == ["just now", "11 s ago", "1 min ago", "1 min ago", "1 h ago", "2 h ago"]
    assert browser.run("return ago('2020-01-02T03:04:05Z') === moment('2020-01-02T03:04:05Z')")
    spans = browser.run("return [0.0421, 12.7, 60, 754, 3600, 86399].map(duration)")
    assert browser.text("#builds time + span") == "0 ms"
    assert spans == ["42 ms", "12 s", "1 min 0 s", "12 min 34 s", "1 h 0 min", "23 h 59 min"]


@in_browser
def test_the_list_tells_what_became_of_the_newest_build(server, browser, look, http):
    rebuilt = server.templates.add("rebuilt")
    template, build = held(server, "cancelled-one")
    assert http.delete(f"/templates/{template}/builds/{build}").status_code == 204
    server.builds.add(rebuilt, status="pending")
    look(selection=f"template={template}")
    browser.wait_for_text("#name", "cancelled-one")
    browser.wait_for_text("nav .building", "building")

    row = "nav a[aria-current] > :nth-child(2)"
    assert browser.text(row) == "cancelled"
    assert "failed, as its build was cancelled" in browser.text("#facts")
    colours = "return arguments[0].map(of => getComputedStyle(document.querySelector(of)).color)"
    of_row, of_fact, of_build, muted = browser.run(
        colours, [row, "#facts .cancelled", "#builds .message", "#about"]
    )
    assert {of_row, of_fact, of_build} == {muted}
    assert browser.run("return document.title").startswith("cancelled: cancelled-one")


@in_browser
def test_the_list_can_be_filtered(server, browser, look):
    names = ["alpha", "beta", "gamma-ray"]
    ids = [server.templates.add(name, from_=f"{name[0]}.io/base") for name in names]
    server.templates.set(ids[1], status="failed")
    look()
    browser.wait_for_text("nav", "alpha")

    def shown():
        return [
            row.splitlines()[0] for row in browser.run("return [...own.children].map(row => row.innerText)")
        ]

    for text, found in [("RAY", [names[2]]), ("failed", [names[1]]), ("io/base ready", [names[2], names[0]]),
                        (ids[0], [names[0]])]:  # fmt: skip
        browser.type("#filter", text)
        assert shown() == found
        browser.run("document.querySelector('#filter').select()")
    browser.type("#filter", "nothing-like-it")
    assert browser.text("#none") == "None match."
    assert browser.text("#system summary") == "System templates (0 of 6)"
    # What is shown beside the list stays.
    assert browser.text("#name") == "gamma-ray"
    browser.run("const filter = document.querySelector('#filter'); filter.select()")
    browser.type("#filter", "desktop")
    assert browser.text("#system summary") == "System templates (1 of 6)"


@in_browser
def test_ids_can_be_copied(server, browser, look):
    template = server.templates.add("demo")
    build = server.builds.add(template, log=["hello"])
    look()
    browser.wait_for_text("#builds", "ready")
    browser.allow_clipboard(server.base_url)

    for button, text in [("#facts .copy:not([hidden])", template), ("#builds .copy", build)]:
        browser.remember(button)
        browser.click(button)
        browser.wait_for_remembered("Copied")
        assert browser.run("return navigator.clipboard.readText()") == text
    told = [node["name"] for node in browser.accessibility_tree() if node["role"] == "button"]
    assert told == ["Copy the template's id", "Copy the build's id"]
    browser.wait_for("document.querySelector('#builds .copy').textContent === 'Copy'")


@in_browser
def test_hovering_leaves_the_selection_as_it_is(server, browser, look):
    template = server.templates.add("demo")
    server.builds.add(template, log=["hello"])
    server.templates.add("other")
    look(selection=f"template={template}")
    browser.wait_for_text("#builds", "ready")
    colour = "return getComputedStyle(document.querySelector(arguments[0])).backgroundColor"

    for link in ("nav a[aria-current]", "#builds a[aria-current]"):
        before = browser.run(colour, link)
        browser.hover(link)
        assert browser.run(f"return document.querySelector('{link}').matches(':hover')")
        assert browser.run(colour, link) == before
    before = browser.run(colour, "nav a:not([aria-current])")
    browser.hover("nav a:not([aria-current])")
    assert browser.run(colour, "nav a:not([aria-current])") != before


@in_browser
def test_a_failure_is_told_once(server, browser, look):
    template = server.templates.add("demo", status="failed", error_message="boot_failed: no")
    server.builds.add(template, status="failed", error_message="boot_failed: no")
    look()
    browser.wait_for_text("#builds", "boot_failed: no")
    assert browser.text("main").count("boot_failed: no") == 1

    # That of a template whose newest build says something else is not to be found elsewhere.
    server.builds.add(template, status="cancelled", error_message="cancelled by user")
    browser.wait_for_text("#message", "boot_failed: no")


@in_browser
def test_what_is_chosen_is_marked_by_more_than_its_colour(server, browser, look):
    server.builds.add(server.templates.add("demo"))
    look()
    browser.wait_for_text("nav a[aria-current]", "demo")

    for link in ("nav a[aria-current]", "#builds a[aria-current]"):
        width = f"getComputedStyle(document.querySelector({link!r})).borderInlineStartWidth"
        assert browser.run(f"return {width}") == "4px"


@in_browser
def test_progress_bars_end_as_on_a_terminal_and_what_is_unseen_is_shown(server, browser, look):
    _, build = held(server, "evil\u202egnp.exe")
    texts = ["10%\r50%\r100%\r", "one\r\ntwo\r\n", "ding\x07\x9b", "abc\u202edef\u2069", "tab\tkept", "last"]
    server.builds.write(build, *texts)
    look()
    browser.wait_for_text("#log", "last")

    shown = browser.run(
        "return [...document.querySelectorAll('#log > div > :last-child')].map(e => e.textContent)"
    )
    assert shown == ["100%", "one\ntwo", "ding\\x07\\x9b", "abc\\u202edef\\u2069", "tab\tkept", "last"]
    assert browser.text("#name") == "evil\\u202egnp.exe"
    assert browser.run("return document.title").startswith("building: evil\\u202egnp.exe")


@in_browser
def test_lines_have_their_local_times_if_wanted(server, browser, look):
    build = server.builds.add(server.templates.add("demo"), log=["hello"])
    look()
    browser.wait_for_text("#log", "hello")
    timestamp = browser.run("return document.querySelector('#log > div').title")
    local = browser.run("return new Date(arguments[0]).toTimeString().slice(0, 8)", timestamp)

    assert build in browser.text("#builds")
    assert browser.text("#log > div").split() == [local, "stdout", "hello"]
    browser.click("#times")
    assert browser.text("#log > div").split() == ["stdout", "hello"]


@in_browser
def test_a_log_of_which_only_the_newest_lines_are_kept_says_so(server, browser, look):
    template = server.templates.add("demo")
    server.builds.add(template, log=[f"line {number}" for number in range(10_010)])
    look()

    browser.wait_for_text("#cut", "The newest 10,000 lines; earlier ones are not kept.")
    browser.wait_for_text("#log", "line 10009")
    server.builds.add(template, log=["short"])
    browser.wait_for_text("#log", "short")
    assert browser.text("#cut") == ""


IN_VIEW = (
    "(() => { const { top, bottom } = document.querySelector(arguments[0]).getBoundingClientRect();"
    " return top >= -1 && top < innerHeight && bottom > 0; })()"
)
IN_THE_LIST = (
    "(() => { const [link, list] = ['nav a[aria-current]', 'nav']"
    ".map(found => document.querySelector(found).getBoundingClientRect());"
    " return link.top >= list.top - 1 && link.bottom <= list.bottom + 1; })()"
)


@in_browser
def test_on_a_narrow_screen_a_tap_leads_to_what_was_chosen(server, browser, look, picture):
    browser.show_as(width=360)
    ids = server.templates.add_many(30)
    builds = [server.builds.add(ids[3], log=[f"line {number}" for number in range(50)]) for _ in range(8)]
    look(selection=f"template={ids[3]}")
    browser.wait_for_text("#name", "template-3")
    browser.wait_for(IN_THE_LIST)

    browser.run("document.querySelector('nav a[aria-current]').click()")
    browser.wait_for(IN_VIEW, "#name")
    assert browser.run("return scrollY") > 0
    picture("narrow-template")
    browser.run("scrollTo(0, 0)")
    browser.run("document.querySelector(arguments[0]).click()", f"#builds a[href*='{builds[2]}']")
    browser.wait_for(f"location.hash.includes('{builds[2]}') && {IN_VIEW}", "#log-head")
    browser.wait_for_text("#log", "line 49")
    picture("narrow-log")


@in_browser
def test_on_a_wide_screen_what_was_chosen_is_in_view_in_the_list(server, browser, look):
    ids = server.templates.add_many(50)
    look(selection=f"template={ids[0]}")
    browser.wait_for_text("#name", "template-0")

    browser.wait_for(IN_THE_LIST)
    system = next(row for row in browser.run("return templates") if row["system"])
    browser.run("location.hash = arguments[0]", f"template={system['id']}")
    browser.wait_for_text("#name", system["name"])
    browser.wait_for(IN_THE_LIST)


@in_browser
def test_a_key_that_is_revoked_is_asked_for_again(server, browser, look):
    _, build = held(server)
    server.builds.write(build, "hello")
    look()
    browser.wait_for_text("#log", "hello")

    server.revoke_key(server.api_key)

    browser.wait_for_text("#door", "not a key of this server")
    assert browser.text("#rows") == ""
    assert browser.run("return sessionStorage.length") == 0
    assert all("401" in complaint for complaint in browser.console())


@in_browser
def test_a_server_that_is_gone_is_waited_for(browser, look, tmp_path, picture):
    server = LocalServer(state=tmp_path / "state", limits=False)
    with server:
        port = httpx.URL(server.base_url).port
        server.templates.add("demo")
        look(server)
        browser.wait_for_text("nav", "demo")
    browser.wait_for_text("#trouble", "can't be reached")
    picture("gone")

    with LocalServer(state=tmp_path / "state", port=port, limits=False) as server:
        server.templates.add("another")
        browser.wait_for_text("nav", "another")
        assert browser.text("#trouble") == ""
        browser.open("about:blank")
    assert all("ERR_CONNECTION_REFUSED" in complaint for complaint in browser.console())


@in_browser
def test_a_log_that_breaks_off_is_read_again(server, browser, look):
    _, build = held(server)
    server.builds.write(build, "hello")
    look()
    browser.wait_for_text("#log", "hello")

    for connection in list(server._running()._server.server_state.connections):
        server._running()._loop.call_soon_threadsafe(connection.transport.abort)
    server.builds.write(build, "goodbye")

    browser.wait_for_text("#log", "goodbye")
    assert browser.text("#log").count("hello") == 1
    browser.console()


@in_browser
def test_pages_of_other_origins_learn_nothing(server, browser):
    for path in ("/", "/_local/overview", "/templates"):
        browser.open("data:text/html,somewhere else")
        found = browser.run(
            "return fetch(arguments[0], {headers: {'X-API-Key': arguments[1]}}).then(a => a.text(), e => e.name)",
            server.base_url + path,
            server.api_key,
        )
        assert found == "TypeError"
        assert browser.console() != []


@in_browser
def test_the_keyboard_focus_stays_where_it_is_when_rows_change(server, browser, look):
    template = server.templates.add("demo")
    look()
    browser.wait_for_text("nav", "demo")
    browser.run("document.querySelector('#own a').focus()")

    server.templates.add("another")
    server.templates.set(template, status="failed", error_message="boot_failed: no")
    browser.wait_for_text("nav", "another")

    assert browser.run("return document.activeElement.innerText").startswith("demo")


@in_browser
def test_the_keyboard_reaches_everything_in_the_order_of_the_page(server, browser, look, create):
    _, build_id = create(steps=[{"run": "true"}])
    server.builds.wait_for(build_id, "ready")
    look()
    browser.wait_for_text("#log-state", "The log has ended")
    browser.run("document.querySelector('#filter').focus()")

    reached = []
    for _ in range(10):
        browser.press_tab()
        reached.append(
            browser.run(
                "const { tagName, id, ariaLabel, parentElement } = document.activeElement;"
                "return `${tagName} ${id || ariaLabel || parentElement.id || parentElement.parentElement.id}`"
            )
        )
    assert reached == [
        "A own",
        "SUMMARY system",
        "SUMMARY official",
        "BUTTON Copy the template's id",
        "SUMMARY spec",
        "UL Spec",
        "A builds",
        "BUTTON Copy the build's id",
        "INPUT times",
        "DIV log",
    ]


@in_browser
def test_it_tells_what_programs_with_an_official_sdk_need(server, browser, look, picture):
    # `server` is named before `browser`, so that it stops after the browser has left it.
    look()
    browser.click("#official summary")
    text = browser.run("return document.querySelector('#official').innerText")
    assert "python -m superserve.local run --official -- python program.py" in text
    picture("official")


@in_browser
def test_a_screen_reader_is_told_what_is_what(server, browser, look):
    template = server.templates.add("demo")
    server.builds.add(template, log=["hello"])
    look()
    browser.wait_for_text("#log", "hello")

    told = {(node["role"], node["name"]) for node in browser.accessibility_tree()}

    assert told >= {
        ("navigation", "Templates"),
        ("heading", "Superserve local server"),
        ("heading", "demo"),
        ("list", "Builds"),
        ("log", "Log"),
    }
    assert browser.run("return document.documentElement.lang") == "en"


# Every text with too little contrast to what is behind it: WCAG asks for 4.5.
PALE = """
const channels = color => color.match(/[0-9.]+/g).map(Number);
const luminance = ([r, g, b]) => [r, g, b]
  .map(value => value / 255)
  .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
  .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
const behind = element => {
  for (; element; element = element.parentElement) {
    const color = channels(getComputedStyle(element).backgroundColor);
    if (color.length === 3 || color[3] === 1) return color;
  }
  return [255, 255, 255];
};
return [...document.body.querySelectorAll("*")]
  .filter(element => element.checkVisibility() && element.tagName !== "SCRIPT")
  .filter(element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
  .map(element => {
    const [one, two] = [channels(getComputedStyle(element).color), behind(element)].map(luminance);
    return [element.innerText, (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05)];
  })
  .filter(([, contrast]) => contrast < 4.5);
"""


@in_browser
@pytest.mark.parametrize("form", [("light", 1280), ("dark", 1280), ("light", 500), ("dark", 360)])
def test_it_can_be_read_light_and_dark_wide_and_narrow(server, browser, look, picture, form):
    scheme, width = form
    browser.show_as(width=width, scheme=scheme)
    server.templates.add("ready-one", from_="ghcr.io/acme/" + "long/" * 30 + "image:1")
    server.templates.add("failed-one", status="failed", error_message="image_pull_failed: " + "x" * 200)
    template, build = held(server, "a-name-that-goes-on-and-on/" * 4)
    server.builds.write(build, "y" * 500)
    server.builds.write(build, "oops", stream="stderr")
    server.builds.write(build, "broken", stream="error")
    server.builds.add(template, status="failed", error_message="z" * 300, log=[])
    look(selection=f"template={template}&build={build}")
    browser.wait_for_text("#log", "broken")
    browser.run("for (const part of document.querySelectorAll('details')) part.open = true")

    picture(f"{scheme}-{width}")
    assert (
        browser.run(
            "const { scrollWidth, clientWidth } = document.documentElement; return scrollWidth - clientWidth"
        )
        == 0
    )
    assert browser.run(PALE) == []
    browser.run("sessionStorage.clear(); location.hash = ''; location.reload()")
    browser.wait_for_text("#door", "This page needs the server's key")
    assert browser.run(PALE) == []


# ---- Sandboxes


def test_the_overview_has_sandboxes_and_what_was_run_in_them(server, http):
    made = http.post("/sandboxes", json={"name": "box"}).json()
    headers = {"X-Superserve-Sandbox-Id": made["id"], "X-Access-Token": made["access_token"]}
    server.commands.on("pytest").answer(stdout="1 failed", exit_code=1)
    httpx.post(f"{server.base_url}/exec", headers=headers, json={"command": "pytest"})

    [sandbox] = overview(http)["sandboxes"]
    [ran] = sandbox.pop("commands")
    assert sandbox["template"] == "superserve/base"
    assert made["access_token"] not in json.dumps(sandbox)
    assert (ran["command"], ran["exit_code"], ran["is_over"], ran["output"]) == (
        "pytest",
        1,
        True,
        "1 failed",
    )


def test_the_overview_has_the_files_of_sandboxes_and_none_that_links_lead_to():
    if isinstance(find_space(), str):
        pytest.skip("nothing keeps commands apart here")
    with LocalServer(limits=False) as server, client_of(server) as http:
        box = Box(server, http)
        with box.http:
            [sandbox] = overview(http)["sandboxes"]
            assert sandbox["files"] == {"folder": "/home/user", "entries": [], "is_cut": False}
            box.run(
                "mkdir notes; printf roses > notes/poem; ln -s /etc etc; ln -s /etc/passwd users; touch b"
            )
            [sandbox] = overview(http)["sandboxes"]
    assert [name for name, _ in sandbox["files"]["entries"]] == ["b", "users", "notes/poem"]
    assert sandbox["files"]["entries"][-1] == ["notes/poem", 5]


@in_browser
def test_sandboxes_are_shown_with_what_runs_in_them(server, http, browser, look, picture):
    made = http.post("/sandboxes", json={"name": "box <img src=x>"}).json()
    headers = {"X-Superserve-Sandbox-Id": made["id"], "X-Access-Token": made["access_token"]}
    server.commands.on("pytest").answer(stdout=f"1 failed {MARKUP}", exit_code=1)
    look(selection=f"sandbox={made['id']}")
    browser.wait_for_text("#sandbox", "No commands yet")
    httpx.post(f"{server.base_url}/exec", headers=headers, json={"command": "pytest"})
    browser.wait_for_text("#commands", "exit 1")
    browser.wait_for_text("#commands pre", "1 failed <img")
    browser.wait_for_text("#files-title", "No files in /home/user")
    if not isinstance(find_space(), str):
        path = {"path": "/home/user/notes/<b>poem"}
        httpx.post(f"{server.base_url}/files", params=path, headers=headers, content=b"roses")
        browser.wait_for_text("#files", "notes/<b>poem")
        browser.wait_for_text("#files", "5 bytes")
        # While it runs.
        body = {"command": "echo begun; read -r line < pipe; echo $line", "timeout_s": 600}
        httpx.post(f"{server.base_url}/exec", headers=headers, json={"command": "mkfifo pipe"}, timeout=60)
        url = f"{server.base_url}/exec/stream"
        with httpx.stream("POST", url, headers=headers, json=body, timeout=60) as running:
            browser.wait_for_text("#commands pre", "begun")
            browser.wait_for_text("#commands", "running")
            httpx.post(
                f"{server.base_url}/exec", headers=headers, json={"command": "echo over > pipe"}, timeout=60
            )
            assert '"exit_code":0' in running.read().decode()
        browser.wait_for("!document.querySelector('#commands').textContent.includes('running')")
    browser.allow_clipboard(server.base_url)
    browser.remember("#said")
    browser.click("#sandbox .copy:not([hidden])")
    browser.wait_for_remembered("Copied")
    assert browser.run("return navigator.clipboard.readText()") == made["id"]
    picture("sandbox")
    http.delete(f"/sandboxes/{made['id']}")
    browser.wait_for_text("main", "not there any more")
