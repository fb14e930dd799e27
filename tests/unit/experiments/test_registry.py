"""The registry: experiments of installed packages, what is refused, and the template that runs as it stands."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flatproof.verify import experiments
from flatproof.verify.experiments import EXPERIMENTS, Experiment, Registry, _template, examine, select
from flatproof.verify.experiments._template.grid import SIZES, Trained, jobs
from flatproof.verify.experiments._template.rules import judge
from flatproof.verify.experiments._template.show import words
from flatproof.verify.experiments.minimizers.ends import pin
from flatproof.verify.experiments.wen2023 import CLAIMS, CLAIMS_GRAPH, grid
from flatproof.verify.jobs.job import Outcome, Stored
from flatproof.verify.jobs.store import Store
from flatproof.verify.two_layer.training import stored_form
from flatproof.verify.utils.errors import UserError
from tests.unit.experiments.test_wen2023 import ended as ended_run

TEMPLATE = "template = flatproof.verify.experiments._template:EXPERIMENT"
ROOT = Path(__file__).resolve().parents[3]


def install(folder: Path, *entries: str) -> None:
    """What an installed package leaves: its metadata with the entry points."""
    info = folder / "fake_papers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-papers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(["[flatproof.experiments]", *entries]) + "\n")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The template as another package's, beside modules that are no experiments."""
    (tmp_path / "fake_papers.py").write_text("EXPERIMENT = 3\n")
    (tmp_path / "fake_broken.py").write_text("import nothing_of_this_name\n")
    install(
        tmp_path,
        TEMPLATE,
        "number = fake_papers:EXPERIMENT",
        "broken = fake_broken:EXPERIMENT",
        "lacking = fake_papers:PAPER",
        "another = flatproof.verify.experiments._template:EXPERIMENT",
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(experiments, "EXPERIMENTS", Registry())
    return tmp_path


def test_the_project_s_experiments_are_experiments_of_their_ids() -> None:
    assert [e.ID for e in EXPERIMENTS.values()] == list(experiments.HERE)
    assert all(isinstance(e, Experiment) for e in EXPERIMENTS.values())
    assert {id for id in EXPERIMENTS if EXPERIMENTS.on_request(id)} == {
        "keskar2017",
        "kaur2023",
        "andriushchenko2023",
        "imagenet",
        "readings",
        "selection",
        "tuning",
        "beyond",
    }
    assert "template" not in EXPERIMENTS


@pytest.mark.usefixtures("installed")
def test_an_outsider_s_experiment_runs_when_it_is_named() -> None:
    registry = experiments.EXPERIMENTS
    assert registry["template"] is _template.EXPERIMENT
    assert list(registry)[: len(experiments.HERE)] == list(experiments.HERE)
    assert len(registry) == len(list(registry)) == len(experiments.HERE) + 5
    assert "template" not in select([])
    assert select(["template/table-1"]) == {"template": ["template/table-1"]}


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("id", "complaint"),
    [
        (
            "number",
            r"number = fake_papers:EXPERIMENT of the entry points flatproof.experiments is of the type int; expected an Exp",
        ),
        (
            "broken",
            r"broken = fake_broken:EXPERIMENT .* cannot be loaded: ModuleNotFoundError: No module named 'nothing_of_this_name'",
        ),
        ("lacking", r"lacking = fake_papers:PAPER .* cannot be loaded: AttributeError"),
        ("another", r"another = .* has the id 'template/'; expected one that starts with 'another/'"),
    ],
)
def test_what_is_no_experiment_is_named(id: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        experiments.EXPERIMENTS[id]
    assert "\n" not in str(caught.value)


def test_an_id_of_the_project_is_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "wen2023 = flatproof.verify.experiments._template:EXPERIMENT")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"wen2023 = .*: the ID is taken; expected another than wen2023, readings"):
        list(Registry())


