"""Search documents, docstrings, comments and messages for the phrases of scripts/words.txt."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "scripts" / "words.txt"
READ = ("*.md", "*.py", "docs/**/*.md", "examples/**/*.py", "scripts/*.py", "superserve/**/*.py")


def main() -> int:
    """Print each place with a better phrase; return 1 if there is any."""
    lines = [line for line in LIST.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    better = {phrase: advice for phrase, _, advice in (line.partition(" => ") for line in lines)}
    # A phrase may continue on the next line, after the mark of a comment.
    gap = r"(?:\s|\n\s*#)+"
    phrases = "|".join(gap.join(map(re.escape, phrase.split())) for phrase in better)
    found = 0
    for file in sorted({file for pattern in READ for file in ROOT.glob(pattern)}):
        text = file.read_text(encoding="utf-8")
        for match in re.finditer(rf"(?<![\w`-])(?:{phrases})(?![\w`-])", text, re.IGNORECASE):
            phrase = " ".join(match[0].replace("#", " ").lower().split())
            line = text.count("\n", 0, match.start()) + 1
            print(f"{file.relative_to(ROOT)}:{line}: '{phrase}': {better[phrase]}")
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
