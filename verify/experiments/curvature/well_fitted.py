"""Owns the sweep of `verify.curvature` over how well a network is fitted: do intervals hold where 1 - p is 1e-30?

Networks whose training loss is 1 to 1e-30, their Hessian written out by hand in extended precision, estimates in float32 and float64 from
many random starts. With z (n, K) the outputs, g and C the slope and curvature of the loss in them, J_i the outputs' Jacobian,

    H = (1/n) sum_i J_i' C_i J_i + (1/n) sum_ik g_ik d²z_ik / dw²,

binary: Linear(5, 2) without bias, rows -c e_1 and c e_1, so that p(1 - p) = e^-z / (1 + e^-z)²; all others: 4 - 6 tanh - K, whose
output layer is scaled until the loss is what is wanted. "spelt out" is the cross-entropy as -log(softmax(z)[y]), whose digits are lost
before anybody can keep them: there the interval has to say that it does not know.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from flatproof.verify.experiments.vocabulary import provenance_of
from flatproof.verify.jobs.job import Computation, StoredValues
from flatproof.verify.report.artifacts import Table

Wide = NDArray[np.longdouble]
HEADS = ("binary", "ten classes", "smoothed labels", "logistic", "mean squares", "spelt out")
DTYPES = ("float32", "float64")
LOSSES = (1.0, 1e-2, 1e-5, 1e-8, 1e-12, 1e-16, 1e-22, 1e-30)
NETWORKS, PRODUCTS = 5, 60
NOMINAL = {"lambda-max": 0.995, "hutchinson": 0.95, "xtrace": 0.95}
KNOWN = 0.1  # an interval that reaches farther than this from its value, relative to it, is counted as not knowing


@dataclass(frozen=True)
class Fitted(Computation):
    """Every estimator at every loss, from `starts` random starts spread over NETWORKS networks."""

    JOB = "well-fitted"
    VERSION = 2  # raised when a change in verify.curvature alters estimates

    head: str
    dtype: str
    starts: int

    @property
    def cost(self) -> float:
        """About 15 ms a start."""
        return 2.0 + 0.015 * len(LOSSES) * self.starts

    def carry_out(self) -> dict[str, Any]:
        """Per loss and estimator: how often the interval held the exact value and how often it claimed to know it; medians."""
        from flatproof.verify.utils.threads import single_threaded

        with single_threaded():
            return {"losses": [self._at(place, loss) for place, loss in enumerate(LOSSES)]}

    def _at(self, place: int, wanted: float) -> dict[str, Any]:
        from flatproof.verify.curvature import HessianOperator, lambda_max, trace

        each = max(1, self.starts // NETWORKS)
        trials: dict[str, list[tuple[bool, float, float]]] = {name: [] for name in NOMINAL}
        losses, tops = [], []
        for network in range(NETWORKS):
            model, loss, data, subject = made(self.head, self.dtype, wanted, network)
            H, exact_loss = subject
            truth = {"lambda-max": largest(H), "trace": H.trace()}
            losses.append(float(exact_loss))
            tops.append(float(truth["lambda-max"]))
            operator = HessianOperator(model, loss, data, verify=False)  # lost digits are for the intervals to notice
            cell = place + len(LOSSES) * (HEADS.index(self.head) + len(HEADS) * DTYPES.index(self.dtype))
            first = 1 + each * (network + NETWORKS * cell)  # no start serves twice
            for start in range(first, first + each):
                for name, level in NOMINAL.items():
                    exact = truth["lambda-max" if name == "lambda-max" else "trace"]
                    e = (
                        lambda_max(operator, confidence=level, seed=start)
                        if name == "lambda-max"
                        else trace(operator, name, products=PRODUCTS, block=PRODUCTS, seed=start)  # type: ignore[arg-type]
                    )
                    doubt = 1e3 * np.finfo(np.longdouble).eps * abs(exact)  # of the exact value itself
                    held = bool(e.low - doubt <= exact <= e.high + doubt)
                    trials[name].append((held, abs(float(e.value / exact) - 1), min(e.relative_error, 1e300)))
        out: dict[str, Any] = {"wanted": wanted, "loss": float(np.median(losses)), "lambda": float(np.median(tops))}
        for name, results in trials.items():
            covers, errors, reaches = (np.array(column) for column in zip(*results, strict=True))
            out[name] = {
                "trials": len(results),
                "covered": int(covers.sum()),
                "known": int((reaches <= KNOWN).sum()),
                "error": float(np.median(errors)),
                "reach": float(np.median(reaches)),
            }
        return out

    def summary(self, values: dict[str, Any]) -> str:
        """How often the interval of lambda_max covered."""
        cells = [v["lambda-max"] for v in values["losses"]]
        return f"lambda-max {sum(c['covered'] for c in cells)}/{sum(c['trials'] for c in cells)}"


def jobs(starts: int) -> list[Fitted]:
    """All heads in both precisions."""
    return [Fitted(head, dtype, starts) for head in HEADS for dtype in DTYPES]


# ------------------------------------------------------------------------------------------------------- networks and Hessians


def made(head: str, dtype: str, wanted: float, network: int) -> tuple[Any, Callable[..., Any], tuple[Any, Any], tuple[Wide, Any]]:
    """A network as well fitted as wanted.

    Args:
        head: one of HEADS.
        dtype: "float32" or "float64".
        wanted: training loss.
        network: number of the draw.

    Returns:
        The model, its loss, its data, and its Hessian (P, P) and loss in extended precision.
    """
    import torch
    from torch import nn

    rng = np.random.default_rng([network, HEADS.index(head)])
    K = {"binary": 2, "logistic": 1, "mean squares": 1}.get(head, 10)
    smoothing = wanted / 1000 if head == "smoothed labels" else 0.0
    if head == "binary":
        x = rng.standard_normal((50, 5)).astype(np.float32).astype(np.float64)
        x[:, 0] += np.sign(x[:, 0])
        y: NDArray[Any] = (x[:, 0] > 0).astype(np.int64)
        layers = [np.outer([-1.0, 1.0], np.eye(5)[0])]
    else:
        layers = [rng.standard_normal((6, 4)), 0.5 * rng.standard_normal(6), rng.standard_normal((K, 6)), np.zeros(K)]
        x = rng.standard_normal((400, 4)).astype(np.float32).astype(np.float64)
        z = np.tanh(x @ layers[0].T + layers[1]) @ layers[2].T
        order = np.sort(z, axis=1)
        margin = np.abs(z[:, 0]) if K == 1 else order[:, -1] - order[:, -2]
        kept = np.argsort(-margin)[:30]  # all about equally sure, so that none has the whole loss
        x, z = x[kept], z[kept]
        y = z.argmax(axis=1) if K > 1 else (z[:, 0] > 0).astype(np.float64)
    if head == "mean squares":
        y = z[:, 0] + np.sqrt(wanted) * rng.choice([-1.0, 1.0], len(x))
    else:
        scale = _scale(
            lambda c: float(_loss(head, _outputs([*layers[:-2], *(c * p for p in layers[-2:])], x), y, smoothing)[0]), wanted
        )
        layers[-2:] = [scale * p for p in layers[-2:]]
    precision = getattr(torch, dtype)
    layers = [p.astype(dtype).astype(np.float64) for p in layers]
    if y.dtype.kind == "f":
        y = y.astype(dtype).astype(np.float64)
    model: Any = nn.Linear(5, 2, bias=False) if head == "binary" else nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, K))
    with torch.no_grad():
        for parameter, values in zip(model.parameters(), layers, strict=True):
            parameter.copy_(torch.as_tensor(values))
    model = (nn.Sequential(model, nn.Flatten(0)) if K == 1 else model).to(precision)
    with torch.no_grad():
        for parameter, values in zip(model.parameters(), layers, strict=True):
            parameter.copy_(torch.as_tensor(values))
    targets = torch.as_tensor(y) if y.dtype.kind == "i" else torch.as_tensor(y).to(precision)
    return (
        model,
        _torch_loss(head, smoothing),
        (torch.as_tensor(x).to(precision), targets),
        explicit(head, layers, x, y, smoothing),
    )


def _torch_loss(head: str, smoothing: float) -> Callable[..., Any]:
    from torch import nn
    from torch.nn import functional as F

    if head == "spelt out":
        return lambda z, y: -z.softmax(1).gather(1, y[:, None]).log().mean()
    if head == "mean squares":
        return nn.MSELoss()
    return F.binary_cross_entropy_with_logits if head == "logistic" else nn.CrossEntropyLoss(label_smoothing=smoothing)


def _scale(loss: Callable[[float], float], wanted: float) -> float:
    """c with loss(c) = wanted, by bisection; the loss falls with c, from log K at 0."""
    low, high = 0.0, 1.0
    while loss(high) > wanted:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if loss(middle) > wanted else (low, middle)
    return high


def _outputs(layers: Sequence[NDArray[Any]], x: NDArray[Any]) -> Wide:
    """z (n, K) in extended precision."""
    wide = [np.asarray(p, dtype=np.longdouble) for p in layers]
    h = np.asarray(x, dtype=np.longdouble)
    if len(wide) == 1:
        return np.asarray(h @ wide[0].T)
    return np.asarray(np.tanh(h @ wide[0].T + wide[1]) @ wide[2].T + wide[3])


def _loss(head: str, z: Wide, y: NDArray[Any], smoothing: float) -> tuple[Any, Wide, Wide]:
    """The mean loss, its slopes (n, K) and its curvatures (n, K, K) in each sample's outputs; nothing near 1 is subtracted."""
    n, K = z.shape
    if head == "mean squares":
        r = z[:, 0] - y
        return (r**2).mean(), 2 * r[:, None], np.full((n, 1, 1), np.longdouble(2))
    if head == "logistic":
        wrong = np.where(y > 0, -z[:, 0], z[:, 0])  # log(1 + e^wrong)
        e = np.exp(-np.abs(wrong))
        value = np.maximum(wrong, 0) + np.log1p(e)
        slope = np.where(wrong > 0, 1 / (1 + e), e / (1 + e)) * np.where(y > 0, -1, 1)
        return value.mean(), slope[:, None], (e / (1 + e) ** 2)[:, None, None]
    rows, top = np.arange(n), z.argmax(axis=1)
    d = z - z[rows, top][:, None]
    e = np.exp(d)
    e[rows, top] = 0
    S = e.sum(axis=1, keepdims=True)
    p = e / (1 + S)  # 0 at the likeliest class for now
    q = np.full((n, K), np.longdouble(smoothing) / K)
    q[rows, y] += 1 - np.longdouble(smoothing)
    value = np.log1p(S[:, 0]) - (q * d).sum(axis=1)
    slope = p - q
    slope[rows, top] = 0
    slope[rows, top] = -slope.sum(axis=1)
    rest = p.sum(axis=1)  # 1 - p of the likeliest
    p[rows, top] = 1 / (1 + S[:, 0])
    curvature = -p[:, :, None] * p[:, None, :]
    diagonal = p * (1 - p)
    diagonal[rows, top] = p[rows, top] * rest
    curvature[:, np.arange(K), np.arange(K)] = diagonal
    return value.mean(), slope, curvature


