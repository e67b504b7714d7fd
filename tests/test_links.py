"""No link of README.md, CONTRIBUTING.md or the site leads nowhere."""

import re
import unicodedata

import pytest
from pages import PAGES, ROOT, name_of

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
OTHERS = [
    *(ROOT / f"{name}.md" for name in ("SECURITY", "CODE_OF_CONDUCT", "RELEASING")),
    *(ROOT / folder / "README.md" for folder in ("benchmarks", "findings")),
]
GENERATED = {ROOT / "docs" / "notebooks"}
"""Folders whose pages are made of notebooks when the site is built."""


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as the site and code hosts make them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {slug(title) for title in titles}


def slug(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title.replace("`", "")).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=name_of)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if file.parent in GENERATED:
            file = file.with_suffix(".ipynb")
        assert file.exists(), f"{target} is not there"
        assert ROOT in file.parents, f"{target} leads out of the repository"
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), f"no heading {target}"


@pytest.mark.parametrize(
    ("title", "made"), [("dermsim classify", "dermsim-classify"), ("Age, `sex`", "age-sex")]
)
def test_slug(title, made):
    assert slug(title) == made
