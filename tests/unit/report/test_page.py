"""The pages: what stands where, that the committed ones are those of the descriptors, and how they look in a browser."""

import json
import re
import shutil
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest
from matplotlib.figure import Figure as Canvas

from flatproof.verify.report.about import About, about, write_about
from flatproof.verify.report.artifacts import Figure, Table
from flatproof.verify.report.cells import cell
from flatproof.verify.report.page import natural, write_page
from flatproof.verify.report.verdicts import tally, verdict_column, words
from flatproof.verify.report.write import write
from tests.chromium import BINARY, Chromium

RESULTS = Path(__file__).parents[3] / "paper_results"
SECTION = re.compile('<section id="([^"]*)"')


def judged(name: str, verdicts: dict[str, str], scale: str = "quick", **more: str) -> Table:
    frame = pd.DataFrame({"claim": list(verdicts), "printed": "n >= 1", "verdict": list(verdicts.values()), "extra": "x"} | more)
    return Table(f"paper/{name}", f"Table {name}", frame, frame, ("A note.",), {"scale": scale}, ("claim", "printed", "verdict"))


def figure(name: str, scale: str = "quick") -> Figure:
    return Figure(f"paper/{name}", f"Paper {name}", Canvas(figsize=(1, 1)), ("A note.",), {"scale": scale})


def plain(name: str) -> Table:
    frame = pd.DataFrame({"row": ["a"], "value": ["1"]})
    return Table(f"paper/{name}", f"Table {name}", frame, frame, (), {"scale": "quick"}, ("row",))


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_sections_stand_in_the_papers_order_with_verdicts_first(tmp_path: Path) -> None:
    names = ("figure-10a", "figure-2a", "figure-1b", "figure-1a")
    long = judged("all-claims", {f"claim-{i}": "proved" for i in range(40)})
    write([long, *map(figure, names), plain("table-3"), plain("other"), judged("table-2", {"claim-1": "refuted"})], tmp_path, "c")
    order = ["table-2", "figure-1a", "figure-1b", "figure-2a", "figure-10a", "table-3", "other", "all-claims"]
    assert SECTION.findall(read(tmp_path / "paper/index.html")) == ["summary", *(f"paper-{name}" for name in order)]
    assert sorted(["10a", "2", "1b", "1a", "10"], key=natural) == ["1a", "1b", "2", "10", "10a"]


def test_a_card_counts_verdicts(tmp_path: Path) -> None:
    verdicts = {"claim-1": "supported", "claim-2": "refuted", "claim-3": "inconclusive", "claim-4": "not yet run"}
    write(
        [judged("table-1", verdicts), figure("figure-1"), figure("figure-2")],
        tmp_path,
        "c",
        {"paper": About("T", "Q?", "paper/figure-2")},
    )
    card = read(tmp_path / "index.html")
    assert re.findall(r"<b>(\d+)</b> (\w+)", card) == [("1", "supported"), ("1", "refuted"), ("2", "open")]
    assert 'src="paper/figure_2.png"' in card
    assert "Q?" in card
    page = read(tmp_path / "paper/index.html")
    assert '<a href="#paper-table-1-claim-2">claim-2</a>' in page
    assert '<tr id="paper-table-1-claim-2">' in page
    sized = judged("table-1", {"claim-1": "contradicted (reduced size)"})
    write([sized], tmp_path, "c")
    assert "<b>1</b> contradicted" in read(tmp_path / "index.html")


def test_which_column_holds_verdicts() -> None:
    assert verdict_column(["claim", "part", "verdict"], [["1", "supported", "open"], ["1", "open", "open"]]) == 2
    assert verdict_column(["architecture", "theorem"], [["no bias", "agrees"], ["bias", "–"]]) == 1
    assert verdict_column(["d", "measured"], [["1", "not yet run"], ["2", "not yet run"]]) is None
    assert verdict_column(["d", "measured"], [["1", "agrees"], ["2", "0.5"]]) is None
    rows = [["claim-1", "open"], ["claim-1", "open"], ["claim-2", "proved"]]
    assert tally(["claim", "verdict"], rows, 1) == {"open": 1, "supported": 1}
    assert words(["network", "verdict"], rows, 1) == {"open": 2, "proved": 1}


