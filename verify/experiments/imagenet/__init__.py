"""Owns the curvature of pretrained ImageNet networks: EfficientNet-Lite 0, 1 and 2, whole and block by block, in evaluation mode.

Measured on the twenty sample images that `flatproof data fetch imagenet-sample` brings, and on the validation images of an ImageNet
folder where there is one (`--data-root FOLDER`, or $FLATPROOF_DATA): on the first `IMAGES[scale]` of `realdata.imagenet.listing`,
which are balanced over the classes. The loss is cross-entropy; L, its mean over these images, has no minimum at the published
weights (other images, weight decay, label smoothing), so H has negative eigenvalues too.

Blocks: H_bb is the diagonal block of H that belongs to the parameters of block b alone. With random signs z,

    E z_b'(H z)_b = tr H_bb   and   sum_b z_b'(H z)_b = z'H z,

so the same products give the trace of the whole and of every block. lambda_max(H_bb) is found by Lanczos on block b's parameters
alone; it is at most lambda_max(H).
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from flatproof.theory.claims import Claim
from flatproof.verify.deep.efficientnet_scales import SCALES as NETWORKS
from flatproof.verify.jobs.job import Computation, Job, StoredValues
from flatproof.verify.jobs.store import Store
from flatproof.verify.realdata import UNAVAILABLE, NotAvailable, available, weights_file
from flatproof.verify.realdata import load as load_images
from flatproof.verify.realdata.files import roots
from flatproof.verify.report.artifacts import Artifact, Figure, Table, merged
from flatproof.verify.utils.devices import device_of
from flatproof.verify.utils.statistics import Interval, mean_interval

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure as Canvas

    from flatproof.verify.curvature import Estimate
    from flatproof.verify.deep.efficientnet import EfficientNetLite

ID = "imagenet"
TABLE, BLOCKS, FIGURE = f"{ID}/table-1", f"{ID}/table-2", f"{ID}/figure-1"
ARTIFACTS = (TABLE, BLOCKS, FIGURE)
DEFAULT_SEEDS = {"smoke": 1, "quick": 1, "paper": 4}  # sets of PROBES probes for the traces; all else uses one seed
VERSION = 1  # raised when a change in verify.curvature or verify.deep.efficientnet alters estimates
BATCH = 5  # images at a time: on a CPU half as long as all twenty, whose activations leave its caches
MEMORY = 6 << 30  # bytes of what the products keep
PROBES = {"smoke": 4, "quick": 12, "paper": 24}
IMAGES = {"smoke": 0, "quick": 100, "paper": 2000}  # of the validation set
NOISE = (4, 32)  # scale smoke: so many images of so many pixels
PUBLISHED = {"efficientnet-lite0": 0.751, "efficientnet-lite1": 0.767, "efficientnet-lite2": 0.776}
EVERYWHERE = ("lambda-max", "sam", "fisher-rao")
FIRST_ALONE = (
    "adaptive-lambda-max",
    "m-sharpness",
    "keskar",
    "average-l2",
    "average-linf",
    "adaptive-average-l2",
    "adaptive-average-linf",
    "worst-l2",
    "worst-linf",
    "adaptive-worst-l2",
    "adaptive-worst-linf",
    "fisher-rao-model",
)  # at scale quick, on the smallest network alone
SETTINGS: dict[str, dict[str, Any]] = {  # shorter than the measures' defaults where those take minutes
    **{name: {"tolerance": 0.05} for name in ("lambda-max", "adaptive-lambda-max")},
    **{name: {"draws": 20} for name in FIRST_ALONE if "average" in name},
    **{name: {"steps": 10} for name in FIRST_ALONE if "worst" in name or name == "m-sharpness"},
}
BLOCK_TOLERANCE = 0.05


@dataclass(frozen=True)
class Subject:
    """A network on images.

    data: "sample", "validation", or "noise" (scale smoke: untrained weights, noise for images). images: how many. files: what tells
    them from other images: a checksum of the validation files' names, sizes and labels. device: "cpu" or "cuda".
    """

    network: str
    data: str
    images: int
    files: str = ""
    device: str = "cpu"

    def model(self) -> "EfficientNetLite":
        """The network in evaluation mode, on its device. Errors: those of `pretrained`."""
        import torch

        from flatproof.verify.deep.efficientnet import EfficientNetLite, pretrained

        if self.data == "noise":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                return EfficientNetLite(self.network).eval().to(self.device)
        return pretrained(self.network, weights_root(self.network)).to(self.device)

    def batches(self) -> "list[tuple[torch.Tensor, torch.Tensor]]":
        """Images prepared for the network and their classes, `BATCH` at a time, on its device. Errors: those of `realdata.load`."""
        import torch

        from flatproof.verify.deep.efficientnet import prepare

        side = NETWORKS[self.network].size
        if self.data == "noise":
            rng = np.random.default_rng(0)
            x = rng.integers(0, 256, (self.images, 3, NOISE[1], NOISE[1]), dtype=np.uint8)
            y = torch.arange(self.images)
        else:
            name = {"sample": "imagenet-sample", "validation": "imagenet"}[self.data]
            images = load_images(name, data_root(name), "test", self.images, size=side)
            x, y = images.x, torch.from_numpy(images.y)
        slices = [slice(i, i + BATCH) for i in range(0, len(x), BATCH)]
        return [(prepare(x[some]).to(self.device), y[some].to(self.device)) for some in slices]

    @property
    def work(self) -> float:
        """Rough seconds of one gradient on one core."""
        relative = {"efficientnet-lite0": 1.0, "efficientnet-lite1": 1.5, "efficientnet-lite2": 2.2}[self.network]
        return relative * self.images * (0.002 if self.data == "noise" else 0.1)


def data_root(name: str) -> Path:
    """The folder that holds the test images of a data set: the chosen one or else the default. NotAvailable if neither does."""
    for root in roots():
        if available(name, root, "test"):
            return root
    raise NotAvailable(f"{name}: looked in {' and '.join(map(str, roots()))}")


def weights_root(network: str) -> Path:
    """The folder that holds a network's weights, verified, likewise."""
    first: NotAvailable | None = None
    for root in roots():
        try:
            weights_file(network, root)
        except NotAvailable as error:
            first = first or error
        else:
            return root
    raise first or NotAvailable(network)


