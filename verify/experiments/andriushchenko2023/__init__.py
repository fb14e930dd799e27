"""Owns the experiment andriushchenko2023: does adaptive sharpness track generalization? Models from scratch, and diagonal networks.

`published`: what is claimed, and the radii. `grid`: the models of each scale. `jobs`: what is measured of one, `shifted`: its errors out of
distribution, `later`: measures that are not the paper's. `diagonal`, `diagonal_show`: diagonal networks. `tuned`, `tuned_rules`,
`tuned_show`: fine-tuned image models. `language`, `language_rules`, `language_show`: BERT on pairs of sentences, `overlap` its templates.
`rules`: how claims are judged. `show`: tables and figures.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from flatproof.theory.claims import Claim, Evidence
from flatproof.verify.experiments.andriushchenko2023 import (
    diagonal,
    diagonal_show,
    language,
    language_show,
    later,
    rules,
    show,
    tuned,
    tuned_show,
)
from flatproof.verify.experiments.andriushchenko2023.grid import SIZES, cells_of, models
from flatproof.verify.experiments.andriushchenko2023.published import CLAIMS, ID, KINDS
from flatproof.verify.experiments.devices import devices_of
from flatproof.verify.experiments.vocabulary import (
    JUDGED_SCALES,
    TRAINING_RUNS,
    Experiment,
    Shelf,
    Verdict,
    entry,
    evidence_of,
    fullest,
    not_run,
    together,
)
from flatproof.verify.jobs.job import Job, StoredValues
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.about import About
from flatproof.verify.report.artifacts import Artifact

HERE = "verify/experiments/andriushchenko2023/"


def stored_models(scale: str, seeds: int, store: Store) -> show.Pairs:
    """The models of a scale that are stored; at 'paper' of the device that most are stored of."""
    shelf = Shelf(store)
    return fullest([shelf.pairs(models(scale, seeds, device)) for device in devices_of(scale)])


def stored_measures(scale: str, seeds: int, store: Store) -> Sequence[tuple[later.Remeasured, StoredValues]]:
    """What is stored of measures that are not the paper's; at 'paper' of the device that most are stored of."""
    shelf = Shelf(store)
    return fullest([shelf.pairs(later.jobs(scale, seeds, device)) for device in devices_of(scale)])


def stored_texts(scale: str, seeds: int, store: Store) -> language_show.Pairs:
    """The fine-tunings of a scale that are stored; at 'paper' of the device that most are stored of."""
    shelf = Shelf(store)
    return fullest([shelf.pairs(language.jobs(scale, seeds, device)) for device in devices_of(scale)])


def columns_of(scale: str) -> rules.Cells:
    """The columns of sharpness of each network."""
    return {kind: [str(cell) for cell in cells_of(kind, SIZES[scale].radii)] for kind in KINDS}


def judged(pairs: show.Pairs, scale: str) -> list[rules.Judgement]:
    """The parts of every claim on images."""
    table = show.finished(show.frame(pairs))
    return (
        rules.judge(table, columns_of(scale))
        if len(table)
        else [rules.Judgement(p, Verdict.NOT_RUN, "no model") for p in rules.ON_IMAGES]
    )


def judged_diagonal(pairs: diagonal_show.Pairs) -> rules.Judgement:
    """claim-5."""
    return rules.judge_diagonal(diagonal_show.panels_of(pairs), diagonal.DEFINITIONS)


