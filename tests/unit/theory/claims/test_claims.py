"""The ledger itself: complete, well-formed, and honest when a check fails."""

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flatproof.theory import claims
from flatproof.theory.claims import (
    SEVERITIES,
    STATUSES,
    TARGETS,
    Claim,
    Dependency,
    Evidence,
    EvidenceFailed,
    Statement,
    require,
    statements,
)
from flatproof.theory.claims.graph import layers, unsupported
from flatproof.theory.claims.wen2023 import appendix_circle, section_3_batchnorm
from flatproof.theory.claims.wen2023.appendix_generalization import off_kinks
from flatproof.theory.constructions import generalizing_network
from flatproof.theory.networks import Network, forward, loss, trace_of_hessian
from flatproof.verify.experiments import examine
from flatproof.verify.experiments.ledger import headlines, in_full, table
from flatproof.verify.experiments.ledger_graph import graph, places

# Every id of the paper's page.
PAGE = [
    "theorem-3.1",
    "remark-3.1",
    "lemma-3.1",
    "condition-1",
    "theorem-3.2",
    "definition-4.1",
    "definition-4.2",
    "theorem-4.1",
    "proposition-4.1",
    "proposition-4.2",
    "lemma-4.1",
    "equation-2",
    "equation-3",
    "equation-4",
    "theorem-5.1",
    "proposition-5.1",
    "proposition-5.2",
    "lemma-A.1",
    "lemma-A.2",
    "lemma-A.3",
    "condition-2",
    "lemma-A.4",
    "lemma-A.5",
    "lemma-A.6",
    "lemma-A.7",
    "lemma-A.8",
    "definition-A.1",
    "lemma-A.9",
    "lemma-A.10",
    "lemma-A.11",
    "theorem-A.1",
    "equation-15",
    "proposition-A.1",
    "proposition-A.2",
    "lemma-A.12",
    "definition-A.2",
    "theorem-A.2",
    "lemma-A.13",
    "definition-A.3",
    "definition-A.4",
    "definition-A.5",
    "lemma-A.14",
    "lemma-A.15",
    "lemma-A.16",
    "lemma-A.17",
    "lemma-A.18",
    "lemma-A.19",
    "lemma-A.20",
    "lemma-A.21",
    "corollary-A.1",
    "lemma-A.22",
    "lemma-A.23",
    "theorem-A.3",
    "lemma-A.24",
    "lemma-A.25",
    "lemma-A.26",
    "lemma-A.27",
    "table-1",
    "figure-1a",
    "figure-1b",
    "figure-2a",
    "figure-4a",
    "figure-4b",
    "figure-5a",
    "figure-5b",
    "figure-6a",
    "figure-6b",
    "figure-7a",
    "figure-7b",
    "figure-8a",
    "figure-8b",
    "figure-9a",
    "figure-9b",
    "figure-10a",
    "figure-10b",
    "figure-11a",
    "figure-11b",
]


@pytest.fixture(scope="session")
def ledger() -> dict[str, Claim]:
    return {c.id: c for c in examine([], None)}


def test_every_id_of_the_page_appears(ledger: dict[str, Claim]) -> None:
    assert {f"wen2023/{name}" for name in PAGE} | {f"andriushchenko2023/diag-{k}" for k in range(1, 11)} <= set(ledger)


def test_no_check_fails(ledger: dict[str, Claim]) -> None:
    assert [(c.id, e.finding) for c in ledger.values() for e in c.evidence if e.method == "failed check"] == []


def test_every_claim_is_well_formed(ledger: dict[str, Claim]) -> None:
    for c in ledger.values():
        assert c.status in STATUSES
        assert c.printed
        assert c.evidence
        assert all(e.method and e.scope and e.finding for e in c.evidence)
        assert {edge.id for edge in c.depends_on} <= set(ledger), f"{c.id} rests on an unknown statement"
        assert (c.target == "statement") == (c.status == "refuted")
        assert (c.target is None) == (c.severity is None) == (c.corrected is None), f"{c.id} is refuted without a correction"
        assert c.target in (None, *TARGETS)
        assert c.severity in (None, *SEVERITIES)
        assert all((e.corrected is not None) == (e.supports == "refuted") for e in c.evidence), c.id
        if c.status == "proved":
            assert not re.search("random|monte", " ".join(e.method for e in c.evidence if e.supports == "proved").lower())
        json.dumps(in_full(c))


