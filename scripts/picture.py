"""Write docs/images/hello.svg: the front page's program and what a terminal shows of it. Needs the extras cli and local."""

import os
import pty
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = 58
COMMAND = "python -m superserve.local run -- python hello.py"
THEME = TerminalTheme((24, 26, 31), (220, 223, 228), [(90, 94, 104)] * 8)
# Rich's own asks another host for a font, and has the bar of a window at its top, which this leaves out.
FORMAT = """\
<svg class="rich-terminal" viewBox="0 26 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px ui-monospace, Menlo, Consolas, monospace; }}
{styles}
</style>
<defs>{lines}</defs>
<rect y="26" width="100%" style="height: calc(100% - 26px)" rx="8" fill="#181a1f"/>
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


def shown(folder: str) -> str:
    """Return what a terminal gets when the program runs."""
    page = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    program = page.partition("```python\n")[2].partition("```")[0]
    Path(folder, "hello.py").write_text(program, encoding="utf-8")
    ours, theirs = pty.openpty()
    # As wide as the picture, and with this Python for `python`.
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    ran = subprocess.Popen(
        [sys.executable, *COMMAND.replace("-- python", f"-- {sys.executable}").split()[1:]],
        cwd=folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    pieces = []
    try:
        while piece := os.read(ours, 65536):
            pieces.append(piece)
    except OSError:  # how Linux tells that the other end is closed
        pass
    os.close(ours)
    if ran.wait() != 0:
        sys.exit(b"".join(pieces).decode())
    return b"".join(pieces).decode().replace("\r\n", "\n")


def main() -> None:
    """Run the program, and draw what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        printed = shown(folder)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(
            record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor"
        )
        console.print(Text.assemble(("$ ", "dim"), (COMMAND, "bold")), highlight=False)
        console.print(Text.from_ansi(printed.rstrip()), highlight=False)
        picture = console.export_svg(theme=THEME, code_format=FORMAT, unique_id="hello")
    target = ROOT / "docs" / "images" / "hello.svg"
    target.parent.mkdir(exist_ok=True)
    target.write_text("\n".join(line.rstrip() for line in picture.splitlines()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
