"""Owns the experiment on language: BERT fine-tuned on pairs of sentences, seeds alone apart, and its sharpness and errors.

Trained with AdamW (weights decay, biases and normalizations do not), a linear warm-up and a linear way down to 0, gradients cut at norm 1.
A seed decides the new layers' start, dropout and the order of the pairs; the pairs are the same for all. Errors on test pairs, and on
lexical-overlap templates (`overlap`): there neutral and contradiction count as not entailed. Where the user has HANS, its lexical-overlap
cases are measured too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from flatproof.verify.experiments.andriushchenko2023.jobs import Cell, measured
from flatproof.verify.experiments.andriushchenko2023.overlap import NOT_ENTAILED, overlap_pairs, vocabulary
from flatproof.verify.experiments.devices import device_of
from flatproof.verify.jobs.job import Computation
from flatproof.verify.realdata.editions import ABSENT, edition_by
from flatproof.verify.realdata.encoders import MINILM, encoder_edition, encoder_folder
from flatproof.verify.realdata.files import data_root, digest
from flatproof.verify.realdata.pairs import CLASSES, Pair, load_pairs, pairs_available, pairs_edition
from flatproof.verify.realdata.samples import Damaged

if TYPE_CHECKING:
    from torch import Tensor, nn

TEMPLATES = "templates"  # as a set of pairs: our own, of another seed, for the scale that needs no data
FRESH = "fresh"  # as an encoder: a tiny one with random weights
WARM_UP, DECAY, LARGEST_NORM = 0.1, 0.01, 1.0  # share of the steps, of weights, of gradients
OVERLAP = "lexical_overlap"  # the cases of HANS that the paper takes
AT_ONCE = 250  # pairs answered at once


@dataclass(frozen=True)
class Finetuned(Computation):
    """A fine-tuning by its settings.

    Args:
        encoder: folder of a pretrained encoder below the root of all data, or FRESH.
        pairs: set of labelled pairs (`realdata.pairs`), or TEMPLATES.
        train, test: the first so many pairs; all for None.
        length: of a sequence, in word pieces.
        lr: the largest step size.
        epochs, batch_size: of the training.
        pooling: what the classifier stands on: the vector of the first piece, or the mean.
        templates: pairs a template.
        cells: definitions and radii of sharpness.
        measured: training pairs that it is measured on.
        batch: m, pairs a batch of m-sharpness.
        edition: checksum of the encoder's and the pairs' files.
        device: cpu or cuda.
        seed: of everything random.
    """

    JOB, VERSION = "andriushchenko2023 language", 1

    encoder: str
    pairs: str
    train: int | None
    test: int | None
    length: int
    lr: float
    epochs: int
    batch_size: int
    pooling: Literal["first", "mean"]
    templates: int
    cells: tuple[Cell, ...]
    measured: int
    batch: int
    edition: str
    device: str
    seed: int

    @property
    def cost(self) -> float:
        """Rough seconds: a pair takes 5 ms forward and back."""
        return 5e-3 * ((self.train or 400_000) * self.epochs + 20 * self.measured * len(self.cells))

    @property
    def row(self) -> str:
        """Its row in the progress display."""
        return "BERT"

    def carry_out(self) -> dict[str, Any]:
        """status; unless it is "diverged" errors, losses, `sharpness` (a value a cell) and `half_width`."""
        import torch
        from torch.nn.functional import cross_entropy

        from flatproof.verify.curvature import Problem
        from flatproof.verify.deep.loop import reproducible

        with reproducible(self.device):
            torch.manual_seed(self.seed)
            network, train, test = self._network(), self._encoded("train"), self._encoded("test")
            network.to(self.device)
            loss = finetune(network, train, self)
            if not loss < float("inf"):
                return {"status": "diverged"}
            errors = {"train": train, "test": test}
            values: dict[str, Any] = {"status": "finished", "parameters": sum(p.numel() for p in network.parameters())}
            for name, (x, y) in errors.items():
                logits = answers(network, x)
                values[f"{name}_loss"] = float(cross_entropy(logits, y.cpu()))
                values[f"{name}_error"] = float((logits.argmax(1) != y.cpu()).double().mean())
            values |= self._template_errors(network)
            if self.encoder != FRESH and pairs_available("hans", "test"):
                values["hans_error"] = self._hans_error(network)
            x, y = trimmed(train[0][: self.measured]), train[1][: self.measured]
            problem = Problem(network, cross_entropy, (x, y), mode="eval")
            sharp = [measured(problem, cell, self.batch) for cell in self.cells]
        return values | {"sharpness": [value for value, _ in sharp], "half_width": [half for _, half in sharp]}

    def _network(self) -> "nn.Module":
        from flatproof.verify.deep.language.bert import Classifier, Shape, fresh
        from flatproof.verify.deep.language.pretrained import pretrained_classifier

        if self.encoder == FRESH:
            shape = Shape(len(vocabulary()), 16, 2, 2, 32, self.length)
            return Classifier(fresh(shape), len(CLASSES), self.pooling)
        return pretrained_classifier(encoder_folder(self.encoder), len(CLASSES), self.seed, self.pooling)

    def _tensors(self, pairs: list[Pair]) -> "tuple[Tensor, Tensor]":
        import torch

        from flatproof.verify.deep.language.wordpiece import WordPieces

        folder = None if self.encoder == FRESH else encoder_folder(self.encoder)
        pieces = WordPieces(vocabulary()) if folder is None else WordPieces.read(folder / "vocab.txt")
        x = torch.from_numpy(pieces.encode([pair[:2] for pair in pairs], self.length))
        return x.to(self.device), torch.tensor([pair.label for pair in pairs], device=self.device)

    def _encoded(self, split: Literal["train", "test"]) -> "tuple[Tensor, Tensor]":
        limit = self.train if split == "train" else self.test
        if self.pairs == TEMPLATES:
            pairs = overlap_pairs(-(-(limit or 1) // 10), seed=1 if split == "train" else 2)
        else:
            pairs = list(load_pairs(self.pairs, split, limit).pairs)
        return self._tensors(pairs)

    def _template_errors(self, network: "nn.Module") -> dict[str, Any]:
        """Errors over the templates that are entailed, over those that are not, and of each."""
        pairs = overlap_pairs(self.templates)
        x, _ = self._tensors(pairs)
        said = answers(network, x).argmax(1) != 0
        wrong: dict[str, list[bool]] = {}
        groups: dict[bool, list[bool]] = {True: [], False: []}
        for pair, other in zip(pairs, said.tolist(), strict=True):
            mistake = other != (pair.label == NOT_ENTAILED)
            wrong.setdefault(pair.subset, []).append(mistake)
            groups[pair.label == NOT_ENTAILED].append(mistake)
        shares = {name: sum(mistakes) / len(mistakes) for name, mistakes in wrong.items()}
        return {
            "template_error": sum(groups[True]) / len(groups[True]),
            "entailed_error": sum(groups[False]) / len(groups[False]),
            "template_errors": shares,
        }

    def _hans_error(self, network: "nn.Module") -> float:
        """The share of HANS's lexical-overlap cases that are not entailed and are taken for entailed."""
        cases = [p for p in load_pairs("hans", "test").pairs if p.subset == OVERLAP and p.label == NOT_ENTAILED]
        if not cases:
            raise Damaged(f"HANS holds no case of {OVERLAP} that is not entailed, expected 5,000")
        x, _ = self._tensors(cases)
        return float((answers(network, x).argmax(1) == 0).double().mean())

    def summary(self, values: dict[str, Any]) -> str:
        """How it ended."""
        if values["status"] != "finished":
            return f"seed {self.seed}: {values['status']}"
        return f"seed {self.seed}: error {values['test_error']:.3f} test, {values['template_error']:.3f} templates"

    def figures(self, values: dict[str, Any]) -> dict[str, float]:
        """Errors."""
        names = ("train", "test", "template")
        return {} if values["status"] != "finished" else {name: values[f"{name}_error"] for name in names}

    def remark(self, values: dict[str, Any]) -> str | None:
        """Whether it diverged."""
        return None if values["status"] == "finished" else str(values["status"])