def test_whatever_fails_fails_in_coq_too(ledger: dict[str, Claim]) -> None:
    """A statement that an argument refutes, for whatever reading, has a theorem that says so."""
    failing = {id for id, c in ledger.items() if any(e.target == "statement" for e in c.evidence)}
    assert {"wen2023/theorem-3.2", "wen2023/table-1", "keskar2017/sharp-minima", "wu2023/sgd-trace"} <= failing
    assert {id for id in failing if not any(f.entry.shows == "refutation" for f in ledger[id].formal)} == set()


# Statements judged by hand: what of them fails, how gravely, and the reading.
JUDGED = {
    "theorem-3.2 lemma-A.2 table-1": ("refuted", "statement", "substance", None),
    "zero-one-loss remark-3.1 lemma-A.3 theorem-A.2 lemma-A.13": ("refuted", "statement", "constant or sign", None),
    "proposition-A.2": ("refuted", "statement", "constant or sign", "distinct samples"),
    "proposition-4.2 proposition-5.2 lemma-A.1 lemma-A.5 corollary-A.1": ("refuted", "statement", "boundary", None),
    "theorem-4.1 theorem-5.1": ("refuted", "statement", "boundary", "distinct samples"),
    "equation-4 proposition-A.1": ("proved", "construction", "constant or sign", None),
    "lemma-A.9 lemma-A.19": ("proved", "proof step", "constant or sign", None),
    "lemma-A.4": ("proved", "proof step", "constant or sign", "differentiable parameters"),
    "lemma-A.11 theorem-A.1": ("proved", None, None, "differentiable parameters"),
    "proposition-4.1 proposition-5.1": ("proved", None, None, "distinct samples"),
    """lemma-4.1 equation-2 equation-3 lemma-A.12 lemma-A.26 lemma-A.27 equation-15 lemma-3.1 theorem-3.1 lemma-A.7 lemma-A.15 lemma-A.16
    lemma-A.23""": ("proved", None, None, None),
    "theorem-A.3": ("cited", None, None, None),
}

JUDGED_DIAGONAL = {
    "diag-1 diag-5 diag-6 diag-7 diag-8 diag-9": ("proved", None, None, None),
    "diag-3 diag-4": ("proved", None, None, "Gaussian displacements"),
    "diag-2 diag-10": ("refuted", "statement", "boundary", None),
}


JUDGED_NEIGHBOURS = {
    "dinh2017": {
        "same-function volume ball-sharpness-unbounded": ("proved", None, None, None),
        "hessian spectral-norm trace": ("proved", None, None, "differentiable parameters"),
    },
    "keskar2017": {
        "eigenvalue": ("proved", None, None, None),
        "sharp-minima": ("refuted", "statement", "substance", "every minimum"),
    },
    "kwon2021": {"adaptive-sharpness": ("proved", None, None, None)},
    "lyu2022": {
        "scale-invariance": ("refuted", "statement", "boundary", None),
        "gradient hessian": ("proved", None, None, "differentiable parameters"),
    },
    "andriushchenko2023": {"logit-normalization": ("proved", None, None, None)},
    "wu2023": {
        "sgd-trace": ("proved", None, None, "one sample a step"),
        "gd-eigenvalue": ("proved", None, None, None),
        "two-layer": ("proved", None, None, "no bias"),
        "generalization": ("open", None, None, None),
    },
    "vardhan2026": {
        "symmetries": ("refuted", "statement", "boundary", "both sharper and flatter"),
        "non-generalizing": ("open", None, None, None),
        "flattest-generalize": ("open", None, None, "no bias"),
    },
}


