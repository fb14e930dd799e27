"""Owns own/flattest-1 to flattest-3: what flattest networks with a bias have in common, and which of them has the smallest λ_max.

The notation of wen2023: z_ij = w_j . x'_i, h = relu(z), a the second layer; networks that interpolate and attain equation (3)'s bound.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product

import sympy as sp

from flatproof.theory.claims import Evidence, own_claim, require
from flatproof.theory.constructions import ExactNetwork, Point, dot, generalizing, memorizing, rational

POINTS = ((1, 1, 1), (1, 1, -1), (1, -1, 1), (1, -1, -1), (-1, 1, 1), (-1, -1, -1))


@own_claim(
    "flattest-1",
    """Two-layer ReLU networks with a bias that interpolate and attain (3): ||grad f(x_i)||² = 2 ||x'_i|| |y_i| at every sample, not in the
    mean alone. So at distance rho along plus or minus its own gradient each sample's output is y_i ± rho sqrt(2 ||x'_i|| |y_i|) +
    sign(y_i) rho² ||x'_i|| / 2 as long as no activation of it flips: 1-SAM's loss at any such rho is the same of all flattest networks.""",
    depends_on=("wen2023/equation-3",),
)
def flattest_1() -> Iterator[Evidence]:
    """What 1-SAM sees of a flattest network.

    (3) is the mean of bounds of single samples. Along its own gradient g a sample's active neurons move by rho/|g| (a_j x', h_j).
    """
    a, h, length, step = sp.symbols("a h L t", positive=True)
    output, squared = a * h, length * a**2 + h**2  # a neuron's parts of f and of ||grad f||², L = ||x'||²
    for sign in (1, -1):
        moved = (sign * a + step * h) * (h + step * sign * a * length)
        require(
            sp.expand(moved - sign * output - step * squared - step**2 * length * sign * output) == 0, "a moved neuron's output"
        )
    rho, y = sp.symbols("rho y", positive=True)
    norm = sp.sqrt(2 * sp.sqrt(length) * y)
    require(sp.simplify(rho / norm * norm**2 - rho * norm) == 0, "the first-order term")
    require(sp.simplify((rho / norm) ** 2 * length * y - rho**2 * sp.sqrt(length) / 2) == 0, "the second-order term")
    require(
        sp.expand((sp.sqrt(length) * a - h) ** 2 - (squared - 2 * sp.sqrt(length) * output)) == 0, "a neuron's share of the bound"
    )
    yield Evidence(
        "proved",
        "symbolic, one neuron; sums over neurons and the mean over samples",
        "every width, d, n, training set and radius at which none of the sample's activations flips",
        "a sample's ||grad f||² - 2 ||x'|| |f| is at least the sum of the squares (||x'|| |a_j| - h_j)², so equality in the mean is "
        "equality at each; sums over active neurons of a h, L a² + h² are f and ||grad f||²",
    )


@own_claim(
    "flattest-2",
    """n distinct points of {-1, 1}^d with labels ±1, a bias, interpolation: lambda_max >= 4 sqrt(d + 1) / n, with equality exactly for the
    networks that attain (3) and in which no neuron is active on two samples. So the flattest networks in lambda_max memorize,
    each sample by one neuron of its own or by several, and 4 sqrt(d + 1) / n is the smallest lambda_max.""",
    depends_on=("own/flattest-1",),
)
def flattest_2() -> Iterator[Evidence]:
    """The smallest largest eigenvalue.

    At interpolation the nonzero eigenvalues of H are those of (2/n) J J', at most n, and their sum is the trace that (3) bounds.
    """
    a, length_i, length_k, inner = sp.symbols("a L_i L_k x", positive=True)
    shared = a**2 * inner + (a * sp.sqrt(length_i)) * (a * sp.sqrt(length_k))  # h_ij = |a_j| ||x'_i|| where (3) is attained
    require(sp.expand(shared - a**2 * (inner + sp.sqrt(length_i * length_k))) == 0, "what a shared neuron adds to (J J')_ik")
    yield Evidence(
        "proved",
        "symbolic, one neuron; a mean is at most the maximum",
        "every width, d, n and set of distinct points",
        "n lambda_max >= trace >= 4 sqrt(d + 1). Equality needs (3) attained, where J J' has the diagonal 2 sqrt(d + 1), and J J' to be "
        "that multiple of the identity. A neuron active on samples i and k adds a² (x'_i . x'_k + ||x'_i|| ||x'_k||) > 0 to (J J')_ik, for "
        "a_j ≠ 0 and no x' is a negative multiple of another: their last coordinates are 1. Without shared neurons J J' is diagonal",
    )
    points = [tuple(map(Fraction, p)) for p in POINTS]
    labels = [p[0] * p[1] for p in points]
    d, n = len(points[0]), len(points)
    grams = {}
    for name, network in (("memorizing", memorizing(points, labels)), ("generalizing", generalizing(d))):
        require(network.interpolates(points, labels), f"the {name} network does not interpolate")
        grams[name] = gram(network, points)
        require(sp.simplify(2 * grams[name].trace() / n - 4 * sp.sqrt(d + 1)) == 0, f"the {name} network does not attain (3)")
    require(
        sp.simplify(grams["memorizing"] - 2 * sp.sqrt(d + 1) * sp.eye(n)) == sp.zeros(n, n), "J J' is no multiple of the identity"
    )
    require(
        any(grams["generalizing"][i, k] != 0 for i in range(n) for k in range(i)), "the generalizing network shares no neuron"
    )
    yield Evidence(
        "certified",
        "exact Gram matrices",
        f"d = {d}, n = {n}: a memorizing and the generalizing network that attain (3)",
        "2 sqrt(d + 1) times the identity; not diagonal",
    )


@own_claim(
    "flattest-3",
    """Two networks, no-bias or bias, side by side with both layers of the one scaled by sqrt(t) and of the other by sqrt(1 - t):
    outputs and ||grad f||² are the means t, 1 - t of theirs. So mixtures of flattest networks are flattest, and with a bias they join the
    memorizing to the generalizing network of a parity set.""",
)
def flattest_3() -> Iterator[Evidence]:
    """Mixtures of flattest networks.

    Both are sums over neurons, homogeneous of degree 2 in a neuron's weights.
    """
    a, h, length, t = sp.symbols("a h L t", positive=True)
    c = sp.sqrt(t)
    require(sp.simplify((c * a) * (c * h) - t * a * h) == 0, "the output")
    require(sp.simplify(length * (c * a) ** 2 + (c * h) ** 2 - t * (length * a**2 + h**2)) == 0, "the squared gradient norm")
    yield Evidence(
        "proved",
        "symbolic, one neuron; relu is homogeneous, so activations are those of before",
        "every width, input and t in (0, 1)",
        "interpolation and the trace, both linear in f_i and ||grad f(x_i)||², are kept",
    )


def gram(network: ExactNetwork, points: Sequence[Point]) -> sp.Matrix:
    """J J' with (J J')_ik = sum_j (a_j² x'_i . x'_k + h_ij h_kj) over neurons active on both, exact."""
    seen = [network.inputs(p) for p in points]
    total = sp.zeros(len(points), len(points))
    for neuron in network.neurons:
        h = [neuron.activation(x) for x in seen]
        for i, k in product(range(len(points)), repeat=2):
            if h[i] > 0 and h[k] > 0:
                total[i, k] += rational(neuron.weight**2 * dot(seen[i], seen[k])) / neuron.scale + neuron.scale * rational(
                    h[i] * h[k]
                )
    return total
