"""Owns what is run at each scale: images, networks, batch sizes, stops; every training and what is measured of it, as jobs.

paper: as printed, on a GPU where there is one. Small batch (SB) 256, large batch (LB) a tenth of the training set, ADAM with its default
    step 1e-3, until the training loss no longer improves by 1 % in 10 epochs. Of TIMIT the first 721,329 frames, with 360 features and
    1,973 classes, as in the paper; fewer frames, or others, are an error when training begins.
quick: 2 cores. The first 5,000 (F) or 2,500 (C) training and 2,000 test images; SB is 25 or 12, so that LB (500 or 250) is 20 times as
    large, as in the paper (20 to 23 times); F networks 128 wide, C1 and C3 with 8 filters and dense layers 96 and 48; the VGG-like C2
    and C4 are not run.
smoke: a few epochs of tiny networks on synthetic images where the paper has MNIST and CIFAR-10, to exercise the code.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from flatproof.verify.deep import ImageData, Method, Net, Stop, Training
from flatproof.verify.experiments.devices import device_of
from flatproof.verify.experiments.keskar2017.jobs import Path, Sharpness, Spectrum
from flatproof.verify.experiments.keskar2017.published import DATA
from flatproof.verify.jobs.job import Job

NETWORKS = tuple(DATA)
DETAILED = ("F1", "F2", "C1")  # figures 4 to 6: the paper's F2 and C1, and F1, which it does not show there
SHIFTS: dict[str, tuple[str, ...]] = {"mnist": ("shift",), "cifar10": ("shift", "flip"), "cifar100": ("shift", "flip")}
ALPHAS = tuple(np.linspace(-1, 2, 25).tolist())
SMOKE_ALPHAS = (-1.0, -0.25, 0.0, 0.25, 0.75, 1.0, 1.25, 2.0)
LARGE_SHARE = 10  # LB is the training set over this
ADAM = Method("adam", lr=1e-3)
REMEDIES = {  # the paper's settings of the last two are not in its pages here: 3 inner steps, and these strengths, are ours
    "data augmentation": ADAM,
    "conservative training": replace(ADAM, proximal=1e-3, inner=3),
    "adversarial training": replace(ADAM, adversarial=0.02),
}


@dataclass(frozen=True)
class Plan:
    """The sizes of a scale; pairs are for fully connected and convolutional networks.

    Args:
        scale: smoke, quick or paper.
        device: "cpu" or "cuda".
        train, test: images, None for all.
        small: SB.
        small_epochs, large_epochs: at most so many of SB, and of larger batches.
        patience: measurements without improvement.
        points: training images that f averages over, None for all.
        batches: of figure 4, as shares of the training set.
        kept: epochs whose weights are kept (figures 5 and 6).
        warm: of them, where LB starts.
        warm_epochs: how long it then goes on.
        eigenvalues: how many of the largest.
        remedied: networks of claim 8.
    """

    scale: str
    device: str
    train: tuple[int | None, int | None]
    test: int | None
    small: tuple[int, int]
    small_epochs: int
    large_epochs: int
    patience: int
    points: int | None
    batches: tuple[float, ...]
    kept: tuple[int, ...]
    warm: tuple[int, ...]
    warm_epochs: int
    eigenvalues: int
    remedied: tuple[str, ...]

    # ------------------------------------------------------------------------------------------------------ images and networks

    def runs(self, network: str) -> bool:
        """Whether the network is trained at this scale at all."""
        return self.scale != "quick" or network not in ("C2", "C4")

    def train_images(self, network: str) -> int | None:
        """The first so many training images, None for all."""
        return self.train[network[0] == "C"]

    def small_batch(self, network: str) -> int:
        """SB."""
        return self.small[network[0] == "C"]

    def images(self, network: str) -> ImageData:
        """The network's images."""
        name = DATA[network]
        if self.scale == "smoke" and name in ("mnist", "cifar10"):
            channels = 1 if name == "mnist" else 3
            return ImageData("synthetic", self.train_images(network), self.test, {"channels": channels, "noise": 2.0, "side": 8})
        return ImageData(name, self.samples(network) if name == "timit" else self.train_images(network), self.test)

    def samples(self, network: str) -> int:
        """Training images."""
        return (
            self.train_images(network)
            or {"mnist": 60_000, "timit": 721_329, "cifar10": 50_000, "cifar100": 50_000}[DATA[network]]
        )

    def net(self, network: str) -> Net:
        """The network, reduced at the scales 'quick' and 'smoke'."""
        tiny = self.scale == "smoke"
        settings: dict[str, Any] = {"classes": {"F2": 1973, "C3": 100, "C4": 100}.get(network, 10)}
        if network in ("F1", "F2"):
            settings |= {"inputs": 360 if network == "F2" else 64 if tiny else 784, "depth": 5 if network == "F1" else 7}
            settings |= {} if self.scale == "paper" else {"width": 16 if tiny else 128}
            return Net("fully-connected", settings)
        if tiny and network in ("C1", "C2"):
            settings |= {"side": 8}
        if network in ("C2", "C4"):
            return Net("vgg-like", settings | ({"share": 32} if tiny else {}))
        if self.scale != "paper":
            settings |= {"filters": 4, "dense": [16, 8]} if tiny else {"filters": 8, "dense": [96, 48]}
        return Net("alexnet-like", settings)

    # ---------------------------------------------------------------------------------------------------------------- trainings

    def large(self, network: str) -> int:
        """LB: a tenth of the training set."""
        return self.samples(network) // LARGE_SHARE

    def training(self, network: str, batch: int, seed: int, **changes: Any) -> Training:
        """A training from a start that all batch sizes share; figures 5 and 6 need weights along the way."""
        epochs = self.small_epochs if batch <= self.small_batch(network) else self.large_epochs
        kept = self.kept if network in DETAILED and batch in (self.small_batch(network), self.large(network)) else (0,)
        settings: dict[str, Any] = {
            "data": self.images(network),
            "net": self.net(network),
            "method": ADAM,
            "stop": Stop(epochs, patience=self.patience),
            "batch_size": batch,
            "seed": seed,
            "keep": tuple(epoch for epoch in kept if epoch <= epochs),
            "device": self.device,
        }
        return Training(**(settings | changes))

    def sb(self, network: str, seed: int) -> Training:
        """Small batch."""
        return self.training(network, self.small_batch(network), seed)

    def lb(self, network: str, seed: int) -> Training:
        """Large batch."""
        return self.training(network, self.large(network), seed)

    def batch_sizes(self, network: str) -> list[int]:
        """Those of figure 4, SB and LB among them."""
        return sorted(
            {self.small_batch(network), self.large(network), *(round(share * self.samples(network)) for share in self.batches)}
        )

    def warm_start(self, network: str, seed: int, epoch: int) -> Training:
        """LB from the weights after an epoch of SB (0: from SB's own start)."""
        stop = Stop(self.warm_epochs, patience=self.patience)
        return self.training(
            network, self.large(network), seed, stop=stop, keep=(), start=self.sb(network, seed), start_epoch=epoch
        )

    def remedy(self, network: str, seed: int, name: str) -> Training:
        """LB with one of REMEDIES."""
        augment = SHIFTS.get(DATA[network], ()) if name == "data augmentation" else ()
        return self.training(network, self.large(network), seed, method=REMEDIES[name], augment=augment, keep=(0,))


