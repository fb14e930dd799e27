"""Owns imagenet's tables and figure, made from stored jobs alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

from flatproof.verify.deep.efficientnet_scales import SCALES as NETWORKS
from flatproof.verify.experiments.devices import devices_of
from flatproof.verify.experiments.imagenet.jobs import (
    BATCH,
    BLOCK_TOLERANCE,
    BLOCKS,
    EVERYWHERE,
    FIGURE,
    IMAGES,
    TABLE,
    OnSubject,
    Score,
    Sharpness,
    Subject,
    Traces,
    jobs_of,
)
from flatproof.verify.experiments.vocabulary import DASH, Shelf, bracketed, fullest, provenance_of
from flatproof.verify.jobs.job import StoredValues
from flatproof.verify.jobs.store import Store
from flatproof.verify.realdata import UNAVAILABLE
from flatproof.verify.report.artifacts import Artifact, Figure, Table
from flatproof.verify.report.style import COLORS, GRAY, figure_style, label_ticks
from flatproof.verify.utils.statistics import Interval, binomial_interval, mean_interval

PUBLISHED = {"efficientnet-lite0": 0.751, "efficientnet-lite1": 0.767, "efficientnet-lite2": 0.776}


@dataclass(frozen=True)
class Measured:
    """What is stored of one network on one data set.

    Args:
        subject: network and images.
        score: loss and hits.
        measures: estimates of the whole network by name.
        by_block: estimates of lambda_max by block.
        blocks: names in their order.
        sizes: parameters of each block.
        forms: z_b'(H z)_b, (probes, blocks).
    """

    subject: Subject
    score: dict[str, Any]
    measures: dict[str, dict[str, Any]]
    by_block: dict[str, dict[str, Any]]
    blocks: list[str]
    sizes: list[int]
    forms: np.ndarray[Any, np.dtype[np.float64]]

    def traces(self) -> dict[str, Interval]:
        """tr H_bb of each block, with Student's t interval over probes."""
        return {name: mean_interval(self.forms[:, i].tolist()) for i, name in enumerate(self.blocks)}

    def trace(self) -> Interval:
        """tr H."""
        return mean_interval(self.forms.sum(axis=1).tolist())


def gather(done: Sequence[tuple[OnSubject, StoredValues]]) -> list[Measured]:
    """The stored jobs by network and data; subjects without a score or probes are left out."""
    out = []
    for subject in dict.fromkeys(job.subject for job, _ in done):
        mine = [(job, stored.result) for job, stored in done if job.subject == subject]
        score = next((v for job, v in mine if isinstance(job, Score)), None)
        probes = [v for job, v in mine if isinstance(job, Traces)]
        if score is None or not probes:
            continue
        whole = {job.measure: v for job, v in mine if isinstance(job, Sharpness) and job.block is None}
        parts = {job.block: v for job, v in mine if isinstance(job, Sharpness) and job.block is not None}
        forms = np.array([row for v in probes for row in v["forms"]])
        out.append(Measured(subject, score, whole, parts, probes[0]["blocks"], probes[0]["sizes"], forms))
    return out


LABEL = {
    "noise": "noise",
    "sample": "20 sample images",
    "validation": "ImageNet, validation images",
}
EVAL = (
    "Cross-entropy, evaluation mode (running statistics, dropout off), float32. EfficientNet-Lite 0, 1 and 2 with their published "
    "weights. Brackets: λ_max and its adaptive form, from below certain, from above at 99.5 % over the random start; traces and "
    "averages, Student's t at 95 % over probes or draws; accuracies, exact binomial at 95 %. [x, ∞): a maximum of which the ascent "
    f"found x (10 steps; averages over 20 draws). sam, m-sharpness and worst-*: mean over batches of {BATCH}."
)


def _scale_note(scale: str) -> str:
    return {
        "smoke": "Scale smoke: an untrained network on noise, to exercise the code. Its numbers mean nothing.",
        "quick": f"Scale quick: the measures beyond {', '.join(EVERYWHERE)} and the trace, and λ_max block by block, on Lite 0 alone; of "
        f"the validation set, where it is there, the first {IMAGES['quick']} images (balanced over the classes).",
        "paper": f"Scale paper: every measure on every network; of the validation set the first {IMAGES['paper']} images (balanced).",
    }[scale]


def _row(data: str, quantity: str, cells: dict[str, str]) -> dict[str, str]:
    return {"data": data, "quantity": quantity} | {short(name): cells.get(name, DASH) for name in NETWORKS}


