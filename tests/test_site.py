"""The site builds without a warning, and a reader's browser asks no other host for anything."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OUTSIDE = re.compile(r"^(?:[a-z]+:)?//", re.IGNORECASE)
LOADS = {
    "script": "src",
    "link": "href",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "object": "data",
}
"""By the name of an element: its attribute that a browser loads by itself."""

pytestmark = pytest.mark.slow


class Loaded(HTMLParser):
    """Collects what a page makes a browser load."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attrs):
        address = dict(attrs).get(LOADS.get(tag, ""))
        if address:
            self.addresses.append(address)


def loaded_by(html: str) -> list[str]:
    parser = Loaded()
    parser.feed(html)
    return parser.addresses


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason='needs pip install -e ".[docs]"')
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_nothing_is_loaded_from_another_host(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        outside = [a for a in loaded_by(page.read_text(encoding="utf-8")) if OUTSIDE.match(a)]
        assert outside == [], page.name


def test_no_style_loads_from_another_host(site):
    sheets = list(site.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        text = sheet.read_text(encoding="utf-8")
        named = re.findall(r"url\(\s*['\"]?([^)'\"]+)", text)
        named += re.findall(r"@import\s+['\"]([^'\"]+)", text)
        assert [address for address in named if OUTSIDE.match(address)] == [], sheet.name


def test_every_public_name_is_in_the_reference(site):
    import dermsim

    text = "".join(page.read_text(encoding="utf-8") for page in (site / "reference").glob("*.html"))
    for name in set(dermsim.__all__) - {"__version__"}:
        assert re.search(rf'id="dermsim\.[\w.]*\b{name}"', text), name


def test_notebooks_are_pages(site):
    page = (site / "notebooks" / "explore-an-archive.html").read_text(encoding="utf-8")
    assert "Count what it holds" in page and "from_pretrained" in page


def test_what_loads_is_found():
    html = '<link href="//a.example/x.css"><script src=https://b.example/y.js></script><a href="c">'
    assert loaded_by(html) == ["//a.example/x.css", "https://b.example/y.js"]
    assert all(OUTSIDE.match(address) for address in loaded_by(html))
    assert not OUTSIDE.match("../assets/z.css")