def test_neighbours_say_whose_words_they_hold_and_only_a_quotation_is_refuted(ledger: dict[str, Claim]) -> None:
    judged = {f"{paper}/{name}" for paper, listed in JUDGED_NEIGHBOURS.items() for names in listed for name in names.split()}
    defined = {f"dinh2017/{name}" for name in ("alpha-scale", "volume-flatness", "ball-sharpness")} | {"keskar2017/metric-2.1"}
    assert {id for id, c in ledger.items() if c.words} == judged | defined
    for c in (ledger[id] for id in judged):
        assert c.words is not None
        against = [e for e in c.evidence if e.supports == "refuted"]
        assert not against or c.words.startswith("quoted"), f"{c.id} refutes words that are ours"
        assert f"\nwords      {c.words}\n" in in_full(c)
        assert c.words in table("all/claims", [c]).shown["printed"][0]
    other = [e for id in ("wu2023/sgd-trace", "wu2023/two-layer", "vardhan2026/flattest-generalize") for e in ledger[id].evidence]
    assert {e.reading for e in other if e.supports == "refuted"} == {"two samples a step", "with a bias"}


def test_the_page_of_the_ledger_has_the_neighbours_headlines(ledger: dict[str, Claim]) -> None:
    page = (Path(__file__).parents[4] / "docs/background/ledger.md").read_text()
    papers = set(JUDGED_NEIGHBOURS) - {"andriushchenko2023"}
    lines = headlines([c for id, c in ledger.items() if id.split("/")[0] in papers and id in statements()])
    assert len(lines) == len(papers)
    assert [line for line in lines if line not in page] == []


def test_what_was_judged_by_hand_stays_so(ledger: dict[str, Claim]) -> None:
    every = (("wen2023", JUDGED), ("andriushchenko2023", JUDGED_DIAGONAL), *JUDGED_NEIGHBOURS.items())
    for paper, judged in every:
        for names, expected in judged.items():
            for name in names.split():
                c = ledger[f"{paper}/{name}"]
                assert (c.status, c.target, c.severity, c.reading) == expected, name


def test_our_own_statements_are_proved_and_told_apart(ledger: dict[str, Claim]) -> None:
    ours = [c for c in ledger.values() if c.own]
    numbers = {"diagonal": 16, "flattest": 11, "layernorm": 1, "parity": 3, "rescaling": 1}
    assert [c.id for c in ours] == [f"own/{name}-{k + 1}" for name, count in numbers.items() for k in range(count)]
    assert {(c.status, c.target) for c in ours} == {("proved", None)}
    assert "\nour own    " in in_full(ours[0])
    assert "\nprinted    " in in_full(ledger["andriushchenko2023/diag-3"])
    line = f"own: of {len(ours)} statements of our own, printed nowhere else, {len(ours)} proved."
    assert headlines(list(ledger.values())).count(line) == 1
    assert "our own" not in " ".join(headlines([c for c in ledger.values() if not c.own]))
    assert table("all/claims", ours).notes[-1].startswith("Statements own/... are this project's")


def test_no_proof_rests_on_an_open_or_uncorrected_statement(ledger: dict[str, Claim]) -> None:
    assert unsupported(ledger) == []
    assert max(layers(ledger).values()) >= 5
    assert any(edge.form == "corrected" for c in ledger.values() for edge in c.depends_on)


@pytest.mark.parametrize(
    ("id", "change", "line"),
    [
        ("lemma-A.17", {"status": "open"}, "lemma-A.18 rests on wen2023/lemma-A.17 as printed, which is open"),
        ("lemma-A.17", {"status": "tested"}, "lemma-A.18 rests on wen2023/lemma-A.17 as printed, which is tested"),
        ("lemma-A.17", {"status": "refuted"}, "lemma-A.18 rests on wen2023/lemma-A.17 as printed, which is refuted"),
        ("lemma-A.5", {"evidence": ()}, "lemma-3.1 rests on wen2023/lemma-A.5 as corrected, which is refuted"),
        ("lemma-3.1", {"depends_on": (Dependency("wen2023/lemma-A.5"),)}, "lemma-3.1 rests on wen2023/lemma-A.5 as printed"),
        (
            "lemma-3.1",
            {"depends_on": (Dependency("wen2023/none"),)},
            "lemma-3.1 rests on wen2023/none, which is not in the ledger",
        ),
    ],
)
def test_an_unsound_edge_is_named(ledger: dict[str, Claim], id: str, change: dict[str, Any], line: str) -> None:
    changed = {**ledger, f"wen2023/{id}": replace(ledger[f"wen2023/{id}"], **change)}
    assert any(f"wen2023/{line}" in complaint for complaint in unsupported(changed))


