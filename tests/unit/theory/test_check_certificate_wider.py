"""The independent checker on other objectives and on fits within a tolerance: everything that could be wrong with such a certificate."""

import copy
import json
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from flatproof.theory import check_certificate
from flatproof.theory.check_certificate import Invalid, check, semidefinite
from flatproof.theory.flatness.objectives import Objective, Tolerance, whitening
from flatproof.theory.flatness.wider import flattest_for
from tests.certificates import CUBE, Json, through_json, xor
from tests.unit.theory.test_check_certificate import at, changed, leaves, verdict_or_none
from tests.wider import KINDS, made, reached, restated


@pytest.fixture(scope="module")
def kinds() -> dict[str, Json]:
    return {kind: made(kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_matters(kind: str, kinds: dict[str, Json]) -> None:
    """A changed number is refused or changes nothing; brought in line with the rest, it claims no more than is true."""
    certificate = kinds[kind]
    honest, survived = check(certificate), []
    true = reached(certificate) if "predictions" in certificate else []
    for path in leaves(certificate):
        old = at(certificate, path)
        if old is None:
            continue
        words = path[-1] in ("format", "statement", "architecture", "kinks", "data_sha256", "answer", "name")
        for new in [old + " ", "bias"] if words else [Fraction(old) * Fraction(11, 10) + Fraction(1, 7), -Fraction(old)]:
            text: Any = int(new) if path[-1] == "sign" else str(new)
            if text in (old, str(old)):
                continue
            forged = changed(certificate, path, text)
            verdict = verdict_or_none(forged)
            assert verdict in (None, honest), path
            if verdict:
                survived.append(path)
            if words or path[0] in ("x", "y", "objective", "tolerance", "within") or path[-2:] == ("x",):
                continue
            try:
                forged = restated(forged)
            except (Invalid, ZeroDivisionError):
                continue
            again = verdict_or_none(forged)
            assert again is None or again.lower <= honest.upper, path
            for value, entry in zip(true, forged.get("predictions", []) if again else [], strict=False):
                assert -Fraction(entry["low"]["bound"]) <= value <= Fraction(entry["high"]["bound"]), path
    assert {path[0] for path in survived} <= {"patterns", "predictions", "decision", "objective", "upper"}
    assert not [path for path in survived if path[0] == "objective" and path[1] != "eigenvalue"]
    assert not [path for path in survived if path[0] == "upper" and not honest.statement.count("lambda_max")]


@pytest.mark.parametrize("kind", KINDS)
def test_any_value_of_another_kind_is_named(kind: str, kinds: dict[str, Json]) -> None:
    certificate = kinds[kind]
    for path in list(leaves(certificate))[::3]:
        for new in (0.5, True, "0.5", "1/0", [], {}, None):
            if new is None and (path[-1] in ("plus", "minus") or at(certificate, path) is None):
                continue
            if new is None and path[0] == "predictions" and isinstance(path[-1], int):
                continue
            with pytest.raises(Invalid):
                check(changed(certificate, path, new))
    for name in {"objective", "tolerance", "loss"} & {*certificate}:
        for key in certificate[name]:
            with pytest.raises(Invalid):
                check(certificate | {name: {k: v for k, v in certificate[name].items() if k != key}})
        if name == "loss":  # what it says is all that goes
            assert check({key: value for key, value in certificate.items() if key != name}).loss is None
        else:
            with pytest.raises(Invalid):
                check({key: value for key, value in certificate.items() if key != name})
        with pytest.raises(Invalid, match="unknown field"):
            check(certificate | {name: certificate[name] | {"comment": 1}})
        for version in ("flatproof-certificate-2", "flatproof-certificate-3"):
            with pytest.raises(Invalid, match="unknown field"):
                check(certificate | {"format": version})


def test_semidefinite_is_what_its_eigenvalues_say() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        n, rank = int(rng.integers(1, 6)), int(rng.integers(0, 6))
        factor = rng.integers(-3, 4, (n, rank))
        matrix = factor @ factor.T
        assert semidefinite(matrix.tolist())
        if n > 1:
            i, k = rng.choice(n, 2, replace=False)
            matrix[i, k] += 1
            matrix[k, i] += 1
        matrix[0, 0] -= int(rng.integers(0, 2))
        assert semidefinite(matrix.tolist()) == (np.linalg.eigvalsh(matrix)[0] > -1e-9)
    assert not semidefinite([[0, 1], [1, 0]])
    assert not semidefinite([[0, 0, 1], [0, 1, 0], [1, 0, 5]])


def test_the_metric_must_be_semidefinite_symmetric_and_of_its_trace(kinds: dict[str, Json]) -> None:
    certificate = kinds["largest eigenvalue"]
    metric = [[Fraction(c) for c in row] for row in certificate["objective"]["metric"]]

    def refused(change: list[tuple[int, int, Fraction]], reason: str) -> None:
        rows = copy.deepcopy(metric)
        for i, k, by in change:
            rows[i][k] += by
        forged = certificate | {"objective": certificate["objective"] | {"metric": [[str(c) for c in row] for row in rows]}}
        with pytest.raises(Invalid, match=reason):
            check(forged)

    one = Fraction(1)
    refused([(0, 1, one)], "not symmetric")
    refused([(0, 0, one)], "the trace of objective.metric")
    refused([(0, 0, 2 * one), (1, 1, -2 * one)], "negative eigenvalue")
    refused([(0, 1, 5 * one), (1, 0, 5 * one)], "negative eigenvalue")
    for weight in ("0", "-1"):
        with pytest.raises(Invalid, match="not positive"):
            check(certificate | {"objective": certificate["objective"] | {"lambda_max": weight}})
    with pytest.raises(Invalid, match="negative"):
        check(certificate | {"objective": certificate["objective"] | {"trace": "-1"}})
    with pytest.raises(Invalid, match="the objective is 0"):
        check(kinds["squares"] | {"objective": {"trace": 0, "squares": 0}})


def with_inner(certificate: Json, inner: list[list[Any]]) -> Json:
    return certificate | {"objective": certificate["objective"] | {"inner": inner}}


def test_the_map_of_the_inputs_must_be_the_one_that_is_proved(kinds: dict[str, Json]) -> None:
    """Longer inputs make neurons dearer than their costs, shorter ones proofs longer than their prices; and each is told apart."""
    for kind in ("whitened", "mapped"):
        certificate = kinds[kind]
        inner = [[Fraction(c) for c in row] for row in certificate["objective"]["inner"]]
        p = len(inner)

        def scaled(
            factor: Fraction, certificate: Json = certificate, inner: list[list[Fraction]] = inner, forge: bool = True
        ) -> Json:
            out = with_inner(certificate, [[str(factor * c) for c in row] for row in inner])
            return restated(out) if forge else out

        with pytest.raises(Invalid, match="cost is too small"):
            check(scaled(Fraction(10001, 10000)))
        with pytest.raises(Invalid, match=r"longer than the price|has no proof"):
            check(scaled(Fraction(9999, 10000)))
        if kind == "whitened":
            assert " on the whitened inputs >= " in certificate["statement"]
            moved = scaled(1 + Fraction(1, 10**60), forge=False)
            with pytest.raises(Invalid, match=r"cost is too small|A'A = objective.inner, >= "):
                check(moved)
        for change, reason in (
            ([(0, 1, 1)], "not symmetric"),
            ([(0, 0, -inner[0][0])], "not positive definite"),
            ([(0, 1, 9), (1, 0, 9)], "not positive definite"),
            ([(i, k, -inner[i][k]) for i in range(p) for k in range(p)], "not positive definite"),
            ([(i, k, 1 - inner[i][k]) for i in range(p) for k in range(p)], "not positive definite"),  # of rank 1
        ):
            rows = copy.deepcopy(inner)
            for i, k, by in change:
                rows[i][k] += by
            with pytest.raises(Invalid, match=reason):
                check(with_inner(certificate, [[str(c) for c in row] for row in rows]))
        for wrong in (certificate["objective"]["inner"][1:], [row[1:] for row in certificate["objective"]["inner"]], [], "I"):
            with pytest.raises(Invalid, match=r"objective\.inner"):
                check(with_inner(certificate, wrong))
        for weight in ({"squares": 1}, {"lambda_max": 1, "metric": [[1]], "eigenvalue": 1}):
            with pytest.raises(Invalid, match=r"trace alone|lambda_max|metric"):
                check(certificate | {"objective": certificate["objective"] | weight})
    batchnorm = through_json(xor(2, "sim-bn")) | {"format": check_certificate.WIDER}
    with pytest.raises(Invalid, match="sim-bn is its trace"):
        check(batchnorm | {"objective": kinds["mapped"]["objective"]})


def test_only_what_whitens_is_called_so() -> None:
    """By second moments of the images in floating point, on maps that do and that nearly do."""
    rng = np.random.default_rng(0)
    for architecture, d in (("no-bias", 3), ("bias", 2)):
        x = rng.integers(-3, 4, (6, d)).astype(float)
        inner = whitening(architecture, x)
        root = np.linalg.cholesky(np.array(inner, float)).T
        images = np.hstack([x, np.ones((6, len(inner) - d))]) @ root.T
        assert images[:, :d].T @ images[:, :d] / 6 == pytest.approx(np.eye(d))
        assert images[:, d:] == pytest.approx(1)
        for i in (None, *range(len(inner))):
            rows = [[str(c + Fraction(1, 10**30) * (i == a == b)) for b, c in enumerate(row)] for a, row in enumerate(inner)]
            head = {"architecture": architecture, "kinks": "differentiable", "x": x.astype(int).tolist(), "y": [0] * 6}
            objective = check_certificate.Data(head | {"objective": {"trace": 1, "squares": 0, "inner": rows}}).objective
            assert objective.whitens == (i is None)
            assert str(objective).endswith("whitened inputs") == (i is None)


def test_a_logarithm_lies_between_its_bounds() -> None:
    """Against mpmath, to 30 digits."""
    with mpmath.workdps(60):
        for top, bottom in ((1, 1), (10**9 + 1, 10**9), (3, 2), (2, 1), (9, 1), (9999, 1), (10**40 - 1, 7)):
            low, high = check_certificate.logarithm(Fraction(top, bottom))
            exact = mpmath.log1p(mpmath.mpf(top - bottom) / bottom)
            ends = [mpmath.mpf(end.numerator) / end.denominator for end in (low, high)]
            assert ends[0] <= exact * (1 + mpmath.mpf(10) ** -55)
            assert exact * (1 - mpmath.mpf(10) ** -55) <= ends[1]
            assert ends[1] - ends[0] <= mpmath.mpf(10) ** -30


def test_the_correspondence_of_the_losses_is_verified(kinds: dict[str, Json]) -> None:
    """A target that does not enclose ln((1 - p)/p), a p that is none, labels, an objective or a tolerance that it does not go with."""
    for kind in ("logistic", "logistic, whitened"):
        certificate = kinds[kind]
        low, high = (Fraction(end) for end in certificate["loss"]["target"])

        def forged(certificate: Json = certificate, **change: Any) -> Json:
            return restated(certificate | {"loss": certificate["loss"] | change})

        wider = check(forged(target=[str(low - Fraction(1, 1000)), str(high + Fraction(1, 1000))]))
        assert wider.loss is not None
        assert wider.loss != certificate["loss"]["statement"]
        tiny = Fraction(1, 10**9)
        for target in ([low + tiny, high + tiny], [low - tiny, high - tiny], [high, low], [-high, high], [0, high]):
            with pytest.raises(Invalid, match="does not enclose"):
                check(forged(target=[str(end) for end in target]))
        p = Fraction(certificate["loss"]["smoothing"])
        for smoothing in (p + tiny, p - tiny):
            with pytest.raises(Invalid, match="does not enclose"):
                check(forged(smoothing=str(smoothing)))
        for smoothing in (Fraction(0), Fraction(1, 2), 1 - p, -p):
            with pytest.raises(Invalid, match="not between 0 and 1/2"):
                check(forged(smoothing=str(smoothing)))
        for name in ("lower", "upper"):
            for factor in (1 + tiny, 1 - tiny):
                bolder = certificate["loss"] | {name: str(Fraction(certificate["loss"][name]) * factor)}
                with pytest.raises(Invalid, match=rf"loss\.{name} is not target"):
                    check(certificate | {"loss": bolder})
        with pytest.raises(Invalid, match=r"loss\.name"):
            check(forged(name="hinge"))
        assert check(certificate).loss == check(certificate).lines[-1] == certificate["loss"]["statement"]
    loss = kinds["logistic"]["loss"]
    for kind, reason in (
        ("squares", "trace alone"),
        ("largest eigenvalue", "trace alone"),
        ("each", "no tolerance"),
        ("mean square", "tolerance"),
    ):
        with pytest.raises(Invalid, match=reason):
            check(restated(kinds[kind] | {"loss": loss}))
    answer = flattest_for(CUBE[2], CUBE[2].prod(axis=1) * [1, 2, 1, 1], "bias")
    with pytest.raises(Invalid, match=r"y\[1\] is neither 1 nor -1"):
        check(restated(json.loads(json.dumps(answer.certificate())) | {"loss": loss}))


def test_a_smaller_eigenvalue_is_refused(kinds: dict[str, Json]) -> None:
    for kind in ("largest eigenvalue", "with the trace"):
        certificate = kinds[kind]
        for factor in (Fraction(999999, 1000000), Fraction(1, 2), Fraction(0)):
            less = str(Fraction(certificate["objective"]["eigenvalue"]) * factor)
            with pytest.raises(Invalid, match="less than the largest of the network"):
                check(certificate | {"objective": certificate["objective"] | {"eigenvalue": less}})
        with pytest.raises(Invalid, match="upper is not the sum"):
            check(certificate | {"upper": str(Fraction(certificate["upper"]) * Fraction(999999, 1000000))})
        neuron = certificate["neurons"][0]
        for a in (0, "-1"):
            with pytest.raises(Invalid, match="not positive"):
                check(changed(certificate, ("neurons", 0), neuron | {"a": a}))
        with pytest.raises(Invalid, match="less than the largest of the network"):
            check(changed(certificate, ("neurons", 0), neuron | {"a": str(2 * Fraction(neuron["a"]))}))


def test_a_kernel_is_the_hessian() -> None:
    """The largest eigenvalue and the trace of (1/n) sum (f - y)^2 at interpolation, by differences of the loss."""
    rng = np.random.default_rng(1)
    x, w, a = rng.integers(-3, 4, (4, 2)), rng.integers(-3, 4, (3, 2)), np.array([1.0, -2.0, 0.5])
    y = np.maximum(x @ w.T, 0) @ a
    keep = (np.abs(x @ w.T) > 0.5).all(axis=1)
    x, y = x[keep], y[keep]

    def loss(parameters: np.ndarray) -> float:
        first, second = parameters[:6].reshape(3, 2), parameters[6:]
        return float(np.mean((np.maximum(x @ first.T, 0) @ second - y) ** 2))

    start, step, size = np.concatenate([w.ravel(), a]).astype(float), 1e-3, 9
    unit = step * np.eye(size)
    hessian = np.array(
        [
            [
                sum(s * t * loss(start + s * unit[i] + t * unit[k]) for s in (1, -1) for t in (1, -1)) / (4 * step**2)
                for k in range(size)
            ]
            for i in range(size)
        ]
    )
    top, trace = float(np.linalg.eigvalsh(hessian)[-1]), float(np.trace(hessian))
    neurons = [([Fraction(int(c)) * Fraction(abs(a[j])) for c in w[j]], Fraction(abs(a[j]))) for j in range(3)]
    n = len(x)
    metric = [[str(Fraction(int(i == k), n)) for k in range(n)] for i in range(n)]
    for factor, fine in ((1 + 1e-5, True), (1 - 1e-5, False)):
        objective = {"trace": 1, "squares": 1, "lambda_max": 1, "metric": metric, "eigenvalue": str(Fraction(top * factor))}
        head = {
            "architecture": "no-bias",
            "kinks": "differentiable",
            "x": x.tolist(),
            "y": [str(Fraction(v)) for v in y.tolist()],
        }
        data = check_certificate.Data(head | {"objective": objective})
        listed = [(v, b, tuple(i for i in range(n) if float(np.dot(x[i], [float(c) for c in v])) > 0)) for v, b in neurons]
        if fine:
            value = trace + top * factor + float(np.sum(start**2))
            assert abs(float(data.objective.of(listed)) - value) < 1e-4
        else:
            with pytest.raises(Invalid, match="less than the largest"):
                data.objective.of(listed)


def test_fits_must_be_within_the_tolerance(kinds: dict[str, Json]) -> None:
    for kind, name in (("each", "each"), ("mean square", "mean_square")):
        certificate = kinds[kind]
        for factor in (Fraction(0), Fraction(1, 2), Fraction(-1)):
            less = str(Fraction(certificate["tolerance"][name]) * factor)
            with pytest.raises(Invalid, match=r"interpolate|miss|negative"):
                check(certificate | {"tolerance": {name: less}})
        with pytest.raises(Invalid):
            check(certificate | {"tolerance": {"each": 1, "mean_square": 1}})
        bolder = str(Fraction(certificate["lower"]) * Fraction(1000001, 1000000))
        with pytest.raises(Invalid, match="what the tolerance takes"):
            check(certificate | {"lower": bolder})
        for end in ("low", "high"):
            bound = Fraction(certificate["predictions"][0][end]["bound"]) - Fraction(1, 1000)
            with pytest.raises(Invalid, match="what the tolerance adds"):
                check(changed(certificate, ("predictions", 0, end, "bound"), str(bound)))


def test_what_does_not_go_together_is_refused(kinds: dict[str, Json]) -> None:
    eigenvalue, squares = kinds["largest eigenvalue"], kinds["squares"]
    with pytest.raises(Invalid, match="no tolerance"):
        check(eigenvalue | {"tolerance": {"each": 1}})
    with pytest.raises(Invalid, match="predictions do not go with lambda_max"):
        check(eigenvalue | {"within": 1, "predictions": []})
    batchnorm = through_json(xor(2, "sim-bn")) | {"format": check_certificate.WIDER}
    check(batchnorm)
    with pytest.raises(Invalid, match="sim-bn is its trace"):
        check(batchnorm | {"objective": squares["objective"]})
    with pytest.raises(Invalid, match="sim-bn have to interpolate"):
        check(batchnorm | {"tolerance": {"each": 1}})
    cheaper = changed(squares, ("neurons", 0, "cost"), str(Fraction(squares["neurons"][0]["cost"]) * Fraction(999999, 1000000)))
    with pytest.raises(Invalid, match="cost is too small"):
        check(cheaper)


def test_no_direction_is_free_where_weights_have_a_price() -> None:
    x, y = CUBE[2][:3], CUBE[2][:3].prod(axis=1)
    for squares, fine in ((0.0, True), (0.125, False)):
        answer = flattest_for(x, y, "bias", objective=Objective(squares=squares))
        free = flattest_for(x, y, "bias").range(CUBE[2][3], 0.01).entry
        assert "direction" in free
        head = {"x": free["x"], "statement": None, "direction": free["direction"]}
        data = check_certificate.Data(answer.head)
        active = sorted({tuple(np.flatnonzero(row > 0).tolist()) for row in answer.signs})
        if fine:
            case = check_certificate.Prediction(data, head, "p", active, Fraction(1, 100), answer.lower, answer.upper)
            assert case.unbounded
        else:
            with pytest.raises(Invalid, match="not free"):
                check_certificate.Prediction(data, head, "p", active, Fraction(1, 100), answer.lower, answer.upper)


FLAT = np.array(
    [[1.0, 0.5, 0.0], [-0.75, 0.25, 0.0], [-0.25, -0.75, 0.0]]
)  # centred: each neuron that is not across it sees a sample
TURNED = FLAT @ np.array([[1.0, 2.0, 2.0], [2.0, 1.0, -2.0], [2.0, -2.0, 1.0]]) / 2


@pytest.mark.parametrize(("x", "q"), [(FLAT, [0.0, 0.0, 1.0]), (FLAT, [0.25, -0.125, -1.0]), (TURNED, [1.0, 1.0, 1.0])])
def test_neurons_that_no_sample_sees_are_priced_where_they_are_seen(x: np.ndarray, q: list[float]) -> None:
    """The flattest network and one such neuron, which adds 2 squares |v| to the objective, is none that a range leaves out."""
    y, squares, within = np.array([1.0, -1.0, 0.5]), 0.25, 1.0
    answer = flattest_for(x, y, "no-bias", "relu'(0)=0", Objective(squares=squares))
    wide = answer.range(np.array(q), within)
    certificate = json.loads(json.dumps(answer.certificate([wide], within)))
    across = np.linalg.svd(x)[2][-1]
    at_q = sum(s * max(float(np.dot(q, [float(c) for c in v])), 0) for v, s, _ in answer.neurons)
    rises = within * float(answer.upper) / (2 * squares) * abs(across @ q)  # at the whole of what is to spare
    assert wide.low <= at_q - rises < at_q + rises <= wide.high
    assert wide.reached == pytest.approx((wide.low, wide.high), rel=0.01)
    for end in ("low", "high"):
        proofs = certificate["predictions"][0][end]["proofs"]
        with pytest.raises(Invalid, match=f"{end} has no proof for the inputs none and needs one"):
            check(changed(certificate, ("predictions", 0, end, "proofs"), {k: v for k, v in proofs.items() if k}))


TWO, LABELS = np.array([[1.0, 1.0], [1.0, -1.0]]), np.array([1.0, -1.0])  # whose cone leaves half of the plane free


@pytest.fixture(scope="module")
def at_the_edge() -> dict[str, Json]:
    """Predictions that are free, those on a ray through a sample, and one in the cone with the wrong sign, each decided."""
    within = flattest_for(TWO, LABELS, tolerance=Tolerance(each=0.125))
    exact = flattest_for(TWO, LABELS, objective=Objective(squares=0.125))
    asked = {
        "direction": (within, [-1.0, 0.5], 1.0),
        "cone": (within, [1.0, -0.5], 1.0),
        "ray": (exact, [2.0, 2.0], 1.0),
        "ray, wrong": (exact, [2.0, 2.0], -1.0),
    }
    return {
        name: json.loads(json.dumps(answer.certificate([answer.range(np.array(point), 0.01)], 0.01, [label])))
        for name, (answer, point, label) in asked.items()
    }


def test_each_kind_of_prediction_decides(at_the_edge: dict[str, Json]) -> None:
    for name, answer in {"direction": "not all", "cone": "not all", "ray": "all"}.items():
        certificate = at_the_edge[name]
        assert name in certificate["predictions"][0], name
        assert certificate["decision"]["answer"] == answer, name
        assert check(certificate).statement == certificate["statement"]
    # whatever fits predicts -2 times the label
    assert at_the_edge["ray, wrong"]["decision"]["answer"] != "all"


@pytest.mark.parametrize("name", ["direction", "cone", "ray", "ray, wrong"])
def test_every_number_of_such_a_prediction_matters(name: str, at_the_edge: dict[str, Json]) -> None:
    certificate = at_the_edge[name]
    honest, moved = check(certificate), 0
    for path in leaves(certificate):
        old = at(certificate, path)
        if path[0] not in ("predictions", "decision", "within") or old is None:
            continue
        words = path[-1] in ("statement", "answer")
        for new in (
            ["all", "not all", "undecided"] if words else [Fraction(old) * Fraction(11, 10) + Fraction(1, 7), -Fraction(old)]
        ):
            text: Any = int(new) if path[-1] in ("sign", "of") else str(new)
            if text in (old, str(old)):
                continue
            moved += 1
            found = verdict_or_none(changed(certificate, path, text))
            if path == ("decision", "labels", 0) and Fraction(text) * Fraction(old) < 0 and found is not None:  # another question
                assert honest.decision is not None
                assert found.decision == honest.decision.translate(str.maketrans("+-", "-+"))
                found = found._replace(decision=honest.decision)
            assert found in (None, honest), path
    assert moved > 4


def test_a_direction_must_be_free_of_all_samples(at_the_edge: dict[str, Json]) -> None:
    certificate = at_the_edge["direction"]
    for forged in (["1", "0"], ["-1", "-3"], ["0", "1"], ["0", "0"]):  # each sees a sample or not the point
        with pytest.raises(Invalid, match="direction"):
            check(changed(certificate, ("predictions", 0, "direction"), forged))


def test_a_ray_says_what_its_sample_says(at_the_edge: dict[str, Json]) -> None:
    ray = at_the_edge["ray"]
    for forged in ({"of": 1, "times": "2"}, {"of": 0, "times": "3"}, {"of": 0, "times": "-2"}, {"of": 2, "times": "2"}):
        with pytest.raises(Invalid):
            check(changed(ray, ("predictions", 0, "ray"), forged))
    within = at_the_edge["cone"]
    bold = "at (2, 2): every network within 0.01 of the flattest has f >= 2"
    with pytest.raises(Invalid, match=r"f >= 1\.75; .* f <= 2\.25"):  # twice 1 +- 1/8
        check(changed(within, ("predictions", 0), {"x": ["2", "2"], "statement": bold, "ray": {"of": 0, "times": "2"}}))
