"""Write the synchronous modules and their tests from the asynchronous ones; `--check` only compares.

It only replaces words. Code that differs in structure is in pairs such as superserve/_http/tasks_async.py and tasks_sync.py.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TREES = {"superserve/_async": "superserve/_sync", "tests/client/_async": "tests/client/_sync"}
MARK = (
    "# Written by scripts/unasync.py from {source}. Do not edit: change that, then run `nox -s generate`.\n"
)

# Applied in this order, each to the result of those before it.
RULES = [
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAwaitable, ", ""),
    (r"\bAwaitable\[([\w.]+(\[\w+\])?)\]", r"\1"),
    (r"\bAsyncGenerator\[([\w.]+(\[\w+\])?)\]", r"Generator[\1]"),
    (r"\bAsync([A-Z]\w*)\b(?! only)", r"\1"),
    (r"\baclos(e|ing)\b", r"clos\1"),
    (r"\baiter_(\w+)\b", r"iter_\1"),
    (r"\.asyncio\(", ".sync("),  # the generated functions
    (r"\basyncio_detailed\b", "sync_detailed"),
    (r"\basync_http\b", "http"),
    (r"\bmake_async\b", "make_sync"),
    (r"\b__a(enter|exit|iter)__\b", r"__\1__"),
    (r"\b(connections|tasks)_async\b", r"\1_sync"),
    (r"\bsuperserve\._async\b", "superserve._sync"),
]
LEFT_OVER = re.compile(r"async|await|\baclos|__a(enter|exit|iter|next)__", re.IGNORECASE)
# Documentation may mention both.
MAY_STAY = re.compile(r"Async(Template|Sandbox) only|in `_async`|respond-async")


def to_sync(source: Path, used: set[str]) -> str:
    """Return the synchronous text for an asynchronous module."""
    text = source.read_text(encoding="utf-8")
    for pattern, replacement in RULES:
        text, count = re.subn(pattern, replacement, text)
        if count:
            used.add(pattern)
    for number, line in enumerate(text.splitlines(), 1):
        if LEFT_OVER.search(line) and not MAY_STAY.search(line):
            sys.exit(f"{source.relative_to(ROOT)}:{number}: asynchronous word left over: {line.strip()}")
    text = MARK.format(source=source.relative_to(ROOT)) + text
    return format_code(text, source)


def format_code(text: str, source: Path) -> str:
    """Return the text formatted by ruff, with sorted imports, because replaced words change both."""
    for command in (["check", "--select=I", "--fix", "--quiet"], ["format", "--quiet"]):
        arguments = [sys.executable, "-m", "ruff", *command, "--no-cache", f"--stdin-filename={source}", "-"]
        done = subprocess.run(arguments, input=text.encode(), capture_output=True, check=False, cwd=ROOT)
        if done.returncode:
            sys.exit(f"ruff cannot read what {source.relative_to(ROOT)} becomes:\n{done.stderr.decode()}")
        text = done.stdout.decode()
    return text


def main() -> None:
    """Write or compare all trees."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail and name each file that differs"
    )
    check = parser.parse_args().check
    used: set[str] = set()
    wanted = {
        ROOT / target / source.relative_to(ROOT / tree): to_sync(source, used)
        for tree, target in TREES.items()
        for source in sorted((ROOT / tree).rglob("*.py"))
    }
    unused = [pattern for pattern, _ in RULES if pattern not in used]
    if unused:
        sys.exit(f"scripts/unasync.py: these rules match nothing, remove them: {', '.join(unused)}")
    present = {path for target in TREES.values() for path in (ROOT / target).rglob("*.py")}
    changed = [
        path for path, text in wanted.items() if not path.exists() or path.read_bytes() != text.encode()
    ]
    stale = sorted(present - wanted.keys())
    for path in [*changed, *stale]:
        print(f"{'differs' if path in wanted else 'stale'}: {path.relative_to(ROOT)}")
    if check:
        sys.exit(
            f"{len(changed) + len(stale)} files differ; run `nox -s generate`" if changed or stale else None
        )
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wanted[path].encode())
    for path in stale:
        path.unlink()
    print(f"scripts/unasync.py: {len(changed)} of {len(wanted)} files written, {len(stale)} removed")


if __name__ == "__main__":
    main()
