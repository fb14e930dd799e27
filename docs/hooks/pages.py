"""Owns what the site takes from elsewhere: committed results, verdicts and figures in the papers' pages, KaTeX, the changelog.

In a page, `<!-- verdicts: PAPER -->` stands for every committed table of the paper that holds verdicts, `<!-- figure: PAPER/NAME -->` for a
committed figure, `<!-- ledger: PAPER -->` for the paper's statements, or one by its id, examined in the build, `<!-- formal -->` for the
table of what Coq checked. No number of theirs is typed by hand.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from flatproof.theory.claims import Claim, Evidence, ledger, statements
from flatproof.theory.claims.formal import Formal, confirmed
from flatproof.verify.experiments import EXPERIMENTS
from flatproof.verify.experiments.ledger import headlines
from flatproof.verify.report.cells import slug
from flatproof.verify.report.mathematics import parts
from flatproof.verify.report.verdicts import NEUTRAL, side, verdict_column, words

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "paper_results"
KATEX = ROOT / "verify/report/assets/katex"
TOP = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}  # pages that lie at the top of the repository
ARGUMENTS = ("claim", "id", "figure", "architecture", "data")  # the columns that say what a verdict is about
SHOWN = (
    "printed",
    "published",
    "statement",
    "printed: 1-SAM generalizes",
    "the paper reports",
    "measured",
    "fails in",
    "corrected",
)
MEASURED = ("effects, mean over seeds [95 % interval]", "seeds that show it", "1-SAM: test accuracy", "part")
SCALES = {"": "scale quick", "paper_scale/": "the paper's own scale"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The how-to pages, by title."""
    for section in config.nav or ():
        if section == {"How to": "how-to/"}:
            pages = sorted((ROOT / "docs/how-to").glob("*.md"), key=_title)
            section["How to"] = [f"how-to/{page.name}" for page in pages]
    return config


def _title(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition("\n")[0].lower()


@event_priority(100)
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Results, KaTeX and the pages at the top."""
    folders = {"results": RESULTS, "assets/katex": KATEX}
    for target, folder in folders.items():
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix != ".md":
                name = f"{target}/{path.relative_to(folder).as_posix()}"
                files.append(File.generated(config, name, abs_src_path=str(path)))
    for name, source in TOP.items():
        text = (ROOT / source).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, name, content=text))
    return files


def on_post_build(config: MkDocsConfig) -> None:
    """Results in Markdown, which are no pages."""
    for path in sorted(RESULTS.rglob("*.md")):
        target = Path(config.site_dir) / "results" / path.relative_to(RESULTS)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Puts verdicts and figures in place."""

    def replaced(found: re.Match[str]) -> str:
        kind, name = found.groups()
        return "\n\n".join(PIECES[kind](name))

    if "<!-- formal -->" in markdown:
        markdown = markdown.replace("<!-- formal -->", formal())
    return re.sub(rf"<!-- ({'|'.join(PIECES)}): ([\w/-]+) -->", replaced, markdown)


def formal() -> str:
    """The theorems that Coq checked, beside what is printed: how many, and a table of them."""
    checked = list(confirmed())
    if not checked:
        return "Nothing is confirmed for the proofs as they lie here: `make formal` checks them."
    measured = {f"{e.ID}/{name}": text for e in EXPERIMENTS.values() for name, text in e.PUBLISHED.items()}
    printed = {id: statement.printed for id, statement in statements().items()} | measured
    rows = [
        [_name(id), _text(text), "<br>".join(_proved(f) for f in checked if f.entry.id == id)]
        for id, text in printed.items()
        if any(f.entry.id == id for f in checked)
    ]
    theorems = len({f.entry.theorem for f in checked})
    lines = [["id", "printed", "in words, and the formal name"], ["---"] * 3, *rows]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"**{len(rows)} statements, {theorems} theorems**, checked by Coq {checked[0].coq} (`make formal`).\n\n{table}"


def _proved(theorem: Formal) -> str:
    return f"**{_text(theorem.about())}** (`{theorem.entry.theorem}`): {_text(theorem.entry.words)}"


def verdicts(paper: str) -> Iterator[str]:
    """Each committed table of a paper with verdicts, at each scale, and what printed it; or that there is none."""
    found = False
    for folder, scale in SCALES.items():
        for path in sorted((RESULTS / paper / folder).glob("*.json"), key=_in_order):
            entry = json.loads(path.read_text(encoding="utf-8"))
            if entry.get("kind") != "table":
                continue
            columns, rows = entry["table"]["columns"], entry["table"]["rows"]
            at = verdict_column(columns, rows)
            if at is None:
                continue
            found = True
            yield f"## {_text(entry['title'])}" + ("" if not folder else f" ({scale})")
            counts = words(columns, rows, at)
            yield "**" + ", ".join(f"{number} {word}" for word, number in counts.items()) + "**"
            yield _table(entry, at)
            anchor = f"../results/{paper}/index.html#{slug(f'{paper}/{folder}{path.stem}')}"
            yield f"{_made(entry['provenance'])} [The whole table with the rules behind the verdicts]({anchor})."
    if not found:
        yield f"No verdicts on its empirical statements are committed yet: `flatproof reproduce {paper}` runs what they need."


def _in_order(path: Path) -> tuple[bool, str]:
    return path.stem == "claims" and (path.parent / "table_1.json").exists(), path.stem


def _table(entry: Mapping[str, Any], at: int) -> str:
    """The columns that say what is judged, the verdict second."""
    columns, rows = entry["table"]["columns"], entry["table"]["rows"]
    chosen = [0, at, *(i for i, name in enumerate(columns) if name in (*SHOWN, *MEASURED) and i not in (0, at))]
    if "statement" in columns:  # the ledger: its long texts stand in the results
        chosen = [i for i in chosen if columns[i] not in ("printed", "corrected")]
        rows = [row for row in rows if side(row[at]) != NEUTRAL]
    lines = [[columns[i] for i in chosen], ["---"] * len(chosen)]
    lines.extend([_verdict(row[i]) if i == at else _name(row[0]) if i == 0 else _text(row[i]) for i in chosen] for row in rows)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _name(id: str) -> str:
    """What a verdict is about, without a break after a hyphen."""
    return f'<span class="id">{_text(id)}</span>' if len(id) <= 24 else _text(id)


def _verdict(word: str) -> str:
    family = side(word)
    return word if family is None else f'<span class="verdict {family}">{word}</span>'


def _text(value: str) -> str:
    """A cell in Markdown, its formulas in TeX."""
    pieces = []
    for part in parts(value):
        tex = None if part.tex is None else part.tex.strip().replace("|", "\\vert ")
        pieces.append(_escaped(part.text) if tex is None else f"\\({tex}\\)")
    return "".join(pieces)


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_\[\]>|$])", r"\\\1", text.replace("\n", " ")).replace("<", "&lt;")  # \< is no escape in Markdown