def test_two_scales_stand_beside_each_other(tmp_path: Path) -> None:
    verdicts = {"claim-1": "supported", "claim-2": "open"}
    write(
        [judged("table-1", verdicts), judged("table-1", verdicts, "paper"), figure("figure-1"), figure("figure-1", "paper")],
        tmp_path,
        "c",
    )
    page = read(tmp_path / "paper/index.html")
    assert re.findall(r'<td class="scale">([^<]*)</td>', page) == ["quick", "paper", "quick", "paper"]
    assert page.count("<table>") == 1
    assert page.count('class="pieces pair"') == 1
    for link in ("table_1.csv", "paper_scale/table_1.csv", "paper_scale/figure_1.pdf"):
        assert f'href="{link}"' in page
    write([judged("table-1", {"claim-1": "supported", "claim-9": "open"}, "paper")], tmp_path, "c")
    assert read(tmp_path / "paper/index.html").count("<table>") == 2  # other rows


def test_columns_beyond_the_brief_ones_wait_and_certificates_are_links(tmp_path: Path) -> None:
    frame = pd.DataFrame({"data": ["cube"], "bound": ["8"], "more": ["m"], "certificate": ["cube.json"]})
    made = Table("paper/table-1", "T", frame, frame, (), {"scale": "quick"}, ("data", "bound"), {"cube.json": b"{}"})
    write([made], tmp_path, "c")
    page = read(tmp_path / "paper/index.html")
    assert "all 4 columns" in page
    assert page.count('class="more"') == 2  # head and cell of one column
    assert '<a href="table_1/cube.json">cube.json</a>' in page
    (tmp_path / "paper/table_1/cube.json").unlink()
    write_page(tmp_path)
    assert '<a href="table_1/cube.json"' not in read(tmp_path / "paper/index.html")


