"""Owns imagenet: sharpness of pretrained ImageNet networks. `jobs` measures them, `show` makes tables and figure."""

from collections.abc import Sequence
from typing import Any, ClassVar

from flatproof.verify.experiments.imagenet.jobs import BLOCKS, FIGURE, TABLE, jobs_of
from flatproof.verify.experiments.imagenet.show import artifacts
from flatproof.verify.experiments.vocabulary import Experiment
from flatproof.verify.jobs.job import Job
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.about import About
from flatproof.verify.report.artifacts import Artifact


class ImageNet(Experiment):
    """EfficientNet-Lite 0, 1 and 2, whole and block by block; seeds are sets of PROBES probes for the traces, all else uses one."""

    ID = "imagenet"
    ABOUT: ClassVar = About(
        title="Pretrained ImageNet networks",
        question="How sharp are they, whole and block by block?",
        figure="imagenet/figure-1",
    )
    ARTIFACTS = (TABLE, BLOCKS, FIGURE)
    DEFAULT_SEEDS: ClassVar = {"smoke": 1, "quick": 1, "paper": 4}
    ON_REQUEST = True

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Job[Any]]]:
        """All jobs for any of the artifacts, which share most; none where the data are not there."""
        return [(job.row, job) for job in jobs_of(scale, seeds)] if only else []

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The artifacts `only`, from stored jobs alone."""
        return artifacts(only, scale, seeds, store)


EXPERIMENT = ImageNet()
