"""Owns a paper's experiments, as a template: copy this folder, put the paper in place of what the comments say, name it in the registry.

1. Copy to verify/experiments/doe2020 (or into a package of your own) and replace `_template` in the imports.
2. published.py: what is printed. grid.py: what is run. rules.py: how it is judged, written before the runs. show.py: what is shown.
3. One line: "doe2020" in HERE of verify/experiments/__init__.py. From outside the project, in the package's pyproject.toml:

       [project.entry-points."flatproof.experiments"]
       doe2020 = "mypackage.doe2020:EXPERIMENT"

4. `flatproof reproduce doe2020 --scale smoke` runs it, `flatproof claims doe2020/claim-1` judges it.
"""

from collections.abc import Sequence
from typing import ClassVar

from flatproof.theory.claims import Claim
from flatproof.verify.experiments._template.grid import Trained, jobs
from flatproof.verify.experiments._template.published import CLAIMS, ID
from flatproof.verify.experiments._template.rules import RULES, judge
from flatproof.verify.experiments._template.show import FIGURE, VERDICTS, figure, verdicts, words
from flatproof.verify.experiments.vocabulary import JUDGED_SCALES, TRAINING_RUNS, Experiment, Shelf, entry, evidence_of, not_run
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.about import About
from flatproof.verify.report.artifacts import Artifact


class Template(Experiment):
    """What is run for the paper, and what is reported of it. An experiment that judges no printed statement needs no `claim`."""

    ID = ID
    ABOUT = About(title="A. Author: A title (2030)", question="What is asked, in a sentence?", figure=FIGURE)
    ARTIFACTS = (VERDICTS, FIGURE)
    DEFAULT_SEEDS: ClassVar = {"smoke": 3, "quick": 5, "paper": 20}
    PUBLISHED = CLAIMS

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Trained]]:
        """Both artifacts show the same jobs."""
        return [(job.row, job) for job in jobs(scale, seeds)] if only else []

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The artifacts `only`; a figure without a point is left out."""
        pairs = Shelf(store).pairs(jobs(scale, seeds))
        made: list[Artifact] = [verdicts(judge(pairs, scale), pairs, scale)] if VERDICTS in only else []
        return made + ([figure(pairs, scale)] if FIGURE in only and pairs else [])

    def claim(self, id: str, store: Store | None) -> Claim:
        """Judged at the largest scale of which anything is stored."""
        name = id.split("/")[1]
        for scale in JUDGED_SCALES:
            pairs = Shelf(store).pairs(jobs(scale, self.DEFAULT_SEEDS["paper"])) if store is not None else []
            judgement = next(judged for judged in judge(pairs, scale) if judged.claim == name)
            if not judgement.effects:
                continue
            reduced, verdict = scale != "paper", judgement.verdict
            measured = "; ".join(map(words, judgement.effects))
            evidence = evidence_of(
                verdict,
                f"{TRAINING_RUNS}, judged by the rule: {RULES[name]}",
                f"{len(pairs)} runs, scale {scale}",
                f"{verdict.worded(reduced)}; {measured}",
                f"Instead, {measured}.",
                reduced,
            )
            return entry(id, CLAIMS[name], verdict.status(reduced), [evidence])
        return entry(id, CLAIMS[name], "open", [not_run(ID)])


EXPERIMENT = Template()
