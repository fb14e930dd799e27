"""Owns a user's own study: a grid of settings times seeds, a function that measures, and from it a table with intervals and a figure.

    def measure(rate: float, width: int, seed: int) -> dict[str, float]:
        ...

    experiment = Study("rates", measure, {"rate": [0.01, 0.1], "width": [50, 500]}, seeds=5)

in a file `mine.py`: `flatproof reproduce mine:experiment` runs what is missing and writes tables, figures and the page; from Python,
`experiment.run()` gives the rows, `table(rows)` their means with intervals, `plot(rows)` the figure.

`measurement` is the job, `experiment` the study, `summaries` the table, `drawing` the figure.
"""

from flatproof.verify.experiments.study.drawing import plot
from flatproof.verify.experiments.study.experiment import Study
from flatproof.verify.experiments.study.summaries import Summary, table

__all__ = ["Study", "Summary", "plot", "table"]