class _OnSubject(Computation):
    """A job on a network and images."""

    subject: Subject
    name: str  # of the job, in its settings
    gradients: float  # rough cost

    @property
    def cost(self) -> float:
        """Passes over the images."""
        return self.gradients * self.subject.work

    def carry_out(self) -> dict[str, Any]:
        """What `values` finds, in float32 throughout: a GPU would multiply in convolutions with ten bits (TF32)."""
        import torch

        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return self.values()

    def values(self) -> dict[str, Any]:
        """What is stored."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """Everything that determines the values."""
        return json_like({"job": f"imagenet {self.name}", "version": VERSION} | asdict(self))  # type: ignore[call-overload]


def json_like(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as they read back from JSON, so that they compare equal."""
    return dict(json.loads(json.dumps(settings)))


@dataclass(frozen=True)
class Score(_OnSubject):
    """Loss, and how many images the network names right."""

    subject: Subject
    name = "score"
    gradients = 0.3

    def values(self) -> dict[str, Any]:
        """parameters; loss, the mean; top1 and top5, numbers of images whose class is the first, or among the first five."""
        import torch

        model = self.subject.model()
        loss = top1 = top5 = 0.0
        with torch.no_grad():
            for x, y in self.subject.batches():
                logits = model(x)
                loss += float(torch.nn.functional.cross_entropy(logits, y, reduction="sum"))
                five = logits.topk(5, dim=1).indices == y[:, None]
                top1, top5 = top1 + int(five[:, 0].sum()), top5 + int(five.any(dim=1).sum())
        images = self.subject.images
        return {"parameters": count(model), "loss": loss / images, "top1": int(top1), "top5": int(top5), "images": images}

    def summary(self, values: dict[str, Any]) -> str:
        """The loss and the hits."""
        return f"loss {values['loss']:.3f}, {values['top1']} of {values['images']} right"


