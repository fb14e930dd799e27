"""Owns the measurement behind `flatproof bench large`: λ_max of transformers of 6, 25 and 100 million parameters within a stated peak.

Each size is measured in a fresh process with one thread: a causal transformer (pre-norm, GELU, tied embedding, as GPT-2) at its
initialization, four sequences of 64 tokens drawn by Zipf's law, cross-entropy of the next token. What a peak is:
`verify.curvature.allowance`.
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import torch
from rich.table import Table as Grid
from torch import Tensor, nn
from torch.nn import functional as F

from flatproof.verify.bench.fresh import answer_of, resident
from flatproof.verify.curvature import HessianOperator, lambda_max
from flatproof.verify.report.artifacts import Table, merged
from flatproof.verify.report.descriptors import stem
from flatproof.verify.utils.checks import check_one_of

SEQUENCES, TOKENS = 4, 64
TABLE, ROWS = "curvature/large", "rows.json"


@dataclass(frozen=True)
class Size:
    """A transformer, and the peak that it is given.

    Attributes:
        layers: blocks.
        width: of the stream; the feed-forward layers have four times that.
        heads: of the attention.
        words: tokens that there are.
        peak: gigabytes beyond model and data.
    """

    layers: int
    width: int
    heads: int
    words: int
    peak: float


SIZES = {"6m": Size(6, 256, 8, 5_000, 0.8), "25m": Size(8, 448, 8, 13_000, 1.8), "100m": Size(12, 768, 12, 20_000, 6.0)}


class Block(nn.Module):
    """Attention and a feed-forward layer, each added to the stream."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mixed, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, tokens, width) -> the same."""
        n, tokens, width = x.shape
        q, k, v = self.mixed(self.before(x)).view(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(a.transpose(1, 2).reshape(n, tokens, width))
        return x + self.down(F.gelu(self.up(self.between(x))))


class Transformer(nn.Module):
    """A causal language model; its head is the embedding's own weight."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.words = nn.Embedding(size.words, size.width)
        self.places = nn.Parameter(0.02 * torch.randn(TOKENS, size.width))
        self.blocks = nn.Sequential(*[Block(size.width, size.heads) for _ in range(size.layers)])
        self.last = nn.LayerNorm(size.width)
        nn.init.normal_(self.words.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, tokens) -> logits (n, words, tokens)."""
        x = self.last(self.blocks(self.words(tokens) + self.places))
        return (x @ self.words.weight.T).transpose(1, 2)


@dataclass(frozen=True)
class Row:
    """What one size took.

    Attributes:
        size: its name.
        parameters: P.
        tokens: that the loss is a mean over.
        peak: gigabytes allowed beyond model and data.
        rise: gigabytes that resident memory rose by at most.
        resident: gigabytes of resident memory at most, model, data and libraries with it.
        samples: sequences that were run at a time.
        rows: vectors of the search's basis that memory might hold; the others were in a file.
        products: of the search.
        checks: products spent on their rounding.
        gradients: passes over the data spent on verifying.
        seconds: wall time, everything counted.
        cpu_seconds: processor time, which other processes disturb less.
        value: λ_max, from below.
        low: lower end of its interval.
        high: upper end.
        confidence: of the interval.
        tolerance: relative, that was asked for.
        rests_on: as the estimate says.
        note: why there is no number.
    """

    size: str
    parameters: int = 0
    tokens: int = SEQUENCES * TOKENS
    peak: float = 0.0
    rise: float = 0.0
    resident: float = 0.0
    samples: int = 0
    rows: int = 0
    products: int = 0
    checks: float = 0.0
    gradients: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    value: float = 0.0
    low: float = 0.0
    high: float = 0.0
    confidence: float | None = None
    tolerance: float = 0.0
    rests_on: str = ""
    note: str = ""


def transformer(size: Size) -> tuple[Transformer, tuple[Tensor, Tensor]]:
    """The model and its one batch, the same at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Transformer(size).eval()
        often = 1 / torch.arange(1.0, size.words + 1)
        text = torch.multinomial(often, SEQUENCES * (TOKENS + 1), replacement=True).view(SEQUENCES, TOKENS + 1)
    return model, (text[:, :-1], text[:, 1:])


def measured(name: str, peak: float, tolerance: float) -> Row:
    """One size, in this process.

    Args:
        name: of the size.
        peak: gigabytes beyond model and data.
        tolerance: relative, of the interval.
    """
    torch.set_num_threads(1)
    model, data = transformer(SIZES[name])
    began, cpu = time.perf_counter(), time.process_time()
    with resident() as memory:
        operator = HessianOperator(model, F.cross_entropy, data, peak=int(peak * 1e9))
        found = lambda_max(operator, tolerance=tolerance)
    assert operator.allowance is not None
    return Row(
        name,
        parameters=operator.problem.size,
        peak=peak,
        rise=memory[0] * 2**20 / 1e9,
        resident=memory[1] * 2**20 / 1e9,
        samples=operator.allowance.most or SEQUENCES,
        rows=operator.allowance.rows,
        products=found.products,
        checks=found.checks,
        gradients=found.gradients,
        seconds=time.perf_counter() - began,
        cpu_seconds=time.process_time() - cpu,
        value=found.value,
        low=found.low,
        high=found.high,
        confidence=found.confidence,
        tolerance=tolerance,
        rests_on=found.rests_on,
    )


def large_row(name: str, peak: float | None = None, tolerance: float = 0.1) -> Row:
    """One size in a fresh process; a row with a note where that ends without an answer.

    Args:
        name: of the size.
        peak: gigabytes beyond model and data; None: the size's own.
        tolerance: relative, of the interval.
    """
    check_one_of("--size", name, tuple(SIZES))
    allowed = SIZES[name].peak if peak is None else peak
    answer, error = answer_of(__name__, name, str(allowed), str(tolerance))
    return Row(**answer) if isinstance(answer, dict) else Row(name, peak=allowed, tolerance=tolerance, note=error)


def cells(row: Row) -> dict[str, str]:
    """A row as text, by column."""
    if row.note:
        return {"size": row.size, "parameters": row.note}
    return {
        "size": row.size,
        "parameters": f"{row.parameters / 1e6:.1f} M",
        "tokens": f"{row.tokens}",
        "peak allowed, GB": f"{row.peak:.3g}",
        "taken": f"{row.rise:.2f}",
        "resident": f"{row.resident:.2f}",
        "sequences at a time": f"{row.samples}",
        "products": f"{row.products} + {row.checks:g}",
        "seconds": f"{row.seconds:.0f}",
        "CPU": f"{row.cpu_seconds:.0f}",
        "λ_max": f"{row.value:.4g}",
        "interval": f"[{row.low:.4g}, {row.high:.4g}]",
    }


def grid(rows: Sequence[Row]) -> Grid:
    """The rows for a terminal."""
    out = Grid(
        title=f"λ_max of transformers to {max(row.tolerance for row in rows):g} within a stated peak", title_justify="left"
    )
    columns = list(dict.fromkeys(column for row in rows for column in cells(row)))
    for column in columns:
        out.add_column(column, justify="left" if column == "size" else "right")
    for row in rows:
        out.add_row(*[cells(row).get(column, "") for column in columns])
    return out


def artifact(rows: Sequence[Row], about: dict[str, str], out: Path) -> Table:
    """The table of these rows, and of sizes that an earlier run left in `out`.

    Args:
        rows: what was measured now.
        about: its provenance.
        out: folder of the results.

    Raises:
        ValueError: a damaged file in `out`.
    """
    kept = {row.size: (row, about) for row in rows}
    path = stem(out, TABLE, {}) / ROWS
    if path.exists():
        try:
            for name, entry in json.loads(path.read_text(encoding="utf-8")).items():
                kept.setdefault(name, (Row(**entry["row"]), entry["provenance"]))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ValueError(f"{path} is not what 'flatproof bench large' writes; remove it to begin anew") from None
    ordered = {name: kept[name] for name in SIZES if name in kept}
    every = [row for row, _ in ordered.values()]
    notes = (
        f"A causal transformer (pre-norm, GELU, tied embedding) at its initialization, {SEQUENCES} sequences of {TOKENS} tokens drawn by "
        "Zipf's law, cross-entropy of the next token, float32; each size in a fresh process. Peak allowed: beyond model and data, what "
        "HessianOperator(..., peak=...) was given; taken: the rise of resident memory at its highest; resident: that highest, model and "
        "libraries counted. Products: of the search, and of the look at their rounding. Seconds and CPU seconds: verifying, rounding and "
        "search together.",
        *(f"{row.size}: {row.rests_on}." for row in every if not row.note),
    )
    raw = pd.DataFrame([asdict(row) for row in every])
    store = {name: {"provenance": origin, "row": asdict(row)} for name, (row, origin) in ordered.items()}
    return Table(
        TABLE,
        "λ_max of transformers within a stated peak of memory",
        pd.DataFrame([cells(row) for row in every]).fillna(""),
        raw,
        notes,
        merged([origin for _, origin in ordered.values()], "sizes"),
        ("size", "parameters", "peak allowed, GB", "taken", "products", "CPU", "λ_max", "interval"),
        {ROWS: (json.dumps(store, indent=1) + "\n").encode()},
    )


if __name__ == "__main__":
    print(json.dumps(asdict(measured(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))))