def short(network: str) -> str:
    """Lite 0."""
    return network.replace("efficientnet-lite", "Lite ")


def in_words(value: float, low: float | None, high: float | None) -> str:
    """A value with its interval; [x, ∞) where it is not bounded from above."""
    bounded = low is not None and high is not None
    return bracketed((value, value if low is None else low, high if bounded and high is not None else np.inf), ".4g")


def _table(networks: Sequence[Measured], scale: str, provenance: dict[str, str]) -> Table:
    from flatproof.verify.curvature import measures

    shown: list[dict[str, str]] = []
    raw: list[dict[str, Any]] = []
    for data in ["noise"] if scale == "smoke" else ["sample", "validation"]:
        mine = {f.subject.network: f for f in networks if f.subject.data == data}
        if not mine:
            shown.append(_row(LABEL[data], "all", dict.fromkeys(NETWORKS, UNAVAILABLE)))
            continue
        images = next(iter(mine.values())).subject.images
        label = LABEL[data] if data == "sample" else f"{LABEL[data]}, first {images}"
        shown.append(_row(label, "parameters", {n: f"{f.score['parameters']:,}" for n, f in mine.items()}))
        shown.append(_row(label, "loss", {n: f"{f.score['loss']:.4f}" for n, f in mine.items()}))
        for name, key in (("top-1 accuracy", "top1"), ("top-5 accuracy", "top5")):
            shares = {n: binomial_interval(f.score[key], images) for n, f in mine.items()}
            shown.append(_row(label, name, {n: f"{s.mean:.1%} [{s.low:.1%}, {s.high:.1%}]" for n, s in shares.items()}))
            raw += [_raw(label, n, name, *shares[n]) for n in mine]
        raw += [_raw(label, n, "loss", f.score["loss"]) for n, f in mine.items()]
        shown.append(_row(label, "trace", {n: in_words(*f.trace()) for n, f in mine.items()}))
        raw += [_raw(label, n, "trace", *f.trace(), products=len(f.forms)) for n, f in mine.items()]
        for name in (m for m in measures() if any(m in f.measures for f in mine.values())):
            values = {n: f.measures[name] for n, f in mine.items() if name in f.measures}
            shown.append(_row(label, name, {n: in_words(v["value"], v["low"], v["high"]) for n, v in values.items()}))
            raw += [
                _raw(
                    label,
                    n,
                    name,
                    v["value"],
                    v["low"],
                    v["high"],
                    **{k: v[k] for k in ("products", "seconds", "method", "rests_on")},
                )
                for n, v in values.items()
            ]
    published = {name: f"{share:.1%} (published)" for name, share in PUBLISHED.items()}
    shown.append(_row("ImageNet, all 50,000 validation images", "top-1 accuracy", published))
    notes = (
        EVAL,
        "The package that carries the sample images does not say whether they are validation images. The published accuracies are "
        "those of 50,000 images; twenty say nothing about the difference.",
        "Definitions: curvature/definitions; keskar-subspace is left out: its hundred directions and their pseudo-inverse take 5 GB.",
        _scale_note(scale),
    )
    columns = list(_row("", "", {}))
    title = "Sharpness of pretrained ImageNet networks"
    frame = pd.DataFrame(shown, columns=columns)
    rows = pd.DataFrame(raw, columns=list(_raw("", "", "", 0.0)))
    return Table(TABLE, title, frame, rows, notes, provenance, tuple(columns))


def _raw(
    data: str,
    network: str,
    quantity: str,
    value: float,
    low: float | None = None,
    high: float | None = None,
    products: int | None = None,
    seconds: float | None = None,
    method: str = "",
    rests_on: str = "",
) -> dict[str, Any]:
    return {
        "data": data,
        "network": network,
        "quantity": quantity,
        "value": value,
        "low": low,
        "high": high,
        "products": products,
        "seconds": seconds,
        "method": method,
        "rests_on": rests_on,
    }