def test_a_circle_is_named(ledger: dict[str, Claim]) -> None:
    bent = replace(ledger["wen2023/lemma-A.9"], depends_on=(Dependency("wen2023/lemma-A.18"),))
    with pytest.raises(
        ValueError, match=r"lemma-A\.17 rests on wen2023/lemma-A\.9 rests on wen2023/lemma-A\.18 rests on wen2023/lemma-A\.17"
    ):
        layers({**ledger, bent.id: bent})


def test_a_reading_that_is_not_the_statements_does_not_flip_it() -> None:
    def mixed() -> Iterator[Evidence]:
        yield Evidence("proved", "symbolic", "all", "holds")
        yield Evidence("refuted", "example", "-", "fails", "so", "statement", "substance", reading="relu'(0) = 0")

    statement = Statement("x/y", "printed", (), "Title", mixed, reading="differentiable parameters")
    assert (statement.claim().status, statement.claim().target) == ("proved", None)
    assert replace(statement, reading="relu'(0) = 0").claim().status == "refuted"


def test_a_refutation_needs_a_target_and_a_severity() -> None:
    for target, severity in ((None, None), ("statement", None), (None, "boundary")):
        with pytest.raises(ValueError, match="a refutation, and nothing else, has a target and a severity"):
            Evidence("refuted", "m", "s", "f", "c", target, severity)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nothing else"):
        Evidence("proved", "m", "s", "f", None, "statement", "boundary")


def test_a_headline_counts_a_papers_statements_by_severity_and_what_runs_judge_apart(ledger: dict[str, Claim]) -> None:
    paper = [c for c in ledger.values() if c.id.startswith("wen2023/")]
    line = next(line for line in headlines(list(ledger.values())) if line.startswith("wen2023: "))
    assert headlines(paper) == [line]
    stated, measured = ([c for c in paper if (c.id in statements()) == known] for known in (True, False))
    assert line.startswith(
        f"wen2023: of {len(stated)} statements {sum(c.status == 'refuted' for c in stated)} fail as printed: "
        "2 in substance, 6 in a constant or a sign, 7 at a boundary; the others: "
    )
    assert " Of those that stand are printed: 2 with a construction that fails, 3 with a step of the proof that fails." in line
    assert "2 of the proved rest on a cited theorem" in line
    assert f"Measured: of {len(measured)} claims 1 fails as printed: 1 in substance (table-1); the others: " in line


def test_the_pages_count_as_the_headline_does(ledger: dict[str, Claim]) -> None:
    (text,) = headlines([c for c in ledger.values() if c.id.startswith("wen2023/")])
    root = Path(__file__).parents[4]
    readme, page = (" ".join((root / name).read_text().split()) for name in ("README.md", "docs/background/ledger.md"))
    counts = text.removeprefix("wen2023: ").split(";")[0]
    assert text.split(" Measured")[0] in page
    committed = json.loads((root / "paper_results/wen2023/claims.json").read_text(encoding="utf-8"))
    assert committed["notes"][0] in page, "what is measured is not what the committed table counts"
    assert counts.replace("statements", "statements of that paper") in readme
    printed = [c for id, c in ledger.items() if id.startswith("andriushchenko2023/diag-")]
    proved, refuted = (sum(c.status == status for c in printed) for status in ("proved", "refuted"))
    defined = sum(
        c.status == "definition" for id, c in ledger.items() if id.startswith("andriushchenko2023/") and id in statements()
    )
    assert (
        f"of {proved + refuted + defined} statements {proved} hold, {refuted} fail at a boundary and {defined} are definitions"
        in page
    )
    assert f"Another {sum(id.startswith('own/diagonal') for id in ledger)} of our own" in page


