"""Geodesic sharpness: its geometry against the metric's own derivatives, exact values on diagonal networks, and its invariances."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from flatproof.verify.curvature import Problem, measures
from flatproof.verify.curvature.sharpness import Landscape, geodesic_sharpness, worst_case_sharpness
from flatproof.verify.curvature.sharpness.quotient import Factors, Geodesics, Matrices
from flatproof.verify.curvature.sharpness.symmetries import Pairs, attention_pairs, moved_along
from tests.unit.curvature.diagonal import at_interpolation, drawn

METRICS = ("invariant", "mixed")
seeds = st.integers(0, 10**6)

# --------------------------------------------------------------------------------------------------------------- geometry


def metric_at(x: Tensor, n: int, m: int, h: int, metric: str) -> Tensor:
    """The metric's matrix at x = (G, H) in a row, from its definition."""
    G, H = x[: n * h].reshape(n, h), x[n * h :].reshape(m, h)
    left, right = (torch.linalg.inv(G.T @ G), torch.linalg.inv(H.T @ H)) if metric == "invariant" else (H.T @ H, G.T @ G)
    return torch.block_diag(*[left] * n, *[right] * m)


def acceleration(x: Tensor, xi: Tensor, *shape: Any) -> Tensor:
    """Gamma(xi, xi) from derivatives of the metric: g^-1 (d_xi g xi - (d/dx xi'g xi) / 2)."""
    dg: Any = torch.autograd.functional.jacobian(lambda y: metric_at(y, *shape), x)
    along = torch.einsum("ijk,k,j->i", dg, xi, xi) - torch.einsum("jki,j,k->i", dg, xi, xi) / 2
    return torch.linalg.solve(metric_at(x, *shape), along)


def vertical(x: Tensor, n: int, m: int, h: int) -> Tensor:
    """Rows that span the orbit's directions, (-G E, H E') for every unit matrix E."""
    G, H = x[: n * h].reshape(n, h), x[n * h :].reshape(m, h)
    rows = []
    for i in range(h):
        for j in range(h):
            E = torch.zeros(h, h, dtype=torch.float64)
            E[i, j] = 1
            rows.append(torch.cat([-(G @ E).reshape(-1), (H @ E.T).reshape(-1)]))
    return torch.stack(rows)


def places(n: int, m: int, h: int) -> Pairs:
    return Pairs("pair", torch.arange(n * h).reshape(1, n, h), torch.arange(n * h, (n + m) * h).reshape(1, m, h))


