"""Owns imagenet's jobs: EfficientNet-Lite 0, 1 and 2, whole and block by block, in evaluation mode; which are run at each scale.

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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flatproof.verify.deep.efficientnet_scales import SCALES as NETWORKS
from flatproof.verify.experiments.devices import device_of
from flatproof.verify.jobs.job import Computation
from flatproof.verify.realdata import ABSENT, NotAvailable, available, edition_by, there, weights_file
from flatproof.verify.realdata import load as load_images
from flatproof.verify.realdata.files import roots

if TYPE_CHECKING:
    import torch

    from flatproof.verify.deep.efficientnet import EfficientNetLite

ID = "imagenet"
TABLE, BLOCKS, FIGURE = f"{ID}/table-1", f"{ID}/table-2", f"{ID}/figure-1"
BATCH = 5  # images at a time: on a CPU half as long as all twenty, whose activations leave its caches
MEMORY = 6 << 30  # bytes of what the products keep
PROBES = {"smoke": 4, "quick": 12, "paper": 24}
IMAGES = {"smoke": 0, "quick": 100, "paper": 2000}  # of the validation set
NOISE = (4, 32)  # scale smoke: so many images of so many pixels
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

    Args:
        network: its name.
        data: "sample", "validation", or "noise" (scale smoke: untrained weights, noise for images).
        images: how many.
        files: what tells them from other images: a checksum of the validation files' names, sizes and labels.
        device: "cpu" or "cuda".
    """

    network: str
    data: str
    images: int
    files: str = ""
    device: str = "cpu"

    def model(self) -> "EfficientNetLite":
        """The network in evaluation mode, on its device.

        Raises:
            NotAvailable: where its weights are not on this machine.
        """
        import torch

        from flatproof.verify.deep.efficientnet import EfficientNetLite, pretrained

        if self.data == "noise":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                return EfficientNetLite(self.network).eval().to(self.device)
        return pretrained(self.network, weights_root(self.network)).to(self.device)

    def batches(self) -> "list[tuple[torch.Tensor, torch.Tensor]]":
        """Images prepared for the network and their classes, `BATCH` at a time, on its device.

        Raises:
            NotAvailable: where the images are not on this machine.
        """
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
        return [(prepare(x[part]).to(self.device), y[part].to(self.device)) for part in slices]

    @property
    def work(self) -> float:
        """Rough seconds of one gradient on one core."""
        relative = {"efficientnet-lite0": 1.0, "efficientnet-lite1": 1.5, "efficientnet-lite2": 2.2}[self.network]
        return relative * self.images * (0.002 if self.data == "noise" else 0.1)


def data_root(name: str) -> Path:
    """The folder that holds the test images of a data set: the chosen one or else the default.

    Raises:
        NotAvailable: if neither does.
    """
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


class OnSubject(Computation):
    """A job on a network and images."""

    VERSION = 1  # raised when a change in verify.curvature or verify.deep.efficientnet alters estimates
    subject: Subject
    gradients: float  # rough cost

    @property
    def row(self) -> str:
        """The name of its row in the progress display."""
        return f"{self.subject.network} {self.JOB.removeprefix(f'{ID} ')}"

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


@dataclass(frozen=True)
class Score(OnSubject):
    """Loss, and how many images the network names right."""

    JOB = f"{ID} score"

    subject: Subject
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
class Sharpness(OnSubject):
    """One measure of the whole network, or lambda_max of one block."""

    JOB = f"{ID} sharpness"

    subject: Subject
    measure: str
    block: str | None = None

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
        measure = measures()[self.measure]
        values_alone = {"above": False} if "above" in measure.accepts else {}
        estimate = measure(operator, **self.own(), **values_alone)
        return estimate.as_dict() | {"parameters": operator.problem.size}

    def summary(self, values: dict[str, Any]) -> str:
        """The value."""
        return f"{self.measure}{f' of {self.block}' if self.block else ''} {values['value']:.4g}"


@dataclass(frozen=True)
class Traces(OnSubject):
    """z_b'(H z)_b of every block b for random signs z."""

    JOB = f"{ID} traces"

    subject: Subject
    probes: int
    seed: int

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
    """Where each block's parameters lie in the flat vector.

    Args:
        parameters: names in their order.
        sizes: entries of each.
        names: of the blocks.

    Returns:
        [start, end) of each block.

    Raises:
        ValueError: unless each block is contiguous and none is left over.
    """
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


@cache
def listed(root: Path, images: int) -> tuple[int, str]:
    """How many validation images are taken, and the checksum of their names, sizes and labels."""
    from flatproof.verify.realdata.imagenet import listing

    files = listing(root, "test")[0][:images]
    text = "\n".join(f"{path.relative_to(root).as_posix()} {path.stat().st_size} {label}" for path, label in files)
    return len(files), hashlib.sha256(text.encode()).hexdigest()


def subjects(scale: str, device: str | None = None) -> dict[str, list[Subject]]:
    """The networks on each data set that is there; no entry for one that is not.

    Args:
        scale: smoke, quick or paper.
        device: at scale paper, by default a GPU if this machine has one; the other scales run on the CPU.
    """
    device = device_of(scale, device)
    if scale == "smoke":
        return {"noise": [Subject("efficientnet-lite0", "noise", NOISE[0])]}
    found: dict[str, list[Subject]] = {}
    if not there("EfficientNet-Lite's weights", lambda: _found(lambda: [weights_root(network) for network in NETWORKS])):
        return found
    if there("imagenet-sample", lambda: _found(lambda: data_root("imagenet-sample"))):
        found["sample"] = [Subject(network, "sample", 20, device=device) for network in NETWORKS]
    edition = edition_by(f"imagenet, {IMAGES[scale]} images", lambda: _validation(IMAGES[scale]))
    if edition != ABSENT:
        images, files = edition.split()
        found["validation"] = [Subject(network, "validation", int(images), files, device) for network in NETWORKS]
    return found


def _found(look: Callable[[], object]) -> bool:
    try:
        look()
    except NotAvailable:
        return False
    return True


def _validation(images: int) -> str:
    """What `listed` finds, as an edition."""
    try:
        count, files = listed(data_root("imagenet"), images)
    except NotAvailable:
        return ABSENT
    return f"{count} {files}"


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


def jobs_of(scale: str, seeds: int, device: str | None = None) -> list[OnSubject]:
    """Everything that the artifacts show.

    Args:
        scale: smoke, quick or paper.
        seeds: sets of probes for the traces.
        device: as for `subjects`.
    """
    out: list[OnSubject] = []
    for of_data in subjects(scale, device).values():
        for subject in of_data:
            out.append(Score(subject))
            out += [Sharpness(subject, name) for name in measured(subject, scale)]
            out += [Traces(subject, PROBES[scale], seed) for seed in range(1, seeds + 1)]
            out += [Sharpness(subject, "lambda-max", name) for name in separate(subject, scale)]
    return out