def test_the_graph_places_every_statement_apart(ledger: dict[str, Claim]) -> None:
    paper = {id: c for id, c in ledger.items() if id.startswith("wen2023/")}
    place = places(paper)
    assert set(place) == set(paper)
    assert len(set(place.values())) == len(place)
    for c in paper.values():
        assert all(place[edge.id][0] < place[c.id][0] for edge in c.depends_on)
    drawn = graph("wen2023/claims-graph", list(paper.values()))
    (axes,) = drawn.canvas.axes
    texts = {t.get_text() for t in axes.texts}
    assert {"Theorem 3.2\nsubstance", "Lemma A.4\nstep fails", "Theorem A.3\ncited"} <= texts
    assert len(axes.texts) == len(paper)


def test_a_simplex_needs_one_neuron_a_head() -> None:
    """Theorem-3.2's counterexample of widths 5 and 8, as a network: interpolates, near the infimum 8, wrong on whole heads."""
    d, delta = 5, 1e-3
    tails, eta = section_3_batchnorm.simplex(d), 1e-3 / 4
    x = section_3_batchnorm.complete(tails).astype(float)
    y = x[:, 0] * x[:, 1]
    every = np.array(list(itertools.product((1.0, -1.0), repeat=d)))
    unseen = np.array([p for p in every if not (x == p).all(axis=1).any()])
    for heads in (1, 4):
        base = generalizing_network(d, "sim-bn")
        assert base.b1 is not None
        w1, b1, q = base.w1.copy(), base.b1.copy(), base.gamma * base.w2  # type: ignore[operator]
        for j in range(heads):
            h = w1[j, :2].copy()
            w1[j, 2] -= delta / 2
            b1[j] += delta / 2
            q[j] *= 2 * np.sqrt(np.mean(np.maximum(x @ w1[j] + b1[j], 0) ** 2))
            w1 = np.vstack([w1, [*(d * h), -0.5 - eta, *[-0.5] * (d - 3)]])
            b1 = np.append(b1, -2 * d + (d - 2) / 2 - 1)
            q = np.append(q, -h[0] * h[1] * delta / np.sqrt(len(x)))
        split = np.sqrt(np.abs(q))
        network = Network(1e4 * w1, np.sign(q) * split, 1e4 * b1, split, "sim-bn")
        assert network.width == 4 + heads
        assert loss(network, x, y) < 1e-15
        assert 8 <= trace_of_hessian(network, x) < 8 + 5e-3 * heads
        wrong = forward(network, unseen, train_x=x) * unseen[:, 0] * unseen[:, 1] < 0
        assert wrong.sum() == len(unseen) * heads / 4


def test_every_unseen_point_can_be_made_wrong_at_any_excess() -> None:
    rng = np.random.default_rng(3)
    tails = section_3_batchnorm.all_tails(6)[rng.permutation(16)[:9]]
    x = section_3_batchnorm.complete(tails).astype(float)
    y = x[:, 0] * x[:, 1]
    every = np.array(list(itertools.product((1, -1), repeat=6)))
    for point in (p for p in every if not (x == p).all(axis=1).any()):
        network = section_3_batchnorm.barely_active(tails, point, 1e4, c=1e-3, eta=1e-4)
        assert loss(network, x, y) < 1e-16
        assert trace_of_hessian(network, x) == pytest.approx(8 + 8e-3, abs=1e-5)
        assert forward(network, point[None], train_x=x)[0] * point[0] * point[1] < -10


