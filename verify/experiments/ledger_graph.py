"""Owns the picture of what rests on what in the ledger."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch
from matplotlib.path import Path

from flatproof.theory.claims import Claim
from flatproof.theory.claims.graph import layers
from flatproof.verify.jobs.provenance import provenance
from flatproof.verify.report.artifacts import Figure
from flatproof.verify.report.style import COLORS, GRAY

BLUE, RED, GREEN, _, ORANGE, SKY = COLORS
# Face, and what the legend says; the second line of a box repeats it for those who do not see the colour.
FACES = {
    "proved": ("#d9efe7", "proved"),
    "cited": ("#dbe9f6", "cited: a published theorem"),
    "definition": ("#f2f2f2", "definition or condition"),
    "certified": ("#d9efe7", "certified on finite instances"),
    "tested": ("#d9efe7", "tested"),
    "open": ("#ffffff", "open"),
    "substance": ("#e8836f", "refuted in substance"),
    "constant or sign": ("#f6c7a8", "refuted in a constant or a sign"),
    "boundary": ("#fbe9c9", "refuted at a boundary"),
}
WIDTH, HEIGHT = 0.5, 0.7  # of a box, in columns and rows
SWEEPS = 12


def shape(c: Claim) -> str:
    """The key of FACES for a statement."""
    return str(c.severity) if c.status == "refuted" else c.status


def label(c: Claim) -> str:
    """Its name and, where something of it fails, what."""
    name = c.id.split("/")[1].replace("-", " ")
    name = name[0].upper() + name[1:]
    if c.status == "refuted":
        return f"{name}\n{c.severity}"
    if c.target:
        return f"{name}\n{'step' if c.target == 'proof step' else c.target} fails"
    return f"{name}\n{c.status}" if c.status in ("cited", "open", "tested", "certified") else name


def places(ledger: Mapping[str, Claim]) -> dict[str, tuple[float, float]]:
    """Where each statement stands: in the columns of `layers`, moved up to their first use, in rows by the mean row of its neighbours.

    Args:
        ledger: the statements by id.

    Returns:
        Column and row, which falls below 0, by id. Statements without an edge lie in rows of their own below, as many to a row as there
        are columns.
    """
    column = layers(ledger)
    edges = [(e.id, c.id) for c in ledger.values() for e in c.depends_on if e.id in ledger]
    linked = {id for edge in edges for id in edge}
    for id in sorted(linked, key=lambda id: -column[id]):
        column[id] = min((column[b] for a, b in edges if a == id), default=column[id] + 1) - 1
    columns = [
        [id for id in ledger if id in linked and column[id] == k] for k in range(1 + max((column[i] for i in linked), default=0))
    ]
    row = {id: float(k) for group in columns for k, id in enumerate(group)}
    for sweep in range(SWEEPS):
        order = range(len(columns)) if sweep % 2 == 0 else reversed(range(len(columns)))
        for k in order:
            near = {id: [row[a] for a, b in edges if b == id] + [row[b] for a, b in edges if a == id] for id in columns[k]}
            columns[k].sort(key=lambda id: sum(near[id]) / len(near[id]))
            tallest = max(map(len, columns))
            for position, id in enumerate(columns[k]):
                row[id] = (position + 0.5) * tallest / len(columns[k])
    alone = [id for id in ledger if id not in linked]
    out = {id: (float(k), -row[id]) for k, group in enumerate(columns) for id in group}
    lowest, wide = min((y for _, y in out.values()), default=0.0), max(len(columns), 1)
    return out | {id: (float(k % wide), lowest - 1.8 - k // wide) for k, id in enumerate(alone)}


def graph(id: str, claims: Sequence[Claim]) -> Figure:
    """A box for each statement, coloured by what holds; an arrow from what a proof rests on, dashed where in its corrected form.

    Args:
        id: of the figure.
        claims: the statements.
    """
    ledger = {c.id: c for c in claims}
    place = places(ledger)
    columns, lowest = 1 + max(x for x, _ in place.values()), min(y for _, y in place.values())
    canvas = Canvas(figsize=(2.0 * columns, 0.46 * (1.8 - lowest)), layout="constrained")
    axes = canvas.subplots()
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(lowest - 0.6, 0.2))
    axes.axis("off")
    for c in claims:
        x, y = place[c.id]
        for edge in c.depends_on:
            if edge.id in place:
                fixed = edge.form == "corrected"
                a, b = place[edge.id]
                start, stop = a + WIDTH / 2, x - WIDTH / 2
                bend = min(0.3, (stop - start) / 2)
                arrow = FancyArrowPatch(
                    path=Path([(start, b), (start + bend, b), (stop - bend, y), (stop, y)], [Path.MOVETO, *[Path.CURVE4] * 3]),
                    arrowstyle="-|>",
                    mutation_scale=7,
                    color=RED if fixed else GRAY,
                    linestyle="--" if fixed else "-",
                    linewidth=1.1 if fixed else 0.7,
                    alpha=0.9 if fixed else 0.5,
                    zorder=1,
                )
                axes.add_patch(arrow)
        warned = c.target is not None and c.status != "refuted"
        axes.add_patch(
            FancyBboxPatch(
                (x - WIDTH / 2, y - HEIGHT / 2),
                WIDTH,
                HEIGHT,
                boxstyle="round,pad=0,rounding_size=0.06",
                facecolor=FACES[shape(c)][0],
                edgecolor=ORANGE if warned else GRAY,
                linewidth=1.8 if warned else 0.7,
                zorder=2,
            )
        )
        axes.text(x, y - 0.02, label(c), ha="center", va="center", fontsize=7.5, linespacing=1.05, zorder=3)
    used = {shape(c) for c in claims}
    handles: list[Patch | Line2D] = [
        Patch(facecolor=face, edgecolor=GRAY, label=text) for key, (face, text) in FACES.items() if key in used
    ]
    handles.append(
        Patch(facecolor="white", edgecolor=ORANGE, linewidth=1.6, label="stands; a construction or a proof step fails")
    )
    handles.append(Line2D([], [], color=GRAY, label="rests on, as printed"))
    handles.append(Line2D([], [], color=RED, linestyle="--", label="rests on the corrected form"))
    canvas.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return Figure(
        id=id,
        title="What rests on what: the statements and their proofs",
        canvas=canvas,
        notes=(
            "An arrow goes from a statement to one whose proof in the ledger uses it. No proof rests on an open statement or on a "
            "refuted one "
            "as printed (theory/claims/graph.py checks it); the printed table 1 does, and fails with it. Below: statements that "
            "no other proof "
            "uses and that use none.",
        ),
        provenance=provenance(),
    )