def trimmed(x: "Tensor") -> "Tensor":
    """Sequences without the columns in which all of them are filled up."""
    return x[..., : int((x[:, 0] != 0).sum(1).max())]


def answers(network: "nn.Module", x: "Tensor") -> "Tensor":
    """Logits (n, classes) on the CPU, in evaluation mode."""
    import torch

    network.eval()
    with torch.no_grad():
        parts = [network(trimmed(x[i : i + AT_ONCE])).cpu() for i in range(0, len(x), AT_ONCE)]
    return torch.cat(parts)


def finetune(network: "nn.Module", data: "tuple[Tensor, Tensor]", job: Finetuned) -> float:
    """Train as the module says; the last epoch's mean loss, NaN if one was not finite.

    Args:
        network: changed in place.
        data: x (n, 2, length) and labels (n,).
        job: its settings; torch's generator is seeded already.
    """
    import torch
    from torch.nn.functional import cross_entropy

    x, y = data
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=job.lr)
    each = -(-len(y) // job.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, each * job.epochs))
    order = torch.Generator().manual_seed(job.seed)
    loss_sum = 0.0
    for _ in range(job.epochs):
        network.train()
        loss_sum = 0.0
        for part in torch.split(torch.randperm(len(y), generator=order), job.batch_size):
            part = part.to(x.device)
            loss = cross_entropy(network(trimmed(x[part])), y[part])
            if not torch.isfinite(loss):
                return float("nan")
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), LARGEST_NORM)
            optimizer.step()
            schedule.step()
            loss_sum += float(loss.detach()) * len(part)
    network.eval()
    return loss_sum / len(y)