@settings(max_examples=5)
@given(seed=seeds, n=st.integers(3, 5), m=st.integers(3, 4), h=st.integers(1, 3), metric=st.sampled_from(METRICS))
def test_displacements_against_the_metrics_derivatives(seed: int, n: int, m: int, h: int, metric: Any) -> None:
    """delta(z) = xi - Gamma(xi, xi) / 2 with xi horizontal and of length ||z||: each by its definition at w itself."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn((n + m) * h, generator=generator, dtype=torch.float64)
    coordinates = Geodesics(x, [Matrices(x, places(n, m, h), metric)])
    z = coordinates.moving(torch.randn(len(x), generator=generator, dtype=torch.float64))
    plus, minus = coordinates.displaced(z), coordinates.displaced(-z)
    xi, second = (plus - minus) / 2, (plus + minus) / 2
    g = metric_at(x, n, m, h, metric)
    size = float(z.norm()) + 1e-9
    assert float((xi @ g @ xi).sqrt()) == pytest.approx(float(z.norm()), rel=1e-6)
    assert float((vertical(x, n, m, h) @ g @ xi).abs().max()) < 1e-7 * size * float(g.norm()) * float(x.norm())
    wanted = -acceleration(x, xi, n, m, h, metric) / 2
    assert float((second - wanted).norm()) < 1e-6 * (float(wanted.norm()) + float(xi.norm()))
    assert torch.allclose(coordinates.moving(z), z, rtol=1e-7, atol=1e-9)
    grown = coordinates.displaced(1e-6 * coordinates.growth()) / 1e-6
    assert torch.allclose(grown, grown[0] / x[0] * x, rtol=1e-4, atol=1e-7)


@settings(max_examples=5)
@given(seed=seeds, n=st.integers(3, 4), m=st.integers(3, 5), h=st.integers(1, 3), metric=st.sampled_from(METRICS))
def test_displacements_move_with_the_orbit(seed: int, n: int, m: int, h: int, metric: Any) -> None:
    """From (G A^-1, H A') the same z leads to the same product."""
    generator = torch.Generator().manual_seed(seed)
    G, H, A = (torch.randn(k, h, generator=generator, dtype=torch.float64) for k in (n, m, h))
    A = torch.linalg.qr(A)[0] * torch.linspace(0.3, 2, h, dtype=torch.float64)[:, None]
    z = 0.3 * torch.randn((n + m) * h, generator=generator, dtype=torch.float64)
    products = []
    for left, right in ((G, H), (G @ torch.linalg.inv(A), H @ A.T)):
        x = torch.cat([left.reshape(-1), right.reshape(-1)])
        moved = x + Geodesics(x, [Matrices(x, places(n, m, h), metric)]).displaced(z)
        products.append(moved[: n * h].reshape(n, h) @ moved[n * h :].reshape(m, h).T)
    assert torch.allclose(products[0], products[1], rtol=1e-6, atol=1e-8 * float(products[0].norm()))


@given(u=st.floats(0.2, 3), v=st.floats(-3, -0.2), b=st.floats(-0.2, 0.2))
def test_scalars_agree_with_matrices_to_second_order(u: float, v: float, b: float) -> None:
    """Exact geodesics against second-order ones: (1, 1) matrices are numbers."""
    x, at = torch.tensor([u, v], dtype=torch.float64), torch.tensor([0])
    for metric in METRICS:
        exact = Geodesics(x, [Factors(x, at, at + 1, metric)])  # type: ignore[arg-type]
        second = Geodesics(x, [Matrices(x, places(1, 1, 1), metric)])  # type: ignore[arg-type]
        z = exact.growth() * b
        sign = second.growth() * b
        assert torch.allclose(exact.displaced(z), second.displaced(sign), rtol=0.2 * abs(b), atol=1e-12)
        moved = (x + exact.displaced(z)).prod() / x.prod()
        assert float(moved) == pytest.approx(math.exp(2 * b) if metric == "invariant" else 1 + 2 * b)


# ------------------------------------------------------------------------------------------------------- diagonal networks


@settings(max_examples=4)
@given(d=st.integers(1, 30), seed=seeds, rho=st.sampled_from([0.05, 0.3, 1.0]), kappa=st.sampled_from([1.0, 3.0]))
def test_the_maximum_of_a_diagonal_network(d: int, seed: int, rho: float, kappa: float) -> None:
    """Sigma = I: kappa max beta^2 (e^(sqrt 2 rho) - 1)^2, and for the mixed metric 2 kappa rho^2 whatever the network."""
    u, v = drawn(d, seed)
    problem = at_interpolation(u, v, kappa=kappa)
    truths = kappa * float((u * v).abs().max() * (math.exp(math.sqrt(2) * rho) - 1)) ** 2, 2 * kappa * rho**2
    for metric, truth in zip(METRICS, truths, strict=True):
        e = geodesic_sharpness(problem, rho=rho, metric=metric, pairs=[["u", "v"]])  # type: ignore[arg-type]
        assert truth * (1 - 1e-3) <= e.value <= truth * (1 + 1e-9)
        assert (e.low, e.high) == (e.value, math.inf)


@settings(max_examples=4)
@given(seed=seeds, alpha=st.lists(st.floats(-4, 4).filter(lambda a: abs(a) > 0.2), min_size=4, max_size=4))
def test_rescaling_of_a_diagonal_network_changes_nothing(seed: int, alpha: list[float]) -> None:
    u, v = drawn(4, seed)
    a = torch.tensor(alpha, dtype=torch.float64)
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    y = torch.randn(6, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    values: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for left, right in ((u, v), (a * u, v / a)):
        problem = at_interpolation(left, right)
        problem = Problem(problem.model, nn.functional.mse_loss, (x, y))
        for metric in METRICS:
            e = geodesic_sharpness(problem, rho=0.2, metric=metric, pairs=[["u", "v"]], steps=6)  # type: ignore[arg-type]
            values[metric].append(e.value)
    for first, second in values.values():
        assert second == pytest.approx(first, rel=1e-6)


# ---------------------------------------------------------------------------------------------------------------- attention


class Block(nn.Module):
    """Attention written out, under usual names: fused or separate projections; `rows` orders a fused one's, `turn` rotates queries."""

    def __init__(self, fused: bool, bias: bool, rows: str = "three first", turn: bool = False) -> None:
        super().__init__()
        self.num_heads, self.rows, self.turn = 2, rows, turn
        if fused:
            self.qkv = nn.Linear(6, 12, bias=bias)
        else:
            self.q_proj, self.k_proj, self.v_proj = (nn.Linear(6, 4, bias=bias) for _ in range(3))
        self.proj = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.1))

    def forward(self, x: Tensor) -> Tensor:
        if hasattr(self, "qkv"):
            parts = self.qkv(x).unflatten(-1, (3, 2, 2) if self.rows == "three first" else (2, 3, 2))
            q, k, v = parts.unbind(-3 if self.rows == "three first" else -2)
        else:
            q, k, v = (p(x).unflatten(-1, (2, 2)) for p in (self.q_proj, self.k_proj, self.v_proj))
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        if self.turn:
            angle = torch.arange(q.shape[2], dtype=q.dtype)[:, None]
            q, k = (
                torch.cat([t[..., :1] * angle.cos() - t[..., 1:] * angle.sin(), t[..., 1:] * angle.cos()], -1) for t in (q, k)
            )
        out: Tensor = self.proj(((q @ k.mT / 2**0.5).softmax(-1) @ v).transpose(1, 2).flatten(2))
        return out