def test_nothing_in_a_text_becomes_markup(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>'
    frame = pd.DataFrame({evil: [evil], "b": [f"{evil} " * 20]})
    write(
        [Table("paper/table-1", evil, frame, frame, (evil, f"`{evil}`"), {"scale": "quick", evil: evil}, ())],
        tmp_path,
        "c",
        {"paper": About(evil, evil)},
    )
    for page in ("index.html", "paper/index.html"):
        assert "<script>" not in read(tmp_path / page)
    assert "<script>" not in cell("$$ ||<script>|| <= 1")


def test_what_is_said_of_a_paper_is_kept_or_it_is_called_by_its_id(tmp_path: Path) -> None:
    said = About("A title", "A question?", "paper/figure-1", "https://example.org", 3)
    write_about(tmp_path, {"paper": said, "silent": About()})
    assert about(tmp_path, "paper") == said
    assert not (tmp_path / "silent").exists()
    path = tmp_path / "paper/about.json"
    whole = json.loads(read(path))
    for broken in ({}, whole | {"place": "3"}, whole | {"link": "javascript:alert(1)"}, whole | {"title": "\ud800"}, [whole], 3):
        path.write_text(json.dumps(broken), encoding="utf-8")
        assert about(tmp_path, "paper") == About("paper")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed results with pages made anew."""
    out = tmp_path_factory.mktemp("results") / "paper_results"
    shutil.copytree(RESULTS, out, ignore=shutil.ignore_patterns("index.html", "assets"))
    write_page(out)
    return out


def names_of_pages(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("index.html"))


def test_the_committed_pages_are_those_of_the_descriptors(pages: Path) -> None:
    assert names_of_pages(pages) == names_of_pages(RESULTS)
    shared = [path.relative_to(pages).as_posix() for path in (pages / "assets").rglob("*") if path.is_file()]
    for name in (*names_of_pages(pages), *shared):
        assert (pages / name).read_bytes() == (RESULTS / name).read_bytes(), f"{name}: flatproof report writes another"


def test_no_link_is_dead(pages: Path) -> None:
    anchors = {name: {*re.findall(r' id="([^"]*)"', read(pages / name))} for name in names_of_pages(pages)}
    for name in anchors:
        for link in re.findall(r' (?:href|src)="([^"]*)"', read(pages / name)):
            if re.match("https?:|data:", link):
                continue
            path, _, anchor = unquote(unescape(link)).partition("#")
            target = (pages / name).parent / path if path else pages / name
            assert target.is_file(), f"{name}: {link}"
            at = target.resolve().relative_to(pages.resolve()).as_posix()
            assert not anchor or anchor in anchors[at], f"{name}: {link}"
    entries = json.loads(read(pages / "assets/entries.js").removeprefix("window.ENTRIES = ").rstrip(";\n"))
    assert len(entries) > 150
    for entry in entries:
        path, _, anchor = entry["at"].partition("#")
        assert not anchor or anchor in anchors[path], entry


LOOKS = """({
  wide: document.documentElement.scrollWidth - window.innerWidth,
  boxes: [...document.querySelectorAll('.box')].filter((b) => b.scrollWidth > b.clientWidth + 1).map((b) => b.getAttribute('aria-label')),
  unset: [...document.querySelectorAll('.tex')].filter((e) => !e.querySelector('.katex') || e.querySelector('.katex-error')).length,
  set: document.querySelectorAll('.katex').length,
  fonts: [...document.fonts].filter((f) => f.status === 'loaded' && f.family.startsWith('KaTeX')).length,
  figures: document.images.length,
})"""
PICTURES = """Promise.all([...document.querySelectorAll('figure img, .card img')].slice(0, 3).map((image) => {
  image.loading = 'eager';
  return image.decode().then(() => image.naturalWidth > 300, () => false);
})).then((loaded) => loaded.every(Boolean))"""


@pytest.mark.skipif(BINARY is None, reason="there is no Chromium (Debian: apt-get install chromium)")
def test_the_pages_in_a_browser(pages: Path) -> None:
    """At 1400 and at 390 pixels: no overflow of the body, nothing on the console, formulas set, figures there, and what scripts do."""
    assert BINARY is not None
    with Chromium(BINARY) as browser:
        for name in names_of_pages(pages):
            browser.open((pages / name).as_uri(), 1400)
            looks = browser.value(LOOKS)
            assert (looks["wide"], looks["boxes"], looks["unset"]) == (0, [], 0), name
            assert looks["fonts"] > 0 or not looks["set"], name
            assert browser.value(PICTURES), name
            browser.resize(390)
            assert browser.value(LOOKS)["wide"] == 0, name
            assert browser.errors == [], name
        assert browser.value("document.querySelectorAll('.katex').length") > 500  # of the ledger, the last page
        index = (pages / "index.html").as_uri()
        browser.open(f"{index}#wen2023-paper-scale-figure-4b", 390)  # a link to the page that once held everything
        browser.wait("location.pathname.endsWith('/wen2023/index.html') && document.readyState === 'complete'")
        assert browser.value("location.hash") == "#wen2023-paper-scale-figure-4b"
        assert browser.value("!document.querySelector('nav details').open")
        browser.value("document.querySelector('figure a.zoom').click()")
        assert browser.value("document.getElementById('large').open && document.querySelector('#large img').src.endsWith('.png')")
        browser.value("document.getElementById('large').click()")
        browser.value(
            "(() => { const s = document.getElementById('search'); s.value = 'theorem 3.2'; s.dispatchEvent(new Event('input')); })()"
        )
        assert (
            browser.value("document.querySelector('#found a').getAttribute('href')")
            == "../wen2023/index.html#wen2023-claims-theorem-3.2"
        )
        tick = "document.querySelector('#wen2023-table-1 .all input')"
        shown = "getComputedStyle(document.querySelector('#wen2023-table-1 td.more')).display"
        before = browser.value(shown)
        browser.value(f"{tick}.click()")
        assert (before, browser.value(shown)) == ("none", "table-cell")
        head = "document.querySelector('#wen2023-table-1 tbody th').getBoundingClientRect().left"
        start = browser.value(head)
        browser.value("document.querySelector('#wen2023-table-1 .box').scrollLeft = 300")
        assert browser.value(head) == start  # the name stays
        assert browser.errors == []