def rate(step: int, steps: int) -> float:
    """The share of the largest step size at a step: up to 1 over the first WARM_UP of the steps, then down to 0 at the last."""
    up = max(1, round(WARM_UP * steps))
    return (step + 1) / up if step < up else max(0.0, (steps - step) / max(1, steps - up))


@dataclass(frozen=True)
class Size:
    """What a scale fine-tunes and measures; the fields of `Finetuned`, and how many seeds there are at most."""

    encoder: str
    pairs: str
    train: int | None
    test: int | None
    length: int
    lr: float
    pooling: Literal["first", "mean"]
    templates: int
    cells: tuple[Cell, ...]
    measured: int
    batch: int
    seeds: int
    epochs: int = 3
    batch_size: int = 32


# The paper's radii for BERT are not known to us; these are its radii for ViTs.
_RADII = (0.0005, 0.001, 0.002, 0.004)
ALL = tuple(Cell("worst-linf", scaling, rho) for scaling in ("c = |w|", "c = |w|, logits normalized") for rho in _RADII)
SIZES = {
    "smoke": Size(FRESH, TEMPLATES, 40, 20, 24, 1e-3, "mean", 2, (ALL[0], ALL[4]), 16, 8, 2),
    # A small encoder on few pairs needs larger steps than the paper's 2e-5.
    "quick": Size(MINILM, "sick", 1000, 500, 64, 2e-4, "mean", 20, (ALL[1], ALL[5]), 32, 32, 20),
    "paper": Size("bert-base-uncased", "mnli", None, None, 128, 2e-5, "first", 1000, ALL, 1024, 128, 50),
}


def available(scale: str) -> bool:
    """Whether the encoder and the pairs of a scale are there."""
    return edition(scale) != ABSENT


def edition(scale: str) -> str:
    """A checksum of the files that a scale needs; "" where it needs none, ABSENT where one lacks."""
    size = SIZES[scale]
    return edition_by(f"{size.encoder} and {size.pairs}", lambda: _edition(size.encoder, size.pairs, str(data_root())))


@lru_cache
def _edition(encoder: str, pairs: str, root: str) -> str:
    try:
        parts = [] if encoder == FRESH else [encoder_edition(encoder, root)]
        parts += [] if pairs == TEMPLATES else [pairs_edition(pairs, split, root) for split in ("train", "test")]
        if encoder != FRESH and pairs_available("hans", "test", root):
            parts.append(pairs_edition("hans", "test", root))
    except FileNotFoundError:
        return ABSENT
    return digest("\n".join(parts).encode()) if parts else ""


def jobs(scale: str, seeds: int, device: str | None = None) -> Iterator[Finetuned]:
    """The fine-tunings of seeds 1 to `seeds`, at most as many as the scale has.

    Args:
        scale: smoke, quick or paper.
        seeds: how many.
        device: as for `device_of`.
    """
    size = SIZES[scale]
    for seed in range(1, min(seeds, size.seeds) + 1):
        yield Finetuned(
            size.encoder,
            size.pairs,
            size.train,
            size.test,
            size.length,
            size.lr,
            size.epochs,
            size.batch_size,
            size.pooling,
            size.templates,
            size.cells,
            size.measured,
            size.batch,
            edition(scale),
            device_of(scale, device),
            seed,
        )