def test_the_template_runs_as_it_stands(tmp_path: Path) -> None:
    """From the command line, as a package of another's: tables, figure, entries in the ledger."""
    install(tmp_path, TEMPLATE)
    command = [sys.executable, "-m", "flatproof", "reproduce", "template", "--scale", "smoke", "--workers", "1"]
    where = ["--store", str(tmp_path / "runs.sqlite"), "--out", str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run([*command, *where], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = tmp_path / "out" / "template" / "smoke_scale"
    described = json.loads((written / "table_1.json").read_text())
    assert described["coverage"] == {f"{a}, lr {lr:g}": 3 for a in ("no-bias", "bias") for lr in SIZES["smoke"].rates}
    assert described["provenance"]["seeds"] == "1, 2, 3"
    assert [row[-1] for row in described["table"]["rows"]] == ["not judged", "not judged"]
    assert (written / "figure_1.pdf").exists()
    with Store(tmp_path / "runs.sqlite") as store:
        assert {job.key for job in jobs("smoke", 3)} == store.keys()
        (claim,) = _template.EXPERIMENT.claims(["template/claim-1"], store)
    assert (claim.status, claim.title) == ("open", "Claim 1")
    assert claim.evidence[0].finding == "not run: flatproof reproduce template runs it"


def ended(job: Trained, trace: float, accuracy: float, status: str = "finished") -> tuple[Trained, Stored]:
    values = {"status": status} | ({"trace": trace, "test_accuracy": accuracy} if status == "finished" else {})
    return job, Stored(job.settings(), values, {})


def test_the_template_s_rules() -> None:
    """A rate of 0.1 halves the trace without bias and with one; accuracy grows by 0.1 where there is none."""
    pairs = [
        ended(
            job,
            (5 if job.rate == 0.1 else 10) * (1 + 0.01 * job.seed),
            0.8
            + (0.1 if (job.rate, job.architecture) == (0.1, "no-bias") else 0)
            + 0.001 * job.seed * (-1) ** round(10 * job.rate),
        )
        for job in jobs("paper", 3)
    ]
    first, second = judge(pairs, "paper")
    assert [e.interval.mean for e in first.effects] == pytest.approx([np.log10(0.5)] * 2)
    assert (first.verdict, second.verdict) == ("supported", "inconclusive")  # one of two architectures is no majority
    assert [j.verdict for j in judge(pairs, "smoke")] == ["not judged"] * 2
    assert [j.verdict for j in judge([], "paper")] == ["not run"] * 2
    gone = [
        ended(job, 1.0, 1.0, "diverged") if job.seed == 1 and job.rate == 0.1 else pair
        for job, pair in [(p[0], p) for p in pairs]
    ]
    assert judge(gone, "paper")[0].verdict == "inconclusive"
    assert words(judge(gone, "paper")[0].effects[0]).endswith("; 1 diverged")


def test_the_template_s_statements_stay_open_at_a_reduced_size(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        for job in jobs("quick", 3):
            values = {"status": "finished", "trace": (9 if job.rate < 0.05 else 3) + 0.01 * job.seed, "test_accuracy": 0.9}
            store.put(job, Outcome(values), {"commit": "c"})
        claim, other = _template.EXPERIMENT.claims([], store)
    assert (claim.status, claim.corrected, other.status) == ("open", None, "open")
    assert claim.evidence[0].finding.startswith("supported (reduced size); no-bias: d log10 trace -0.4")


def test_a_report_looks_up_each_stored_outcome_at_most_once(tmp_path: Path) -> None:
    """The artifacts of every experiment and what the ledger says of runs, from a store that holds a little of what they ask for."""
    with Store(tmp_path / "s.sqlite") as store:
        for scale in ("smoke", "quick", "paper"):
            for row in ("1b", "4b"):
                outcome = stored_form(ended_run(0.9, row=row, scale=scale).result)
                store.put(grid.runs(grid.ROW[row], scale, 1)[0], outcome, {})
        store.put(pin("smoke", 1), Outcome({"bound": 1.0, "infimum": 1.0, "pinned": True, "active": []}), {})
    with Store(tmp_path / "s.sqlite") as store:
        looked: list[str] = []
        store._connection.set_trace_callback(looked.append)
        for experiment in EXPERIMENTS.values():
            shown = [id for id in experiment.ARTIFACTS if id not in (CLAIMS, CLAIMS_GRAPH)]  # whose proofs take their time
            experiments.build(experiment, shown, "smoke", 2, store)
        list(examine([id for e in EXPERIMENTS.values() for id in e.claim_ids()], store))
        read = [query for query in looked if "SELECT settings" in query]
        assert len(read) == len(set(read)) == len(store)


def test_the_templates_progress_says_each_setting_once() -> None:
    job = next(iter(jobs("smoke", 1)))
    line = f"{job.row}, {job.summary({'status': 'diverged'})}"
    assert line == "no-bias, lr 0.01, seed 1: diverged"
