"""A headless Chromium, told what to do through chromedriver with plain HTTP: there is no package to install for it."""

import base64
import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

WAIT_S = 60.0
PROGRAMS = [("chromium", "chromedriver"), ("google-chrome", "chromedriver")]
# The name that WebDriver gives an element in JSON.
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"

_HASTEN = "const later = setTimeout; window.setTimeout = (run, ms, ...rest) => later(run, ms / 20, ...rest);"


def missing() -> str | None:
    """Return why there is no browser on this machine, or None if there is one."""
    if _programs() is None:
        return "needs a browser: apt-get install chromium chromium-driver"
    return None


def _programs() -> tuple[str, str] | None:
    for browser, driver in PROGRAMS:
        found = shutil.which(browser), shutil.which(driver)
        if found[0] is not None and found[1] is not None:
            return found[0], found[1]
    return None


class Browser:
    """One window of a browser of its own, without anybody's profile. Timers of pages are twenty times faster."""

    def __init__(self) -> None:
        programs = _programs()
        assert programs is not None, missing()
        browser, driver = programs
        self._folder = tempfile.TemporaryDirectory(prefix="superserve-browser-", ignore_cleanup_errors=True)
        self._driver = subprocess.Popen(
            [driver, "--port=0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            env={**os.environ, "HOME": self._folder.name},
        )
        try:
            self._http = httpx.Client(base_url=self._address(), timeout=3 * WAIT_S, verify=False)
            self._session = self._begin(browser)
            # Pages poll and pause; what they do in between is the same if it comes sooner.
            self._tell("Page.addScriptToEvaluateOnNewDocument", source=_HASTEN)
        except BaseException:
            self._end_driver()
            raise

    def _address(self) -> str:
        assert self._driver.stdout is not None
        for line in self._driver.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                return f"http://127.0.0.1:{found[1]}"
        raise AssertionError("chromedriver did not start")

    def _begin(self, browser: str) -> str:
        arguments = [
            "--headless=new",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--force-color-profile=srgb",
        ]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")  # it can't have one as root
        options = {"binary": browser, "args": [*arguments, f"--user-data-dir={self._folder.name}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        answer = self._http.post("/session", json={"capabilities": {"alwaysMatch": wanted}})
        session: str = _value(answer)["sessionId"]
        return session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(httpx.HTTPError):
            self._http.delete(f"/session/{self._session}")
        self._end_driver()

    def _end_driver(self) -> None:
        with contextlib.suppress(AttributeError):
            self._http.close()
        # The browser's processes are in the same group.
        os.killpg(self._driver.pid, signal.SIGKILL)
        self._driver.communicate()
        self._folder.cleanup()

    def open(self, url: str) -> None:
        """Go to an address as if it was typed in, from an empty page."""
        self._post("url", url="about:blank")
        self.console()
        self._post("url", url=url)

    def reload(self) -> None:
        self._post("refresh")

    def back(self) -> None:
        self._post("back")

    @property
    def address(self) -> str:
        address: str = _value(self._http.get(f"/session/{self._session}/url"))
        return address

    def run(self, script: str, *arguments: object) -> Any:
        """Run the body of a function in the page; `arguments` are what it is called with."""
        return self._post("execute/sync", script=script, args=arguments)

    def wait_for(self, expression: str, *arguments: object) -> Any:
        """Wait until an expression of JavaScript is true, and return its value."""
        end = time.monotonic() + WAIT_S
        while not (value := self.run(f"return {expression}", *arguments)):
            assert time.monotonic() < end, f"never true: {expression}\n{self.text()}"
            time.sleep(0.02)
        return value

    def remember(self, selector: str) -> None:
        """Keep every text that an element has from now on, for `remembered`."""
        self.run(
            "const node = document.querySelector(arguments[0]), texts = [];"
            "window.remembered = texts;"
            "const options = { childList: true, characterData: true, subtree: true };"
            "new MutationObserver(() => texts.push(node.textContent)).observe(node, options)",
            selector,
        )

    def wait_for_remembered(self, text: str) -> None:
        """Wait until the element has had a text, if only for a moment."""
        self.wait_for("window.remembered.includes(arguments[0])", text)

    def wait_for_text(self, selector: str, text: str) -> None:
        """Wait until an element shows a text."""
        shows = (
            "[...document.querySelectorAll(arguments[0])]"
            ".some(found => found.checkVisibility() && found.innerText.includes(arguments[1]))"
        )
        self.wait_for(shows, selector, text)

    def text(self, selector: str = "body") -> str:
        """Return what an element shows; nothing if it is hidden or there is none."""
        found = "const found = document.querySelector(arguments[0]);"
        text: str = self.run(f"{found} return found?.checkVisibility() ? found.innerText : ''", selector)
        return text

    def click(self, selector: str) -> None:
        self._post(f"element/{self._find(selector)}/click")

    def hover(self, selector: str) -> None:
        """Put the mouse in the middle of an element."""
        box = "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
        x, y = self.run(f"{box} return [box.x + box.width / 2, box.y + box.height / 2]", selector)
        self._tell("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def press_tab(self) -> None:
        """Go on to what the keyboard reaches next."""
        for kind in ("keyDown", "keyUp"):
            self._tell("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)

    def allow_clipboard(self, origin: str) -> None:
        """Let the pages of an origin read and write the clipboard, as a person would say who is asked."""
        permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"]
        self._tell("Browser.grantPermissions", origin=origin, permissions=permissions)

    def type(self, selector: str, text: str) -> None:
        self._post(f"element/{self._find(selector)}/value", text=text)

    def _find(self, selector: str) -> str:
        element: str = self._post("element", using="css selector", value=selector)[_ELEMENT]
        return element

    def show_as(self, *, width: int = 1280, height: int = 800, scheme: str = "light") -> None:
        """Set the size of the page in pixels, and whether the reader likes it light or dark."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._tell("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._tell("Emulation.setEmulatedMedia", features=features)

    def accessibility_tree(self) -> list[dict[str, Any]]:
        """Return what a screen reader is told: role and name of each node."""
        nodes = self._tell("Accessibility.getFullAXTree")["nodes"]
        return [
            {"role": node["role"]["value"], "name": node.get("name", {}).get("value", "")}
            for node in nodes
            if not node["ignored"]
        ]

    def console(self) -> list[str]:
        """Return what the browser complained about since it was asked last."""
        entries = self._post("se/log", type="browser")
        return [entry["message"] for entry in entries if entry["level"] in {"WARNING", "SEVERE"}]

    def take_picture(self, file: Path) -> None:
        """Write a PNG of the page."""
        data = _value(self._http.get(f"/session/{self._session}/screenshot"))
        file.write_bytes(base64.b64decode(data))

    def _tell(self, command: str, **parameters: object) -> Any:
        return self._post("goog/cdp/execute", cmd=command, params=parameters)

    def _post(self, command: str, **parameters: object) -> Any:
        return _value(self._http.post(f"/session/{self._session}/{command}", json=parameters))


def _value(answer: httpx.Response) -> Any:
    value = answer.json()["value"]
    assert answer.is_success, value
    return value