def _made(provenance: Mapping[str, str]) -> str:
    """Which command printed it, where."""
    where = ", ".join(f"{name} {provenance[name]}" for name in ("commit", "seeds") if name in provenance)
    machine = provenance.get("machine", "")
    return f"`{provenance['command']}`" + (f" ({where}; {machine})." if where else ".")


def figure(name: str) -> Iterator[str]:
    """A committed figure with its title and notes."""
    path = RESULTS / (name.replace("-", "_") + ".json")
    if not path.exists():
        raise PluginError(f"there is no committed figure {name}")
    entry = json.loads(path.read_text(encoding="utf-8"))
    source = f"../results/{path.relative_to(RESULTS).with_suffix('.png').as_posix()}"
    yield f"![{_escaped(entry['title'])}]({source})"
    yield f"{_text(entry['title'])}. {_made(entry['provenance'])}"


def examined(name: str) -> Iterator[str]:
    """The ledger's statements of a paper, or one by its id, with their evidence, examined now; what runs judge is left out."""
    claims = list(ledger(id for id in statements() if id == name or id.startswith(f"{name}/")))
    if not claims:
        raise PluginError(f"the ledger has no statement {name}")
    if name not in statements():
        yield "**" + _text(" ".join(headlines(claims)).replace(f"{name}: of", "Of")) + "**"
    for claim in sorted(claims, key=lambda claim: claim.status != "definition"):
        yield from _in_full(claim)


def _in_full(claim: Claim) -> Iterator[str]:
    """One statement: its name and status, what is printed and whose words these are, what holds instead, the evidence."""
    fails = f"fails in the {claim.target}: {claim.severity}" if claim.target else None
    about = filter(None, (fails, claim.reading and f"reading: {claim.reading}"))
    yield f"### {_name(claim.id)} {{ #{slug(claim.id)} }}"
    yield " · ".join((_verdict(claim.status), *map(_text, about)))
    yield f"> {_text(claim.printed)}" + (f" *({claim.words})*" if claim.words else "")
    if claim.corrected:
        yield f"Holds instead: {_text(claim.corrected)}"
    if claim.status != "definition":
        shown = [_piece(e, claim) for e in claim.evidence] + [f"**Coq**: {_proved(f)}" for f in claim.formal]
        yield "\n".join(f"- {line}" for line in shown)


def _piece(evidence: Evidence, claim: Claim) -> str:
    """A piece of evidence in a line."""
    reading = f", reading: {evidence.reading}" if evidence.reading not in (None, claim.reading) else ""
    return f"**{evidence.supports}{reading}** ({_text(evidence.method)}; {_text(evidence.scope)}): {_text(evidence.finding)}" + (
        f" Holds instead: {_text(evidence.corrected)}" if reading and evidence.corrected else ""
    )


PIECES: Mapping[str, Callable[[str], Iterator[str]]] = {"verdicts": verdicts, "figure": figure, "ledger": examined}
