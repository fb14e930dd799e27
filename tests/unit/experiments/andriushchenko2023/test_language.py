"""Templates of lexical overlap, the fine-tuning job at scale smoke, the rule of claim-4 on seeds of known correlation, what is shown."""

import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from flatproof.verify.deep.language.bert import Shape, fresh
from flatproof.verify.experiments.andriushchenko2023 import EXPERIMENT, language, language_show
from flatproof.verify.experiments.andriushchenko2023.language import SIZES, jobs, rate
from flatproof.verify.experiments.andriushchenko2023.language_rules import judge
from flatproof.verify.experiments.andriushchenko2023.overlap import NOT_ENTAILED, TEMPLATES, overlap_pairs, vocabulary
from flatproof.verify.jobs.job import Outcome
from flatproof.verify.jobs.store import Store
from flatproof.verify.realdata.files import put
from flatproof.verify.realdata.samples import UNAVAILABLE
from flatproof.verify.realdata.tensor_files import write_safetensors


@pytest.fixture(autouse=True)
def _no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLATPROOF_DATA", str(tmp_path / "nothing"))


def bag(text: str) -> set[str]:
    return set(text.lower().removesuffix(".").split())


def test_hypotheses_hold_words_of_the_premise_alone() -> None:
    pairs = overlap_pairs(30)
    assert pairs == overlap_pairs(30)
    assert pairs != overlap_pairs(30, seed=1)
    assert Counter(pair.subset for pair in pairs) == {template.name: 30 for template in TEMPLATES}
    assert len({pair[:2] for pair in pairs}) == 300
    assert Counter(pair.label for pair in pairs) == {0: 150, 1: 150}
    assert all(bag(pair.hypothesis) <= bag(pair.premise) <= set(vocabulary()) for pair in pairs)


def doers(premise: str) -> set[tuple[str, str, str]]:
    """Who did what to whom in a premise, read by its grammar, apart from the templates."""
    words = premise.lower().removesuffix(".").split()
    if "by" in words:
        return {(words[6], words[3], words[1])}
    if "who" in words:  # the A who the C other verb the B
        return {(words[1], words[6], words[8]), (words[4], words[5], words[1])}
    if "and" in words and words[2] == "and":
        return {(words[1], words[5], words[7]), (words[4], words[5], words[7])}
    if "and" in words:
        return {(words[1], words[2], words[4]), (words[1], words[2], words[7])}
    if len(words) == 8:  # the A near the C verb the B
        return {(words[1], words[5], words[7])}
    return {(words[1], words[2], words[4])}


def test_labels_follow_from_who_did_what_to_whom() -> None:
    for pair in overlap_pairs(50):
        (statement,) = doers(pair.hypothesis)
        assert (statement not in doers(pair.premise)) == (pair.label == NOT_ENTAILED), pair


@pytest.mark.parametrize("count", [0, 2281])
def test_a_count_that_no_template_has_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"count must be from 1 to 2280, got {count}"):
        overlap_pairs(count)


def test_the_step_size_goes_up_and_down() -> None:
    shares = [rate(step, 100) for step in range(100)]
    assert shares[:10] == pytest.approx(np.arange(1, 11) / 10)
    assert shares[10] == 1
    assert shares[10:] == pytest.approx(np.arange(90, 0, -1) / 90)
    assert rate(0, 1) == 1


@pytest.fixture(scope="module")
def carried_out() -> list[dict[str, object]]:
    return [job.carry_out() for job in jobs("smoke", 2)]


def test_a_seed_gives_one_outcome(carried_out: list[dict[str, object]]) -> None:
    first, second = carried_out
    assert next(jobs("smoke", 1)).carry_out() == first
    assert first["sharpness"] != second["sharpness"]
    assert len(first["sharpness"]) == len(SIZES["smoke"].cells)  # type: ignore[arg-type]
    errors = first["template_errors"]
    wrong = [errors[t.name] for t in TEMPLATES if t.label == NOT_ENTAILED]  # type: ignore[index]
    assert first["template_error"] == pytest.approx(np.mean(wrong))
    assert set(errors) == {template.name for template in TEMPLATES}  # type: ignore[call-overload]


def test_fine_tuning_learns(carried_out: list[dict[str, object]]) -> None:
    """A larger step size and more epochs reach a lower loss than the short training of the scale."""
    longer = replace(next(jobs("smoke", 1)), lr=1e-2, epochs=40, batch_size=8).carry_out()
    assert longer["train_loss"] < 0.5 * carried_out[0]["train_loss"]  # type: ignore[operator]