def explicit(head: str, layers: Sequence[NDArray[Any]], x: NDArray[Any], y: NDArray[Any], smoothing: float) -> tuple[Wide, Any]:
    """The Hessian and the loss in extended precision.

    Args:
        head: one of HEADS.
        layers: weights and biases in their order.
        x: (n, d).
        y: classes or targets, (n,).
        smoothing: of the labels.

    Returns:
        The Hessian (P, P), parameters in the order of the layers, and the loss.
    """
    z = _outputs(layers, x)
    value, g, C = _loss(head, z, y, smoothing)
    n, K = z.shape
    inputs = np.asarray(x, dtype=np.longdouble)
    if len(layers) == 1:
        J = np.einsum("kc,nd->nkcd", np.eye(K, dtype=np.longdouble), inputs).reshape(n, K, -1)
        return np.einsum("nka,nkl,nlb->ab", J, C, J, optimize=True) / n, value
    W, a, V, _ = (np.asarray(p, dtype=np.longdouble) for p in layers)
    m, size = W.shape
    h = np.tanh(inputs @ W.T + a)
    s = 1 - h**2
    units = np.eye(K, dtype=np.longdouble)
    J = np.concatenate(
        [
            np.einsum("kj,nj,nd->nkjd", V, s, inputs).reshape(n, K, -1),
            np.einsum("kj,nj->nkj", V, s),
            np.einsum("kc,nj->nkcj", units, h).reshape(n, K, -1),
            np.broadcast_to(units, (n, K, K)),
        ],
        axis=2,
    )
    H: Wide = np.einsum("nka,nkb->ab", J, np.einsum("nkl,nlb->nkb", C, J))
    places = np.concatenate(
        [np.arange(m * size).reshape(m, size), m * size + np.arange(m)[:, None]], axis=1
    )  # (W, a) of each neuron
    ones = np.concatenate([inputs, np.ones((n, 1), dtype=np.longdouble)], axis=1)
    bend = (g @ V) * (-2 * h * s)
    for j in range(m):
        H[np.ix_(places[j], places[j])] += np.einsum("n,nd,ne->de", bend[:, j], ones, ones)
        for k in range(K):
            cross = (g[:, k] * s[:, j]) @ ones
            place = m * size + m + k * m + j
            H[places[j], place] += cross
            H[place, places[j]] += cross
    return H / n, value


