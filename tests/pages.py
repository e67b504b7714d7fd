"""What README.md and the pages of docs/ show: their blocks of code, and the commands in them."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[str]:
    """The page's blocks of code in one of these languages; "" is none."""
    found = _FENCE.findall(page.read_text(encoding="utf-8"))
    return [code for language, code in found if language in languages]


def commands(page: Path, *languages: str) -> list[str]:
    """The commands of these blocks, one for each, those over several lines joined."""
    lines = "\n".join(blocks(page, *languages)).replace("\\\n", " ").splitlines()
    parts = [part.strip() for line in lines for part in line.split(" && ")]
    return [part for part in parts if part and not part.startswith("#")]


def words(command: str) -> list[str]:
    """The words of a command, each ``<place holder>`` one word."""
    return shlex.split(re.sub(r"<[^<>]+>", "placeholder", command), comments=True)


def is_open(command: str) -> bool:
    """Whether a command leaves something to the reader."""
    return "<" in command or "..." in command.split()
