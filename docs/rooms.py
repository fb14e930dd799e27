"""Reads the imports of theory, synth and verify, and draws the rooms on their floors: `python docs/rooms.py`, or `make map`.

Writes docs/architecture.svg and the two tables of docs/architecture.md. A test compares both with what is read anew.
"""

import ast
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE, PICTURE = ROOT / "docs/architecture.md", ROOT / "docs/architecture.svg"
# From the ground up. A room imports from lower floors alone; where a room stands in the picture is its column.
FLOORS: tuple[dict[str, float], ...] = (
    {"theory": 0, "synth": 1, "verify/utils": 2.5},
    {"theory/flatness": 0, "verify/jobs": 3},
    {"theory/claims": 0, "verify/two_layer": 1, "verify/realdata": 2, "verify/report": 3},
    {"verify/curvature": 1, "verify/deep": 2},
    {"verify/experiments": 1, "verify/bench": 2, "verify/pictures": 3},
    {"verify/cli": 1.5},
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FACES = ("flatproof.theory", "flatproof.verify")  # packages that open onto their rooms: what they import is no room's import


@cache
def modules() -> dict[str, Path]:
    """Every module of the three folders, by the name that it is imported under."""
    found = {}
    for folder in ("theory", "synth", "verify"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(["flatproof", *(parts[:-1] if parts[-1] == "__init__" else parts)])] = path
    return found


def room(module: str) -> str:
    """The innermost room that holds the module: flatproof.verify.jobs.store lies in verify/jobs."""
    parts = module.split(".")[1:]
    return next((name for end in (2, 1) if (name := "/".join(parts[:end])) in FLOOR), parts[0])


@cache
def parsed(path: Path) -> ast.Module:
    """The file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """What a file imports, wherever in the file it does: modules among the known ones, else names of other packages."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                yield whole if whole in known else str(node.module)


@cache
def graph() -> dict[str, set[str]]:
    """Module to the modules of the three folders that it imports."""
    known = modules()
    return {module: {name for name in imported(path, known) if name in known} - {module} for module, path in known.items()}


@cache
def arrows() -> dict[tuple[str, str], int]:
    """(importing room, imported room) to the number of importing modules."""
    importing = defaultdict(set)
    for module, names in graph().items():
        for name in names:
            if module not in FACES and room(module) != room(name):
                importing[room(module), room(name)].add(module)
    return {arrow: len(importing[arrow]) for arrow in sorted(importing, key=lambda a: (-FLOOR[a[0]], a))}


def owns(name: str) -> str:
    """First sentence of the room's package."""
    docstring = ast.get_docstring(parsed(ROOT / name / "__init__.py")) or ""
    return docstring.partition("\n")[0]


def tables() -> tuple[str, str]:
    """What each room owns, and every arrow, in Markdown."""
    rooms = ["| floor | room | owns |", "|---|---|---|"]
    for floor in reversed(range(len(FLOORS))):
        rooms += [f"| {floor} | `{name}/` | {owns(name)} |" for name in FLOORS[floor]]
    lines = ["| room | imports, by the number of its modules that do |", "|---|---|"]
    by_room = defaultdict(list)
    for (upper, lower), count in arrows().items():
        by_room[upper].append(f"{lower} {count}")
    lines += [f"| `{upper}` | {', '.join(below)} |" for upper, below in by_room.items()]
    return "\n".join(rooms), "\n".join(lines)


def page(text: str) -> str:
    """The page with its two tables written anew between their markers."""
    for name, table in zip(("rooms", "arrows"), tables(), strict=True):
        text = re.sub(rf"(<!-- {name} -->\n).*?(\n<!-- end -->)", lambda m, t=table: m[1] + t + m[2], text, flags=re.DOTALL)
    return text


def direct(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The arrows that no longer way through other rooms says already."""
    below: dict[str, set[str]] = defaultdict(set)
    for upper, lower in sorted(pairs, key=lambda pair: FLOOR[pair[0]]):
        below[upper] |= {lower} | below[lower]
    return {(u, v) for u, v in pairs if not any(v in below[w] for x, w in pairs if x == u and w != v)}


# ---- The picture ----
WIDTH, HEIGHT, GAP, LANE, MARGIN, PORT = (
    270,
    120,
    84,
    62,
    24,
    34,
)  # a box; the gap under a floor; between columns; between two ports


@dataclass
class Box:
    """A room in the picture, and the arrows at its lower and upper edge."""

    name: str
    left: float
    top: float
    out: list[str] = field(default_factory=list)
    into: list[str] = field(default_factory=list)

    def port(self, other: str, names: list[str]) -> float:
        """Where on the edge the arrow from or to the other room stands."""
        return self.left + WIDTH / 2 + PORT * (names.index(other) - (len(names) - 1) / 2)


def place() -> dict[str, Box]:
    """Every room's box, the lowest floor at the bottom."""
    return {
        name: Box(name, MARGIN + column * (WIDTH + LANE), MARGIN + (len(FLOORS) - 1 - floor) * (HEIGHT + GAP))
        for floor, rooms in enumerate(FLOORS)
        for name, column in rooms.items()
    }


def route(boxes: dict[str, Box], drawn: set[tuple[str, str]]) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Corners of every arrow: down from its room, along the gap under a floor, down beside the boxes, along, and down to the other."""
    for upper, lower in sorted(drawn):
        boxes[upper].out.append(lower)
        boxes[lower].into.append(upper)
    for box in boxes.values():
        box.out.sort(key=lambda name: boxes[name].left)
        box.into.sort(key=lambda name: (boxes[name].left, boxes[name].top))
    tracks: dict[float, int] = defaultdict(int)  # how many arrows run along a gap or down a lane so far

    def track(base: float, step: float) -> float:
        tracks[base] += 1
        return base + step * tracks[base]

    corners = {}
    for upper, lower in sorted(drawn, key=lambda pair: (boxes[pair[0]].top, boxes[pair[1]].left, pair)):
        above, below = boxes[upper], boxes[lower]
        x, end = above.port(lower, above.out), below.port(upper, below.into)
        path = [(x, above.top + HEIGHT)]
        between = [b for b in boxes.values() if above.top < b.top < below.top]
        if any(b.left - 8 < x < b.left + WIDTH + 8 for b in between):  # not straight down: by the lane nearest to the end
            lanes = {b.left + side for b in between for side in (-LANE + 6, WIDTH + 6)}
            free = [a for a in lanes if not any(b.left - LANE / 2 < a + LANE / 2 - 6 < b.left + WIDTH for b in between)]
            lane = track(min(free, key=lambda a: (abs(a - end) + abs(a - x), a)), 12)
            along = track(above.top + HEIGHT + 4, 7)
            path += [(x, along), (lane, along)]
            x = lane
        if abs(x - end) > 1:
            along = track(below.top - GAP + 4, 7)
            path += [(x, along), (end, along)]
        corners[upper, lower] = [*path, (end, below.top)]
    return corners


def svg() -> str:
    """The picture: a box a room with what it owns and all that it imports, and the direct arrows with their counts."""
    counts = arrows()
    boxes = place()
    width = max(box.left for box in boxes.values()) + WIDTH + MARGIN
    height = max(box.top for box in boxes.values()) + HEIGHT + MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        'font-family="Helvetica, Arial, sans-serif">',
        f'<rect width="{width:g}" height="{height:g}" fill="white"/>',
        '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#345"/></marker>',
    ]
    for (upper, lower), corners in route(boxes, direct(set(counts))).items():
        points = " ".join(f"{x:g},{y:g}" for x, y in corners)
        lines.append(f'<polyline points="{points}" fill="none" stroke="#345" stroke-width="1.3" marker-end="url(#head)"/>')
        x, y = corners[-1]
        lines.append(f'<text x="{x + 5:g}" y="{y - 6:g}" font-size="11" fill="#345">{counts[upper, lower]}</text>')
    for name, box in boxes.items():
        tint = {"theory": "#fdf3dc", "synth": "#e6f4e6"}.get(name.partition("/")[0], "#e8eff9")
        lines.append(
            f'<rect x="{box.left:g}" y="{box.top:g}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{tint}" stroke="#345"/>'
        )
        x = box.left + 10
        lines.append(f'<text x="{x:g}" y="{box.top + 19:g}" font-size="14" font-weight="bold">{name}/</text>')
        below = " ".join(
            f"{lower.removeprefix('verify/')}\u00a0{n}\u00a0·" for (upper, lower), n in counts.items() if upper == name
        )
        said = textwrap.wrap(owns(name), 44, max_lines=3, placeholder=" …")
        for i, words in enumerate(said):
            lines.append(f'<text x="{x:g}" y="{box.top + 36 + 13 * i:g}" font-size="11">{_escaped(words)}</text>')
        for i, words in enumerate(textwrap.wrap(below.removesuffix("\u00a0·"), 54)):
            y = box.top + 42 + 13 * (len(said) + i)
            lines.append(f'<text x="{x:g}" y="{y:g}" font-size="10" fill="#567">{_escaped(words)}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _escaped(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;")


if __name__ == "__main__":
    PICTURE.write_text(svg(), encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {PICTURE.relative_to(ROOT)} and the tables of {PAGE.relative_to(ROOT)}")
