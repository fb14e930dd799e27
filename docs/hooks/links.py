"""Owns the last check of the built site: every link, anchor, picture and script of every page is there, and none is on the network."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority, get_plugin_logger

logger = get_plugin_logger(__name__)


class _Links(HTMLParser):
    """What a page links to, what it loads, and the anchors that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One element."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given and tag != "meta"}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.loads.append(given.get("href", ""))
        elif tag in ("script", "img", "source", "iframe") and "src" in given:
            self.loads.append(given["src"])


@event_priority(-100)
def on_post_build(config: MkDocsConfig) -> None:
    """A warning, which `--strict` makes an error, for each thing that is not there."""
    site = Path(config.site_dir)
    pages = {path: _Links(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        if path.name == "404.html":  # its addresses are absolute
            continue
        where = path.relative_to(site)
        for address in page.loads:
            if urlsplit(address).scheme in ("http", "https") or address.startswith("//"):
                logger.warning(f"{where} loads {address} from the network")
        for address in (*page.links, *page.loads):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                logger.warning(f"{where} links to {address}, which is not there")
                continue
            named = unquote(parts.fragment)
            own = named.startswith("__")  # of the theme's switches
            if named and not own and target in pages and named not in pages[target].anchors:
                logger.warning(f"{where} links to {address}, an anchor that is not there")