@dataclass(frozen=True)
class Sharpness(_OnSubject):
    """One measure of the whole network, or lambda_max of one block."""

    subject: Subject
    measure: str
    block: str | None = None
    name = "sharpness"

    @property
    def gradients(self) -> float:  # type: ignore[override]
        """By what the measure does."""
        if self.block is not None:
            return 12.0
        return {"lambda-max": 60, "adaptive-lambda-max": 60, "sam": 2, "fisher-rao": 4, "fisher-rao-model": 3}.get(
            self.measure, 12.0
        )

    def own(self) -> dict[str, Any]:
        """The measure's settings."""
        if self.block is not None:
            return {"tolerance": BLOCK_TOLERANCE}
        few = {"max_products": 3} if self.subject.data == "noise" and "lambda" in self.measure else {}
        return SETTINGS.get(self.measure, {}) | few

    def settings(self) -> dict[str, Any]:
        """Everything that determines the estimate."""
        return super().settings() | {"own": self.own()}

    def values(self) -> dict[str, Any]:
        """The estimate's fields."""
        from torch.nn.functional import cross_entropy

        from flatproof.verify.curvature import HessianOperator, measures

        operator = HessianOperator(
            self.subject.model(), cross_entropy, self.subject.batches(), parameters=self.block, memory=MEMORY
        )
        found: Estimate = measures()[self.measure](operator, **self.own())
        return found.as_dict() | {"parameters": operator.problem.size}

    def summary(self, values: dict[str, Any]) -> str:
        """The value."""
        return f"{self.measure}{f' of {self.block}' if self.block else ''} {values['value']:.4g}"


@dataclass(frozen=True)
class Traces(_OnSubject):
    """z_b'(H z)_b of every block b for random signs z."""

    subject: Subject
    probes: int
    seed: int
    name = "traces"

    @property
    def gradients(self) -> float:  # type: ignore[override]
        """Two and a half a product."""
        return 2.5 * self.probes

    def values(self) -> dict[str, Any]:
        """blocks: names and sizes; forms: z_b'(H z)_b, a row a probe."""
        import torch
        from torch.nn.functional import cross_entropy

        from flatproof.verify.curvature import HessianOperator
        from flatproof.verify.curvature.estimates import generator_of, multiply, rademacher

        model = self.subject.model()
        operator = HessianOperator(model, cross_entropy, self.subject.batches(), memory=MEMORY)
        names = blocks(model)
        where = places(operator.problem.names, operator.problem.sizes, names)
        generator, forms = generator_of(self.seed), []
        for done in range(0, self.probes, 4):
            z = rademacher(operator, min(4, self.probes - done), generator)
            each = z * multiply(operator, z)
            forms.append(torch.stack([each[a:b].sum(0, dtype=torch.float64) for a, b in where], dim=1))
        sizes = [b - a for a, b in where]
        return {"blocks": names, "sizes": sizes, "forms": torch.cat(forms).tolist()}

    def summary(self, values: dict[str, Any]) -> str:
        """The whole trace."""
        return f"trace {np.sum(values['forms'], axis=1).mean():.4g} from {self.probes} probes"


def blocks(model: "EfficientNetLite") -> list[str]:
    """The network's parts in the order of its parameters: stem, each block, head, classifier."""
    return ["stem", *(f"blocks.{i}" for i in range(len(model.blocks))), "head", "classifier"]


def places(parameters: Sequence[str], sizes: Sequence[int], names: Sequence[str]) -> list[tuple[int, int]]:
    """Where each block's parameters lie in the flat vector: [start, end). ValueError unless each is contiguous and none is left over."""
    ends = np.cumsum([0, *sizes])
    out = []
    for name in names:
        own = [i for i, p in enumerate(parameters) if p.startswith(f"{name}.")]
        if not own or own != list(range(own[0], own[-1] + 1)):
            raise ValueError(f"block {name} must have its parameters in a row, got places {own}")
        out.append((int(ends[own[0]]), int(ends[own[-1] + 1])))
    if sum(b - a for a, b in out) != ends[-1]:
        raise ValueError("blocks must hold every parameter once")
    return out


def count(model: "EfficientNetLite") -> int:
    """Parameters."""
    return sum(p.numel() for p in model.parameters())


# ------------------------------------------------------------------------------------------------------------------------- grid


@cache
def listed(root: Path, images: int) -> tuple[int, str]:
    """How many validation images are taken, and the checksum of their names, sizes and labels."""
    from flatproof.verify.realdata.imagenet import listing

    files = listing(root, "test")[0][:images]
    text = "\n".join(f"{path.relative_to(root).as_posix()} {path.stat().st_size} {label}" for path, label in files)
    return len(files), hashlib.sha256(text.encode()).hexdigest()


def subjects(scale: str, device: str | None = None) -> dict[str, list[Subject]]:
    """The networks on each data set that is there; no entry for one that is not.

    device: at scale paper, by default a GPU if this machine has one; the other scales run on the CPU.
    """
    device = device_of(scale, device)
    if scale == "smoke":
        return {"noise": [Subject("efficientnet-lite0", "noise", NOISE[0])]}
    found: dict[str, list[Subject]] = {}
    try:
        for network in NETWORKS:
            weights_root(network)
    except NotAvailable:
        return {}
    if _is_there("imagenet-sample"):
        found["sample"] = [Subject(network, "sample", 20, device=device) for network in NETWORKS]
    if _is_there("imagenet"):
        images, files = listed(data_root("imagenet"), IMAGES[scale])
        found["validation"] = [Subject(network, "validation", images, files, device) for network in NETWORKS]
    return found


