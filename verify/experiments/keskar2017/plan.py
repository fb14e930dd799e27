"""Owns what is run at each scale: images, networks, batch sizes, stops; every training of the experiment as its settings.

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

from flatproof.verify.deep import ImageData, Method, Net, Stop, Training
from flatproof.verify.experiments.devices import device_of
from flatproof.verify.experiments.keskar2017.published import DATA

NETWORKS = tuple(DATA)
DETAILED = ("F1", "F2", "C1")  # figures 4 to 6: the paper's F2 and C1, and F1, which it does not show there
SHIFTS: dict[str, tuple[str, ...]] = {"mnist": ("shift",), "cifar10": ("shift", "flip"), "cifar100": ("shift", "flip")}
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

    train, test: images (None: all). small: SB. patience: measurements. points: training images that f averages over. batches: of
    figure 4, as shares of the training set. kept: epochs whose weights are kept (figures 5 and 6). warm: of them, where LB starts;
    warm_epochs: how long. eigenvalues: how many of the largest. remedied: networks of claim 8.
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