def test_neurons_off_their_kinks_output_the_same() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        d = int(rng.integers(2, 5))
        x = [tuple(Fraction(int(v)) for v in row) for row in rng.integers(-2, 3, (8, d))]
        w, a = tuple(Fraction(int(v)) for v in rng.integers(-2, 3, d)), Fraction(int(rng.integers(1, 4)), 3)
        pair = off_kinks(w, a, x)
        for p in x:
            z = [sum(s * t for s, t in zip(v, p, strict=True)) for v, _ in pair]
            assert all(z) or not any(p)
            before = a * max(sum(s * t for s, t in zip(w, p, strict=True)), Fraction(0))
            assert sum(weight * max(value, Fraction(0)) for value, (_, weight) in zip(z, pair, strict=True)) == before
        norms = [float(np.linalg.norm([float(v) for v in v])) * abs(float(weight)) for v, weight in pair]
        moved = float(np.linalg.norm([float(s - t) for s, t in zip(pair[0][0], w, strict=True)]))
        assert sum(norms) <= float(a) * (3 * float(np.linalg.norm([float(v) for v in w])) + 4 * moved) + 1e-9


def test_flattest_pairs_on_the_circle_keep_their_limit() -> None:
    errors = []
    for n in (101, 401):
        t = np.linspace(-np.pi, np.pi, n, endpoint=False)
        errors.append(appendix_circle.relative_error(appendix_circle.pairs(t, 2 + np.sin(t))))
    assert errors[1] == pytest.approx(1 / 2205, rel=0.02)
    assert errors[1] > 0.9 * errors[0]  # a floor: four times the samples do not help


def test_a_failed_check_leaves_the_statement_open() -> None:
    def broken() -> Iterator[Evidence]:
        yield Evidence("proved", "symbolic", "all", "fine so far")
        require(1 + 1 == 3, "1 + 1 is not 3")

    examined = Statement("x/y", "printed", (), "Title", broken).claim()
    assert examined.status == "open"
    assert examined.evidence[-1].finding == "1 + 1 is not 3"
    with pytest.raises(EvidenceFailed):
        require(False, "no")


def test_a_failed_step_leaves_a_proved_statement_standing() -> None:
    def stands() -> Iterator[Evidence]:
        yield Evidence("refuted", "counterexample", "-", "the step fails", "another step", "proof step", "constant or sign")
        yield Evidence("proved", "symbolic", "all", "holds")

    examined = Statement("x/y", "printed", (), "Title", stands).claim()
    assert (examined.status, examined.target, examined.severity, examined.corrected) == (
        "proved",
        "proof step",
        "constant or sign",
        "another step",
    )


def test_a_refutation_outranks_what_else_is_shown() -> None:
    def mixed() -> Iterator[Evidence]:
        yield Evidence("proved", "symbolic", "the corrected statement", "holds")
        yield Evidence("refuted", "counterexample", "n = 1", "fails", "so", "statement", "boundary")

    examined = Statement("x/y", "printed", (), "Title", mixed).claim()
    assert (examined.status, examined.corrected) == ("refuted", "so")


def test_unknown_ids_are_named() -> None:
    with pytest.raises(
        ValueError, match=r"unknown statement 'wen2023/lemma-4\.2'; expected an id of the ledger, such as wen2023/"
    ):
        examine(["wen2023/lemma-4.2"], None)
    with pytest.raises(ValueError, match="unknown statement 'nothing'"):
        claims.ledger(["nothing"])
    with pytest.raises(ValueError, match="registered twice"):
        claims.claim("wen2023/lemma-4.1", printed="again")(lambda: ())
    assert "wen2023/lemma-4.1" in statements()


def test_statements_stand_in_the_papers_order() -> None:
    ids = [id.removeprefix("wen2023/") for id in statements()]
    wanted = """zero-one-loss condition-1 condition-2 equation-2 equation-15 lemma-3.1 theorem-3.2 definition-4.1 lemma-4.1 theorem-5.1
    lemma-A.1 proposition-A.2 lemma-A.9 lemma-A.10 lemma-A.27"""
    assert [id for id in ids if id in wanted.split()] == wanted.split()


def test_the_table_holds_every_statement(ledger: dict[str, Claim]) -> None:
    made = table("wen2023/claims", list(ledger.values()))
    assert list(made.shown["id"]) == list(ledger)
    assert set(made.brief) <= set(made.shown.columns)