def _is_there(name: str) -> bool:
    try:
        data_root(name)
    except NotAvailable:
        return False
    return True


def in_full(subject: Subject, scale: str) -> bool:
    """Whether every measure is taken, and lambda_max of every block: at scale paper, else of the first network on the sample."""
    return scale == "paper" or (subject.data == "sample" and subject.network == next(iter(NETWORKS)))


def measured(subject: Subject, scale: str) -> tuple[str, ...]:
    """The measures of the whole network."""
    if scale == "smoke":
        return ("lambda-max", "sam")
    return (*EVERYWHERE, *FIRST_ALONE) if in_full(subject, scale) else EVERYWHERE


def separate(subject: Subject, scale: str) -> list[str]:
    """The blocks whose lambda_max is taken."""
    from flatproof.verify.deep.efficientnet import EfficientNetLite

    names = blocks(EfficientNetLite(subject.network))
    return [names[0], names[-1]] if scale == "smoke" else names if in_full(subject, scale) else []


def jobs(scale: str, seeds: int, device: str | None = None) -> list[_OnSubject]:
    """Everything that the artifacts show; device: as for `subjects`."""
    out: list[_OnSubject] = []
    for some in subjects(scale, device).values():
        for subject in some:
            out.append(Score(subject))
            out += [Sharpness(subject, name) for name in measured(subject, scale)]
            out += [Traces(subject, PROBES[scale], seed) for seed in range(1, seeds + 1)]
            out += [Sharpness(subject, "lambda-max", name) for name in separate(subject, scale)]
    return out


def grid(only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Job[Any]]]:
    """All jobs for any of the artifacts, which share most; none where the data are not there."""
    return [(f"{job.subject.network} {job.name}", job) for job in jobs(scale, seeds)] if only else []


def claim_ids() -> list[str]:
    """No statement of a paper is judged here."""
    return []


def claims(ids: Sequence[str], store: Store | None) -> list[Claim]:
    """None."""
    return []


# ---------------------------------------------------------------------------------------------------------------------- results


@dataclass(frozen=True)
class Found:
    """What is stored of one network on one data set: measures by name, lambda_max by block, forms (probes, blocks)."""

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


def gather(done: Sequence[tuple[_OnSubject, StoredValues]]) -> list[Found]:
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
        out.append(Found(subject, score, whole, parts, probes[0]["blocks"], probes[0]["sizes"], forms))
    return out