def test_hans_is_measured_where_the_user_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny encoder in the published files, trained on pairs in SICK's format; HANS changes the address and adds its error."""
    torch.manual_seed(0)
    root = tmp_path / "data"
    shape = Shape(len(vocabulary()), 8, 1, 2, 16, 40)
    place = root / "tiny"
    put(place / "config.json", json.dumps(asdict(shape)).encode())
    put(place / "vocab.txt", "\n".join(vocabulary()).encode())
    weights = {name: values.numpy() for name, values in fresh(shape).state_dict().items()}
    put(place / "model.safetensors", write_safetensors(weights))
    names = ("ENTAILMENT", "NEUTRAL")
    lines = [f"{i}\t{p.premise}\t{p.hypothesis}\t3\t{names[p.label]}" for i, p in enumerate(overlap_pairs(2))]
    head = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment"
    for name in ("train", "test_annotated"):
        put(root / f"SICK/SICK_{name}.txt", "\n".join([head, *lines]).encode())
    monkeypatch.setenv("FLATPROOF_DATA", str(root))
    monkeypatch.setitem(SIZES, "smoke", replace(SIZES["smoke"], encoder="tiny", pairs="sick", train=None, test=4))
    without = next(jobs("smoke", 1))
    values = without.carry_out()
    assert "hans_error" not in values
    cases = [("non-entailment", "lexical_overlap"), ("entailment", "lexical_overlap"), ("non-entailment", "constituent")]
    rows = [f"{label}\tThe judge paid the pilot.\tThe pilot paid the judge.\t{kind}" for label, kind in cases]
    head = "gold_label\tsentence1\tsentence2\theuristic"
    put(root / "HANS/heuristics_evaluation_set.txt", "\n".join([head, *rows]).encode())
    language._edition.cache_clear()
    job = next(jobs("smoke", 1))
    assert job.key != without.key
    with_hans = job.carry_out()
    assert with_hans.pop("hans_error") in (0, 1)  # of the one case that counts
    assert with_hans == values


def seeds(sharp: np.ndarray, n: int) -> pd.DataFrame:
    stream = np.random.default_rng(3)
    return pd.DataFrame({"cell": sharp, "test_error": np.arange(n) / n, "template_error": stream.permutation(n) / n})


@pytest.mark.parametrize(
    ("n", "correlated", "verdict"),
    [(19, False, "not run"), (200, False, "supported"), (60, True, "refuted"), (20, False, "inconclusive")],
)
def test_the_rule_on_seeds_of_known_correlation(n: int, correlated: bool, verdict: str) -> None:
    stream = np.random.default_rng(5)
    sharp = np.arange(n) + 0.1 * stream.standard_normal(n) if correlated else stream.permutation(n)
    assert judge(seeds(sharp, n), ["cell"]).verdict == verdict


def test_tables_say_what_is_stored_and_what_is_not(tmp_path: Path, carried_out: list[dict[str, object]]) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        for job, values in zip(jobs("smoke", 2), carried_out, strict=True):
            store.put(job, Outcome(values), {"commit": "c"})
        made = {a.id: a for a in EXPERIMENT.build((language_show.TABLE, language_show.FIGURE), "smoke", 4, store)}
        (absent,) = EXPERIMENT.build((language_show.TABLE, language_show.FIGURE), "quick", 20, store)
        (claim,) = EXPERIMENT.claims(["andriushchenko2023/claim-4"], store)
    assert len(made[language_show.TABLE].shown) == 2  # type: ignore[union-attr]
    assert set(made) == {language_show.TABLE, language_show.FIGURE}
    assert absent.shown.iloc[0, 0] == UNAVAILABLE  # type: ignore[union-attr]
    assert claim.status == "open"


def test_the_grid_has_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert EXPERIMENT.grid([language_show.TABLE], "quick", 3) == []
    assert [row for row, _ in EXPERIMENT.grid([language_show.TABLE], "smoke", 3)] == ["BERT", "BERT"]
    root = tmp_path / "data"
    for name in ("config.json", "vocab.txt", "model.safetensors"):
        put(root / language.MINILM / name, b"x")
    for name in ("train", "test_annotated"):
        put(root / f"SICK/SICK_{name}.txt", b"x")
    monkeypatch.setenv("FLATPROOF_DATA", str(root))
    found = EXPERIMENT.grid([language_show.TABLE], "quick", 3)
    assert [job.settings()["seed"] for _, job in found] == [1, 2, 3]
    assert len({job.key for _, job in found}) == 3