PLANS = {
    "smoke": Plan(
        scale="smoke", device="cpu", train=(120, 120), test=60, small=(4, 4), small_epochs=2, large_epochs=3, patience=5, points=60,
        batches=(0.25,), kept=(0, 1, 2), warm=(1, 2), warm_epochs=2, eigenvalues=3, remedied=("C1",),
    ),
    "quick": Plan(
        scale="quick", device="cpu", train=(5_000, 2_500), test=2_000, small=(25, 12), small_epochs=100, large_epochs=100, patience=10,
        points=1_000, batches=(0.02, 0.25), kept=(0, 1, 4, 16, 50), warm=(1, 4, 16, 50), warm_epochs=20, eigenvalues=10, remedied=("C1",),
    ),
    "paper": Plan(
        scale="paper", device="cuda", train=(None, None), test=None, small=(256, 256), small_epochs=200, large_epochs=200, patience=10,
        points=None, batches=(0.01, 0.02, 0.04, 0.25, 0.5), kept=(0, 1, 2, 4, 8, 16, 32, 64, 100), warm=(1, 2, 4, 8, 16, 32, 64, 100),
        warm_epochs=100, eigenvalues=20, remedied=("F1", "C1", "C2", "C3", "C4"),
    ),
}  # fmt: skip


def plan_of(scale: str, device: str | None = None) -> Plan:
    """The plan of a scale; at 'paper' on the given device, by default a GPU if this machine has one."""
    return replace(PLANS[scale], device=device_of(scale, device))