def build(only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
    """The artifacts `only`, from stored jobs alone, at 'paper' of the device that most are stored of; tables without data say so."""
    devices = ("cuda", "cpu") if scale == "paper" else (None,)
    done = max(([(job, one) for job in jobs(scale, seeds, d) if (one := store.get(job)) is not None] for d in devices), key=len)
    found = gather(done)
    provenance = {"scale": scale, "jobs": str(len(done))} | merged([stored.provenance for _, stored in done], "jobs")
    out: list[Artifact] = [_table(found, scale, provenance)] if TABLE in only else []
    if found:
        out += [_block_table(found, scale, provenance)] if BLOCKS in only else []
        out += [_figure(found, scale, provenance)] if FIGURE in only else []
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


def counted(right: int, images: int) -> Interval:
    """A share with its exact (Clopper-Pearson) binomial interval at 95 %."""
    exact = stats.binomtest(right, images).proportion_ci(0.95, method="exact")
    return Interval(right / images, float(exact.low), float(exact.high))


def _row(data: str, quantity: str, cells: dict[str, str]) -> dict[str, str]:
    return {"data": data, "quantity": quantity} | {short(name): cells.get(name, "–") for name in NETWORKS}


def short(network: str) -> str:
    """Lite 0."""
    return network.replace("efficientnet-lite", "Lite ")


def said(value: float, low: float | None, high: float | None) -> str:
    """A value with its interval."""
    if low is None or high is None:
        return f"{value:.4g} in [{value if low is None else low:.4g}, ∞)"
    return f"{value:.4g} [{low:.4g}, {high:.4g}]"


def _table(found: Sequence[Found], scale: str, provenance: dict[str, str]) -> Table:
    from flatproof.verify.curvature import measures

    shown: list[dict[str, str]] = []
    raw: list[dict[str, Any]] = []
    for data in ["noise"] if scale == "smoke" else ["sample", "validation"]:
        mine = {f.subject.network: f for f in found if f.subject.data == data}
        if not mine:
            shown.append(_row(LABEL[data], "all", dict.fromkeys(NETWORKS, UNAVAILABLE)))
            continue
        images = next(iter(mine.values())).subject.images
        label = LABEL[data] if data == "sample" else f"{LABEL[data]}, first {images}"
        shown.append(_row(label, "parameters", {n: f"{f.score['parameters']:,}" for n, f in mine.items()}))
        shown.append(_row(label, "loss", {n: f"{f.score['loss']:.4f}" for n, f in mine.items()}))
        for name, key in (("top-1 accuracy", "top1"), ("top-5 accuracy", "top5")):
            shares = {n: counted(f.score[key], images) for n, f in mine.items()}
            shown.append(_row(label, name, {n: f"{s.mean:.1%} [{s.low:.1%}, {s.high:.1%}]" for n, s in shares.items()}))
            raw += [_raw(label, n, name, *shares[n]) for n in mine]
        raw += [_raw(label, n, "loss", f.score["loss"]) for n, f in mine.items()]
        shown.append(_row(label, "trace", {n: said(*f.trace()) for n, f in mine.items()}))
        raw += [_raw(label, n, "trace", *f.trace(), products=len(f.forms)) for n, f in mine.items()]
        for name in (m for m in measures() if any(m in f.measures for f in mine.values())):
            values = {n: f.measures[name] for n, f in mine.items() if name in f.measures}
            shown.append(_row(label, name, {n: said(v["value"], v["low"], v["high"]) for n, v in values.items()}))
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


def _block_table(found: Sequence[Found], scale: str, provenance: dict[str, str]) -> Table:
    rows: list[dict[str, Any]] = []
    for f in found:
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
            "trace": [said(*v) for v in zip(raw.trace, raw.trace_low, raw.trace_high, strict=True)],
            "λ_max": [
                said(*v) if v[0] is not None and np.isfinite(v[0]) else "–"
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


def _figure(found: Sequence[Found], scale: str, provenance: dict[str, str]) -> Figure:
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    with matplotlib.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        canvas = Canvas(figsize=(10, 4.6), layout="constrained")
        _draw(canvas, [f for f in found if f.subject.data == found[0].subject.data])
    notes = (
        "Blocks in the network's order; bars: the intervals of table-2. Above: largest eigenvalue of the Hessian of each block's own "
        "parameters. Below: its trace; where the interval reaches 0 the sign is not settled.",
        EVAL,
        _scale_note(scale),
    )
    return Figure(FIGURE, f"Curvature block by block, {LABEL[found[0].subject.data]}", canvas, notes, provenance)


def _draw(canvas: "Canvas", found: Sequence[Found]) -> None:
    from flatproof.verify.report.style import COLORS, GRAY

    upper, lower = canvas.subplots(2, 1, sharex=True)
    longest = max(found, key=lambda f: len(f.blocks))
    spots = {name: i for i, name in enumerate(longest.blocks)}
    bar: Callable[[float, float, float], list[list[float]]] = lambda v, low, high: [[max(v - low, 0.0)], [max(high - v, 0.0)]]  # noqa: E731
    for i, (f, color) in enumerate(zip(found, COLORS, strict=False)):
        shift = (i - (len(found) - 1) / 2) * 0.22
        style = {"color": color, "fmt": "o", "markersize": 4, "capsize": 2, "linewidth": 1}
        for name, top in f.by_block.items():
            high = top["value"] if top["high"] is None else top["high"]
            spread = bar(top["value"], top["low"], high)
            upper.errorbar([spots[name] + shift], [top["value"]], spread, **style)
        for k, (name, trace) in enumerate(f.traces().items()):
            label = None if k else short(f.subject.network)
            lower.errorbar([spots[name] + shift], [trace.mean], bar(*trace), label=label, **style)
    upper.set(yscale="symlog", ylabel="λ_max of the block")
    lower.set(ylabel="trace of the block", yscale="symlog")
    lower.axhline(0, color=GRAY, linewidth=0.8)
    lower.set_xticks(list(spots.values()), [name.replace("blocks.", "") for name in spots], rotation=60)
    lower.set_xlabel("block")
    canvas.legend(*lower.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    for axes in (upper, lower):
        axes.grid(alpha=0.2)
