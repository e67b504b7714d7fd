"""Ways out of the folder of uploads, written to the socket just as they are."""

from __future__ import annotations

import http.client
import tempfile
from pathlib import Path
from urllib.parse import quote, urlsplit

from hostile import Count
from hostile._served import PATIENCE, ROOT, page

AT_LEAST = 40

STARTS = ("/gradio_api/file=", "/gradio_api/file/", "/file=", "/static/", "/assets/", "/svelte/")
CLOSED = ("/gradio_api/proxy=http://127.0.0.1/", "/gradio_api/component_server")
SECRET = "a-file-that-nobody-may-read"
WORDS = (SECRET.encode(), b"root:", b"[build-system]", b"PATH=")


def spellings(secret: Path) -> list[str]:
    """Return paths of files that are there, in many spellings."""
    from dermsim.ui.uploads import upload_folder

    folder, up = upload_folder().path, "../" * 12
    plain = ["/etc/passwd", "/proc/self/environ", str(ROOT / "pyproject.toml"), str(secret)]
    plain += [f"{folder}/{up}etc/passwd", f"{up}etc/passwd", "pyproject.toml"]
    encoded = [quote(path, safe="") for path in plain]
    dots = [path.replace(".", "%2e").replace("/", "%2f") for path in plain]
    twice = [quote(path, safe="") for path in encoded]
    return [*plain, *encoded, *dots, *twice, *(p.replace("/", "\\") for p in plain)]


def run() -> list[Count]:
    """Ask for each by every route that hands out files."""
    tried = through = 0
    with tempfile.TemporaryDirectory() as folder:
        secret = Path(folder, "secret.txt")
        secret.write_text(SECRET)
        for start in STARTS:
            for path in spellings(secret):
                status, body = ask(start + path)
                tried += 1
                through += status == 200 and any(word in body for word in WORDS)
    opened = sum(ask(path)[0] == 200 for path in CLOSED)
    return [
        Count("paths out of the folder of uploads", tried, through),
        Count("routes that are closed", len(CLOSED), opened),
    ]


def ask(path: str) -> tuple[int, bytes]:
    """Send a request line just as it is written."""
    connection = http.client.HTTPConnection(urlsplit(page()).netloc, timeout=PATIENCE)
    try:
        connection.putrequest("GET", path.replace(" ", "%20"), skip_accept_encoding=True)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