def sharpness(plan: Plan, training: Training, epoch: int | None = None, subspace: bool = True) -> Sharpness:
    """The metric of a training's network.

    Args:
        plan: of the scale.
        training: whose network.
        epoch: after which, None for the end.
        subspace: in the random subspace too, at the end alone.
    """
    return Sharpness(training, epoch, plan.points, subspace and epoch is None)


def spectrum(plan: Plan, training: Training) -> Spectrum:
    """The largest eigenvalues at the end."""
    return Spectrum(training, None, plan.points, plan.eigenvalues)


def path(plan: Plan, network: str, seed: int) -> Path:
    """From SB to LB."""
    alphas = SMOKE_ALPHAS if plan.scale == "smoke" else ALPHAS
    return Path(plan.sb(network, seed), plan.lb(network, seed), alphas, plan.points)


def detailed(plan: Plan) -> list[str]:
    """The networks of figures 4 to 6 that are run."""
    return [network for network in DETAILED if plan.runs(network)]


ALL_TRAININGS = {"table-1", "table-2", "trainings", "claims", "figure-2"}


def needed(plan: Plan, network: str, seed: int) -> list[tuple[set[str], str, Job[Any]]]:
    """Every job of a network and seed: the artifacts that need it, the name of its row, the job."""
    sb, lb = plan.sb(network, seed), plan.lb(network, seed)
    both = {"SB": sb, "LB": lb}
    out: list[tuple[set[str], str, Job[Any]]] = []
    shared = ALL_TRAININGS | {"remedies"} | ({"figure-4", "figure-5", "figure-6"} if network in detailed(plan) else set())
    out += [(shared, name, training) for name, training in both.items()]
    metric = {"table-3", "table-4", "claims"} | (shared - ALL_TRAININGS)
    out += [(metric, f"{name} sharpness", sharpness(plan, training)) for name, training in both.items()]
    out += [({"eigenvalues", "claims"}, f"{name} eigenvalues", spectrum(plan, training)) for name, training in both.items()]
    out.append(({"figure-3", "figure-7", "distances", "claims"}, "path", path(plan, network, seed)))
    if network in detailed(plan):
        for batch in sorted({*plan.batch_sizes(network)} - {plan.small_batch(network), plan.large(network)}):
            training = plan.training(network, batch, seed)
            out.append(({"figure-4", "trainings", "claims"}, f"batch {batch}", training))
            out.append(({"figure-4", "claims"}, f"batch {batch} sharpness", sharpness(plan, training, subspace=False)))
        for epoch in plan.warm:
            training = plan.warm_start(network, seed, epoch)
            out.append(({"figure-5", "trainings", "claims"}, f"LB after {epoch} of SB", training))
            out.append(({"figure-5", "claims"}, f"LB after {epoch} of SB, sharpness", sharpness(plan, training, subspace=False)))
        out += [
            ({"figure-6", "claims"}, f"{name} sharpness by epoch", sharpness(plan, training, epoch))
            for name, training in both.items()
            for epoch in training.keep
        ]
    if network in plan.remedied:
        for name in REMEDIES:
            training = plan.remedy(network, seed, name)
            out.append(({"remedies", "trainings", "claims"}, f"LB {name}", training))
            out.append(({"remedies", "claims"}, f"LB {name}, sharpness", sharpness(plan, training, subspace=False)))
    return out