def largest(H: Wide) -> Any:
    """The largest eigenvalue: the Rayleigh quotient, in extended precision, of float64's eigenvector, whose error enters squared."""
    size = np.abs(H).max()
    u = np.linalg.eigh((H / size).astype(np.float64))[1][:, -1].astype(np.longdouble)
    return u @ (H @ u) / (u @ u)


# ---------------------------------------------------------------------------------------------------------------------- table


def table(id: str, ready: Sequence[tuple[Fitted, StoredValues]]) -> Table:
    """A row a head, precision and loss."""
    rows = []
    for job, stored in ready:
        for cell in stored.result["losses"]:
            row: dict[str, Any] = {"head": job.head, "dtype": job.dtype, "loss": cell["loss"], "lambda_max": cell["lambda"]}
            for name in NOMINAL:
                row |= {f"{name} {what}": value for what, value in cell[name].items()}
            rows.append(row)
    raw = pd.DataFrame(rows)
    covered = {name: f"{raw[f'{name} covered'].sum()} of {raw[f'{name} trials'].sum()}" for name in NOMINAL}
    shown = pd.DataFrame(
        {
            "loss function": raw["head"],
            "precision": raw["dtype"],
            "training loss": raw["loss"].map("{:.0e}".format),
            "λ_max": raw["lambda_max"].map("{:.2e}".format),
            "median error": raw["lambda-max error"].map("{:.0e}".format),
            "median reach": raw["lambda-max reach"].map("{:.0e}".format),
            "λ_max covered": [
                share + ("" if known == trials else f" ({known})")
                for share, known, trials in zip(
                    _of(raw, "lambda-max"), raw["lambda-max known"], raw["lambda-max trials"], strict=True
                )
            ],
            "trace covered, Hutchinson": _of(raw, "hutchinson"),
            "trace covered, XTrace": _of(raw, "xtrace"),
        }
    )
    notes = (
        f"Networks whose output layer is scaled until the training loss is that of the row: {NETWORKS} networks a row, 50 points for "
        "binary, 30 else; exact values from the Hessian written out in extended precision. λ_max by Lanczos at 99.5 %, the trace from "
        f"{PRODUCTS} products at 95 %. Error and reach relative to the value, of λ_max. Spelt out: -log(softmax(z)[y]), whose digits are "
        "lost before anybody can keep them.",
        "Covered: trials whose interval held the exact value, of all; in brackets those whose interval of λ_max reached no farther than "
        f"{KNOWN:.0%} of its value, where not all did: the others say that they do not know it.",
        f"In all: λ_max {covered['lambda-max']} (nominal 99.5 %), Hutchinson {covered['hutchinson']} and XTrace {covered['xtrace']} "
        "(nominal 95 %). " + _worst(raw),
    )
    provenance = provenance_of([stored for _, stored in ready])
    brief = ("loss function", "precision", "training loss", "median reach", "λ_max covered", "trace covered, Hutchinson")
    return Table(id, "Well-fitted networks: how often the intervals hold the exact value", shown, raw, notes, provenance, brief)


def _of(raw: pd.DataFrame, name: str) -> list[str]:
    return [f"{c}/{t}" for c, t in zip(raw[f"{name} covered"], raw[f"{name} trials"], strict=True)]


def _worst(raw: pd.DataFrame) -> str:
    """The row whose coverage of lambda_max is least likely at its nominal level, and how likely such a row is among as many."""
    tails = [
        float(stats.binom.cdf(c, t, NOMINAL["lambda-max"]))
        for c, t in zip(raw["lambda-max covered"], raw["lambda-max trials"], strict=True)
    ]
    place = int(np.argmin(tails))
    row, chance = raw.iloc[place], 1 - (1 - tails[place]) ** len(raw)
    where = f"{row['head']}, {row['dtype']}, loss {row['loss']:.0e}"
    return (
        f"λ_max's least covered row ({where}: {row['lambda-max covered']} of {row['lambda-max trials']}) or a less likely one is seen in "
        f"{chance:.0%} of such tables by chance alone."
    )