class Scores(nn.Module):
    """Attention without its output projection, as transformers' BERT has it."""

    def __init__(self) -> None:
        super().__init__()
        self.num_attention_heads = 2
        self.query, self.key, self.value = (nn.Linear(6, 6) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (p(x).unflatten(-1, (2, 3)).transpose(1, 2) for p in (self.query, self.key, self.value))
        out: Tensor = ((q @ k.mT / 3**0.5).softmax(-1) @ v).transpose(1, 2).flatten(2)
        return out


class Apart(nn.Module):
    """The output projection beside the attention, as there."""

    def __init__(self) -> None:
        super().__init__()
        self.self, self.output = Scores(), nn.ModuleDict({"dense": nn.Linear(6, 6)})

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.output["dense"](self.self(x))
        return out


class Wrapped(nn.Module):
    """Tokens through attention, their mean through a linear layer."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention, self.head = attention, nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        a = self.attention
        mixed = a(x, x, x, need_weights=False)[0] if isinstance(a, nn.MultiheadAttention) else a(x)
        return self.head((x + mixed).mean(1))  # type: ignore[no-any-return]


MAKE = {
    "fused": lambda: Block(True, True),
    "separate": lambda: Block(False, False),
    "apart": Apart,
    "torch's": lambda: nn.MultiheadAttention(6, 3, batch_first=True),
    "torch's, other keys": lambda: nn.MultiheadAttention(6, 2, batch_first=True, kdim=6, vdim=6, bias=False),
}


def wrapped(attention: nn.Module, parameters: Any = None, seed: int = 0) -> Problem:
    generator = torch.Generator().manual_seed(seed)
    x, y = 2 * torch.randn(7, 4, 6, generator=generator, dtype=torch.float64), torch.randint(3, (7,), generator=generator)
    return Problem(Wrapped(attention).double(), nn.functional.cross_entropy, [(x[:4], y[:4]), (x[4:], y[4:])], parameters)


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("metric", METRICS)
def test_every_invertible_matrix_leaves_it_unchanged(kind: str, metric: Any) -> None:
    """G -> G A^-1, H -> H A' in every head: the function and this measure stay, adaptive sharpness does not."""
    torch.manual_seed(1)
    problem = wrapped(MAKE[kind]())
    place = Landscape(problem)
    pairs = attention_pairs(problem)
    heads = 3 if kind == "torch's" else 2
    assert [len(group.left) for group in pairs] == [heads, heads]
    settings: Any = {"rho": 0.3, "steps": 8, "starts": 4}
    before = geodesic_sharpness(problem, metric=metric, **settings).value, worst_case_sharpness(problem, steps=8).value
    loss = problem.loss()
    weights = place.weights + moved_along(place, pairs, 5)
    with torch.no_grad():
        for p, piece in zip(problem.tensors, problem.unflatten(weights), strict=True):
            p.copy_(piece)
    assert problem.loss() == pytest.approx(loss, rel=1e-9)
    after = geodesic_sharpness(problem, metric=metric, **settings).value, worst_case_sharpness(problem, steps=8).value
    assert after[0] == pytest.approx(before[0], rel=1e-5)
    assert abs(after[1] - before[1]) > 1e-3 * before[1]
    assert before[0] > 0


def test_what_changes_it() -> None:
    """Rescaling neurons of ReLU layers beside attention does not; a rotation of other parameters and the logits' scale do."""
    torch.manual_seed(0)
    inner = nn.Sequential(Block(True, True), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 6))
    problem = wrapped(inner)
    value = geodesic_sharpness(problem, steps=6).value
    factors = torch.tensor([0.2, 3.0, 1.0, 5.0, 0.5], dtype=torch.float64)
    with torch.no_grad():
        inner[1].weight.mul_(factors[:, None])  # type: ignore[operator, union-attr]
        inner[1].bias.mul_(factors)  # type: ignore[operator, union-attr]
        inner[3].weight.div_(factors)  # type: ignore[operator, union-attr]
    assert geodesic_sharpness(problem, steps=6).value == pytest.approx(value, rel=1e-6)
    louder = Problem(problem.model, lambda out, y: nn.functional.cross_entropy(3 * out, y), list(_pairs(problem)))
    assert abs(geodesic_sharpness(louder, steps=6).value - value) > 0.05 * value
    quiet = geodesic_sharpness(problem, steps=6, logits="normalized").value
    assert geodesic_sharpness(louder, steps=6, logits="normalized").value != pytest.approx(value)
    assert quiet > 0