def _block_table(networks: Sequence[Measured], scale: str, provenance: dict[str, str]) -> Table:
    rows: list[dict[str, Any]] = []
    for f in networks:
        for (name, trace), size in zip(f.traces().items(), f.sizes, strict=True):
            top = f.by_block.get(name, {})
            rows.append(
                {
                    "data": LABEL[f.subject.data],
                    "network": short(f.subject.network),
                    "block": name,
                    "parameters": size,
                    "trace": trace.mean,
                    "trace_low": trace.low,
                    "trace_high": trace.high,
                    "lambda_max": top.get("value"),
                    "lambda_low": top.get("low"),
                    "lambda_high": top.get("high"),
                    "products": top.get("products"),
                }
            )
    raw = pd.DataFrame(rows)
    shown = pd.DataFrame(
        {
            "data": raw.data,
            "network": raw.network,
            "block": raw.block,
            "parameters": raw.parameters.map("{:,}".format),
            "trace": [in_words(*v) for v in zip(raw.trace, raw.trace_low, raw.trace_high, strict=True)],
            "λ_max": [
                in_words(*v) if v[0] is not None and np.isfinite(v[0]) else DASH
                for v in zip(raw.lambda_max, raw.lambda_low, raw.lambda_high, strict=True)
            ],
        }
    )
    notes = (
        "The diagonal block of the Hessian that belongs to each block's parameters alone: its trace (the blocks' traces add up to the "
        f"whole) and its largest eigenvalue (within {BLOCK_TOLERANCE:.0%}; at most that of the whole).",
        EVAL,
        _scale_note(scale),
    )
    return Table(BLOCKS, "Curvature block by block", shown, raw, notes, provenance, ("network", "block", "trace", "λ_max"))


def _figure(networks: Sequence[Measured], scale: str, provenance: dict[str, str]) -> Figure:
    with figure_style():
        canvas = Canvas(figsize=(10, 4.6), layout="constrained")
        _draw(canvas, [f for f in networks if f.subject.data == networks[0].subject.data])
    notes = (
        "Blocks in the network's order; bars: the intervals of table-2. Above: largest eigenvalue of the Hessian of each block's own "
        "parameters. Below: its trace; where the interval reaches 0 the sign is not settled.",
        EVAL,
        _scale_note(scale),
    )
    return Figure(FIGURE, f"Curvature block by block, {LABEL[networks[0].subject.data]}", canvas, notes, provenance)


def _draw(canvas: Canvas, networks: Sequence[Measured]) -> None:
    upper, lower = canvas.subplots(2, 1, sharex=True)
    longest = max(networks, key=lambda f: len(f.blocks))
    spots = {name: i for i, name in enumerate(longest.blocks)}
    bar: Callable[[float, float, float], list[list[float]]] = lambda v, low, high: [[max(v - low, 0.0)], [max(high - v, 0.0)]]  # noqa: E731
    for i, (f, color) in enumerate(zip(networks, COLORS, strict=False)):
        shift = (i - (len(networks) - 1) / 2) * 0.22
        style = {"color": color, "fmt": "o", "markersize": 4, "capsize": 2, "linewidth": 1}
        for name, top in f.by_block.items():
            high = top["value"] if top["high"] is None else top["high"]
            spread = bar(top["value"], top["low"], high)
            first = short(f.subject.network) if name == next(iter(f.by_block)) else None
            upper.errorbar([spots[name] + shift], [top["value"]], spread, label=first, **style)
        for k, (name, trace) in enumerate(f.traces().items()):
            label = None if k else short(f.subject.network)
            lower.errorbar([spots[name] + shift], [trace.mean], bar(*trace), label=label, **style)
    upper.set(yscale="log", ylabel=r"$\lambda_{\max}$ of the block")
    lower.set(ylabel="trace of the block")
    lower.set_yscale("symlog", linthresh=10)
    lower.axhline(0, color=GRAY, linewidth=0.8)
    lower.set_xticks(list(spots.values()), [name.replace("blocks.", "") for name in spots], fontsize=8)
    for label in lower.get_xticklabels()[1:]:  # those behind the numbered blocks are words
        if not label.get_text().isdigit():
            label.set(rotation=-30, ha="left")
    lower.set_xlabel("block")
    for axes in (upper, lower):
        label_ticks(axes.yaxis)
        axes.grid(alpha=0.2)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)
    without = [short(f.subject.network) for f in networks if not f.by_block]
    if without:
        upper.set_title(f"Not measured block by block: {', '.join(without)}", fontsize=8, color=GRAY, loc="right")


def artifacts(only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
    """The artifacts `only`, from stored jobs alone, at 'paper' of the device that most are stored of; tables without data say so."""
    shelf = Shelf(store)
    done = fullest([shelf.pairs(jobs_of(scale, seeds, device)) for device in devices_of(scale)])
    networks = gather(done)
    provenance = provenance_of([stored for _, stored in done], scale)
    out: list[Artifact] = [_table(networks, scale, provenance)] if TABLE in only else []
    if networks:
        out += [_block_table(networks, scale, provenance)] if BLOCKS in only else []
        out += [_figure(networks, scale, provenance)] if FIGURE in only else []
    return out
