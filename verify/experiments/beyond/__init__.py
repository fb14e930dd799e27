"""Owns flatness beyond the trace of interpolating networks: fits within a tolerance, a constant of any size, the largest eigenvalue,
whitened inputs, several outputs, three layers without bias, and the smoothed logistic loss."""

from collections.abc import Sequence
from typing import Any, ClassVar

from flatproof.verify.experiments.beyond.deep import DEEP, deep_table, deeps
from flatproof.verify.experiments.beyond.jobs import constants, eigenvalues, fits
from flatproof.verify.experiments.beyond.logistic import LOGISTIC, logistic_table, logistics
from flatproof.verify.experiments.beyond.outputs import SEVERAL, several, several_table
from flatproof.verify.experiments.beyond.show import (
    CONSTANTS,
    CONSTANTS_DRAWN,
    EIGENVALUES,
    EIGENVALUES_DRAWN,
    FITS,
    FITS_DRAWN,
    ID,
    constants_drawn,
    constants_table,
    eigenvalues_drawn,
    eigenvalues_table,
    fits_drawn,
    fits_table,
)
from flatproof.verify.experiments.beyond.whitening import WHITENED, whitening_table, whitenings
from flatproof.verify.experiments.vocabulary import Experiment, Shelf
from flatproof.verify.jobs.job import Job
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.about import About
from flatproof.verify.report.artifacts import Artifact

PARTS: tuple[Any, ...] = (
    (fits, "fits within a tolerance", FITS, fits_table, FITS_DRAWN, fits_drawn),
    (constants, "a constant of any size", CONSTANTS, constants_table, CONSTANTS_DRAWN, constants_drawn),
    (eigenvalues, "largest eigenvalues", EIGENVALUES, eigenvalues_table, EIGENVALUES_DRAWN, eigenvalues_drawn),
    (whitenings, "whitened inputs", WHITENED, whitening_table, None, None),
    (several, "several outputs", SEVERAL, several_table, None, None),
    (deeps, "three layers without bias", DEEP, deep_table, None, None),
    (logistics, "smoothed logistic loss", LOGISTIC, logistic_table, None, None),
)


class Beyond(Experiment):
    """Seven questions of the project's own, each a table: six with certificates, one that sets a search beside a proof."""

    ID = ID
    ABOUT: ClassVar = About(
        title="Flatness beyond the trace",
        question="What if networks need not interpolate, if the bias is small, if flat means a small largest eigenvalue, if inputs are "
        "whitened, if networks have several outputs or three layers, if the loss is the logistic one?",
        figure=CONSTANTS_DRAWN,
    )
    ARTIFACTS = (FITS, CONSTANTS, EIGENVALUES, WHITENED, SEVERAL, DEEP, LOGISTIC, FITS_DRAWN, CONSTANTS_DRAWN, EIGENVALUES_DRAWN)
    DEFAULT_SEEDS: ClassVar = {"smoke": 1, "quick": 1, "paper": 1}
    ON_REQUEST = True

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Job[Any]]]:
        """The jobs of the parts whose table or figure is asked for."""
        return [(name, job) for jobs, name, table, _, figure, _ in PARTS if {table, figure} & {*only} for job in jobs(scale)]

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The artifacts `only`, from stored jobs alone; none where nothing is stored."""
        shelf, made = Shelf(store), list[Artifact]()
        for jobs, _, table, tabled, figure, drawn in PARTS:
            pairs: Any = shelf.pairs(jobs(scale)) if {table, figure} & {*only} else []
            makers: Any = ((table, tabled), (figure, drawn))
            made += [make(pairs, scale) for id, make in makers if id in only and pairs]
        return sorted(made, key=lambda artifact: self.ARTIFACTS.index(artifact.id))


EXPERIMENT = Beyond()