def _pairs(problem: Problem) -> Any:
    return ((b.inputs, b.targets) for b in problem.batches())


def test_what_it_is_not_defined_for() -> None:
    torch.manual_seed(0)
    plain = Problem(nn.Linear(3, 2), nn.functional.mse_loss, (torch.ones(4, 3), torch.ones(4, 2)))
    cases: list[tuple[Any, str]] = [
        (
            lambda: geodesic_sharpness(plain),
            "the model has none among the chosen parameters, and the measure would be adaptive-worst-l2",
        ),
        (
            lambda: geodesic_sharpness(plain, pairs=[["weight", "scale"]]),
            "pairs must name two chosen parameters each, of weight, bias",
        ),
        (
            lambda: geodesic_sharpness(plain, pairs=[["weight", "bias"]]),
            r"a pair must have one shape, weight has \(2, 3\) and bias",
        ),
        (lambda: geodesic_sharpness(plain, pairs=[["bias", "bias"]]), "a pair must name two parameters"),
        (lambda: geodesic_sharpness(wrapped(Block(True, True, rows="heads first"))), "the model's outputs change under G -> G A"),
        (
            lambda: geodesic_sharpness(wrapped(Block(False, True, turn=True))),
            r"attention \(queries and keys\): the model's outputs",
        ),
        (
            lambda: geodesic_sharpness(wrapped(Block(True, True), ["attention.qkv"])),
            "needs all its projections among the parameters",
        ),
        (lambda: geodesic_sharpness(wrapped(Block(True, True)), metric="flat"), "metric must be one of invariant, mixed"),
        (
            lambda: geodesic_sharpness(wrapped(nn.MultiheadAttention(6, 2, batch_first=True, add_bias_kv=True))),
            "a bias among the keys",
        ),
    ]
    for call, words in cases:
        with pytest.raises(ValueError, match=words):
            call()
    two = wrapped(Block(True, True))
    with torch.no_grad():
        two.model.attention.qkv.weight[:2] = 0  # type: ignore[index, operator, union-attr]
        two.model.attention.qkv.bias[:2] = 0  # type: ignore[index, operator, union-attr]
    with pytest.raises(ValueError, match="a product G H' has a rank below the 2 columns"):
        geodesic_sharpness(two)
    head = geodesic_sharpness  # of the other parameters alone there is no symmetry either
    with pytest.raises(ValueError, match="the model has none"):
        head(wrapped(Block(True, True), ["head"]))


def test_pairs_that_are_no_product_are_refused() -> None:
    """The symmetry is tried, not believed."""

    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.u, self.v = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))

        def forward(self, x: Tensor) -> Tensor:
            return x @ (self.u + self.v)

    problem = Problem(Sum(), nn.functional.mse_loss, (torch.randn(5, 3), torch.randn(5)))
    with pytest.raises(ValueError, match=r"u \* v: the model's outputs change"):
        measures()["geodesic"](problem, pairs=[["u", "v"]])