class Andriushchenko2023(Experiment):
    """Sharpness in every definition against generalization, over models that differ in their hyper-parameters."""

    ID = ID
    ABOUT: ClassVar = About(
        title="M. Andriushchenko, F. Croce, M. Müller, M. Hein, N. Flammarion: A modern look at the relationship between "
        "sharpness and generalization (2023)",
        question="Which definition of sharpness, if any, tracks generalization?",
        figure="andriushchenko2023/figure-3",
        link="https://arxiv.org/abs/2302.07011",
    )
    ARTIFACTS = (
        *show.ON_IMAGES,
        later.TABLE,
        diagonal_show.TABLE,
        diagonal_show.FIGURE,
        language_show.TABLE,
        language_show.FIGURE,
        tuned_show.TABLE,
        tuned_show.FIGURE,
    )
    DEFAULT_SEEDS: ClassVar = {"smoke": 4, "quick": 100, "paper": 200}
    PUBLISHED = CLAIMS
    ON_REQUEST = True

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Job[Any]]]:
        """Diagonal networks, and all models whose data are there, for any of the artifacts on images: they show the same models."""
        rows: list[tuple[str, Job[Any]]] = []
        if {show.VERDICTS, diagonal_show.TABLE, diagonal_show.FIGURE} & set(only):
            rows += [(f"diagonal, {job.row}", job) for job in diagonal.jobs(scale)]
        if {show.VERDICTS, language_show.TABLE, language_show.FIGURE} & set(only) and language.available(scale):
            rows += [(job.row, job) for job in language.jobs(scale, seeds)]
        if set(only) & {*show.ON_IMAGES, later.TABLE} and SIZES[scale].data.available():
            rows += [(job.row, job) for job in models(scale, seeds)]
        if {show.VERDICTS, show.MODELS, tuned_show.TABLE, tuned_show.FIGURE} & set(only) and tuned.available(scale):
            rows += [(job.row, job) for job in tuned.models(scale, seeds)]
        if later.TABLE in only and SIZES[scale].data.available():
            rows += [(job.row, job) for job in later.jobs(scale, seeds)]
        return rows

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The artifacts `only`; a figure without a point is left out."""
        pairs = stored_models(scale, seeds, store) if set(only) & {*show.ON_IMAGES, later.TABLE} else []
        panels, texts = Shelf(store).pairs(diagonal.jobs(scale)), stored_texts(scale, seeds, store)
        fine_tuned = Shelf(store).pairs(tuned.models(scale, seeds))
        made: list[Artifact | None] = []
        if show.VERDICTS in only:
            parts = [*judged(pairs, scale), language_show.judged_language(texts, scale), judged_diagonal(panels)]
            parts += tuned_show.judged_tuned(fine_tuned, scale)
            kept = [rules.of_the_fitted(show.finished(show.frame(pairs)), columns_of(scale))] if pairs else []
            made.append(show.verdicts(parts, [*pairs, *texts, *panels, *fine_tuned], scale, seeds, kept))
        for kind, id in show.CORRELATIONS.items():
            if id in only:
                made.append(show.correlations(id, show.scratch(kind, scale, seeds), show.of_kind(kind, pairs), scale))
        if show.MODELS in only:
            settings = [show.setting(scale, seeds), *([tuned_show.setting(scale)] if fine_tuned else [])]
            made.append(show.table_of_models([*pairs, *fine_tuned], settings, scale))
        made += [show.panels(*panel, pairs, scale, seeds) for panel, id in show.PANELS.items() if id in only]
        if later.TABLE in only:
            made.append(later.table(pairs, stored_measures(scale, seeds, store), scale, seeds))
        if diagonal_show.TABLE in only:
            made.append(diagonal_show.table(panels, scale))
        if diagonal_show.FIGURE in only:
            made.append(diagonal_show.figure(panels, scale))
        if language_show.TABLE in only:
            made.append(language_show.table(texts, scale))
        if language_show.FIGURE in only:
            made.append(language_show.figure(texts, scale))
        if tuned_show.TABLE in only:
            made.append(tuned_show.correlations(fine_tuned, scale))
        if tuned_show.FIGURE in only:
            made.append(tuned_show.figure(fine_tuned, scale))
        return [artifact for artifact in made if artifact is not None]

    def claim(self, id: str, store: Store | None) -> Claim:
        """Judged at the largest scale of which there are models enough."""
        name = id.split("/")[1]
        for scale in JUDGED_SCALES if store is not None else ():
            assert store is not None
            if name == "claim-5":
                panels = Shelf(store).pairs(diagonal.jobs(scale))
                count, parts = len(panels), [judged_diagonal(panels)]
            elif name == "claim-4":
                texts = stored_texts(scale, self.DEFAULT_SEEDS["paper"], store)
                count, parts = len(texts), [language_show.judged_language(texts, scale)]
            else:
                pairs = stored_models(scale, self.DEFAULT_SEEDS["paper"], store)
                count, parts = len(pairs), [part for part in judged(pairs, scale) if part.part.startswith(name)]
            verdict, reduced = together(part.verdict for part in parts), scale != "paper"
            if verdict == Verdict.NOT_RUN:
                continue
            found = "; ".join(f"{part.part} {part.verdict.worded(reduced)}: {part.finding}" for part in parts)
            evidence = evidence_of(
                verdict,
                f"{TRAINING_RUNS}, judged by {'language_rules.py' if name == 'claim-4' else 'rules.py'} in {HERE}",
                f"{count} jobs, scale {scale}",
                f"{verdict.worded(reduced)}; {found}",
                f"Instead, {found}.",
                reduced,
            )
            return entry(id, CLAIMS[name], evidence.supports, [evidence, *self._fine_tuned(name, scale, store)])
        return entry(id, CLAIMS[name], "open", [not_run(ID)])

    def _fine_tuned(self, name: str, scale: str, store: Store) -> list[Evidence]:
        """What fine-tuned models show of a statement, which they do not decide; nothing where there are none."""
        pairs = Shelf(store).pairs(tuned.models(scale, self.DEFAULT_SEEDS["paper"]))
        parts = [part for part in tuned_show.judged_tuned(pairs, scale) if part.part.startswith(f"{name},")]
        scope = f"{len(pairs)} jobs, scale {scale}"
        method = f"{TRAINING_RUNS}: fine-tuned models, judged by tuned_rules.py in {HERE}"
        found = [f"{part.part} {part.verdict.worded(True)}: {part.finding}" for part in parts if part.verdict != Verdict.NOT_RUN]
        return [Evidence("open", method, scope, finding) for finding in found]


EXPERIMENT = Andriushchenko2023()
