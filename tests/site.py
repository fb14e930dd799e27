"""Every page of the built documentation in a headless Chromium at 1400 and 390 pixels: `python -m tests.site build/site`.

Exit status 1 for a page that is wider than the window, that writes errors to the console, or that loads what is not there; 2 where there
is no site or no Chromium.
"""

import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.chromium import BINARY, Chromium

WIDTHS = (1400, 390)
LOOKS = """({
  wide: document.documentElement.scrollWidth - window.innerWidth,
  broken: [...document.images].filter((i) => i.hasAttribute('src') && i.complete && !i.naturalWidth).map((i) => i.getAttribute('src')),
})"""


class Silent(SimpleHTTPRequestHandler):
    """Serves a folder without a line for each request; the site's search needs a server."""

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


def faults(site: Path, browser: Chromium) -> list[str]:
    """A line for each fault of a page."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    lines = []
    for page in sorted(site.rglob("*.html")):
        name = page.relative_to(site).as_posix()
        browser.open(f"http://127.0.0.1:{server.server_port}/{name}", WIDTHS[0])
        for width in WIDTHS:
            browser.resize(width)
            looks = browser.value(LOOKS)
            if looks["wide"] > 0:
                lines.append(f"{name} at {width}: {looks['wide']} pixels wider than the window")
        lines += [f"{name}: no picture {source}" for source in looks["broken"]]
        lines += [f"{name}: {error}" for error in browser.errors]
    server.shutdown()
    return lines


def main(folder: str) -> int:
    """The exit status; each fault is printed."""
    site = Path(folder)
    if not (site / "index.html").is_file():
        print(f"error: no site in {folder}; 'make docs' builds one", file=sys.stderr)
        return 2
    if BINARY is None:
        print("error: there is no Chromium (Debian: apt-get install chromium)", file=sys.stderr)
        return 2
    with Chromium(BINARY) as browser:
        lines = faults(site, browser)
    pages = len([*site.rglob("*.html")])
    print("\n".join([*lines, f"{pages} pages at {' and '.join(map(str, WIDTHS))} pixels: {len(lines)} faults"]))
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
