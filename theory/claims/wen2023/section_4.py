"""Owns section 4 of wen2023, networks with bias: equations 3 and 4, theorem-4.1, propositions 4.1 and 4.2."""

import operator
from collections.abc import Iterator
from fractions import Fraction
from itertools import product

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flatproof.theory.claims import Evidence, claim, corrected, require
from flatproof.theory.claims.search import try_to_break
from flatproof.theory.constructions import (
    SIGNS,
    ExactNetwork,
    Neuron,
    cube,
    exact_points,
    generalizing,
    memorizing,
    rational,
    separating_direction,
    square,
    zero_one_errors,
)
from flatproof.theory.networks import DeepNetwork, Network, forward, squared_gradient_norms, trace_lower_bound


@claim(
    "wen2023/equation-3",
    printed="||grad f(x_i)||^2 >= 2 ||x'_i|| |y_i| when f(x_i) = y_i (two layers, bias folded in).",
    depends_on=("wen2023/equation-2",),
)
def equation_3() -> Iterator[Evidence]:
    """Lower bound on the gradient norm.

    Neuron by neuron, a² r² + h² >= 2 r |a| h with r = ||x'|| and h = relu(z); summing, sum_j |a_j| h_j >= |sum_j a_j h_j| = |y|.
    (wen2023, Equation 3)
    """
    a, h, r = sp.symbols("a h r", real=True, nonnegative=True)
    require(sp.expand(a**2 * r**2 + h**2 - 2 * r * a * h - (a * r - h) ** 2) == 0, "the difference is not a square")
    yield Evidence(
        "proved",
        "symbolic",
        "all widths, inputs and labels",
        "With |a_j| for a_j: a² r² + h² - 2 r a h = (a r - h)² >= 0; the triangle inequality sums it over the active neurons.",
    )
    x = np.array([[0.5, -1.0, 2.0]])

    def gap(v: NDArray[np.float64]) -> float:
        network = Network(v[:12].reshape(4, 3), v[12:16], v[16:], architecture="bias")
        bound = trace_lower_bound("bias", x, forward(network, x)) / 2
        return float(squared_gradient_norms(network, x)[0] - bound) / (1 + bound)

    yield try_to_break("||grad f||² >= 2 ||x'|| |y|", gap, 20, "d = 3, width 4")


@claim(
    "wen2023/equation-4",
    printed="""The bound of equation-3 is reached when W2 * 1[W1'x'_i > 0] = relu(W1'x'_i) / ||x'_i||; the memorizing
    construction satisfies it,
    with both sides |y_i| / ||x'_i|| e_i.""",
    depends_on=("wen2023/equation-2", "wen2023/equation-3"),
)
def equation_4() -> Iterator[Evidence]:
    """Equality case of the gradient bound.

    If a_j = h_j / r on the active neurons, f = sum_j h_j² / r >= 0 and ||grad f||² = 2 sum_j h_j² = 2 r f. Conversely equality needs
    (|a_j| r - h_j)² = 0 for every active neuron and no cancellation in sum_j a_j h_j, hence a_j = sign(y) h_j / r. (wen2023, Equation 4)
    """
    a, h, r = sp.symbols("a h r", positive=True)
    weight = h / r
    require(sp.simplify(weight**2 * r**2 + h**2 - 2 * r * (weight * h)) == 0, "a = h/r does not reach the bound")
    require(sp.solve(sp.Eq((a * r - h) ** 2, 0), a) == [h / r], "(a r - h)² = 0 is not a = h/r")
    yield Evidence(
        "proved",
        "symbolic",
        "the printed condition, all parameters; the condition that is necessary, too",
        "Under it each active neuron adds 2 h_j² to ||grad f||² and h_j²/r to f, so the bound is reached (and y >= 0). Necessary and "
        "sufficient: W2 * 1[W1'x'_i > 0] = sign(y_i) relu(W1'x'_i) / ||x'_i||, both sides 0 for y_i = 0.",
    )
    x, length = (Fraction(3, 4),), Fraction(5, 4)
    for y, sides in ((Fraction(-5, 4), (-1, 1)), (Fraction(5, 9), (sp.Rational(2, 3), sp.Rational(2, 3)))):
        network = memorizing([x], [y])
        (neuron,) = network.neurons
        require(network.output(x) == y, "the memorizing network does not interpolate")
        bound = 2 * rational(length * abs(y))
        require(sp.simplify(network.squared_gradient_norm(x) - bound) == 0, "it does not attain the bound")
        weight = rational(neuron.weight) / sp.sqrt(neuron.scale)
        other = sp.sqrt(neuron.scale) * rational(neuron.activation((*x, Fraction(1))) / length)
        require((sp.nsimplify(weight), sp.nsimplify(other)) == sides, f"the sides are {weight} and {other} for y = {y}")
    yield Evidence(
        "refuted",
        "counterexample, exact",
        "theorem-4.1's network for the one sample x = 3/4 (||x'|| = 5/4), y = -5/4 and y = 5/9",
        "For y = -5/4 it reaches the bound, ||grad f||² = 25/8, but W2 = -1 and relu/||x'|| = 1: for y < 0 the construction does "
        "not satisfy "
        "the printed condition. For y = 5/9 both sides are 2/3, the root of the printed 4/9.",
        corrected="The construction satisfies W2 * 1[W1'x'_i > 0] = sign(y_i) relu(W1'x'_i) / ||x'_i||, with both sides sign(y_i) "
        "(|y_i| / ||x'_i||)^(1/2) e_i.",
        target="construction",
        severity="constant or sign",
    )


REPEATED = Evidence(
    "refuted",
    "argument",
    "two equal samples (P_xor repeats with positive probability)",
    "What one of them activates the other does, so neither has a neuron of its own: no network memorizes.",
    corrected="One neuron for each distinct sample.",
    target="statement",
    severity="boundary",
    reading="repeated samples",
)


@claim(
    "wen2023/theorem-4.1",
    printed="""If the inputs are extreme points, for every depth D >= 2 there is a width-n memorizing MLP-Bias with minimal sharpness among
    all interpolating models; construction r_i = (||x'_i||/|y_i|)^(1/D), u_i = |y_i| r_i^(D-1) (both 1 if y_i = 0),
    ||grad f(x_i)||^2 >= D |y_i|^(2(D-1)/D) ||x'_i||^(2/D), attained.""",
    depends_on=("wen2023/definition-4.1", "wen2023/definition-4.2", "wen2023/lemma-4.1"),
    reading="distinct samples",
)
def theorem_4_1() -> Iterator[Evidence]:
    """A memorizing flattest network of every depth.

    Bound: with s_l the back-propagated signal and h_l the activations, ||grad f||² = sum_{l=1..D} ||s_l||² ||h_{l-1}||², and
    |f| = |s_l . h_l| <= ||s_l|| ||h_l|| for 1 <= l < D, so AM-GM gives D (||x'||² |y|^(2(D-1)))^(1/D). Equality: the
    construction makes every summand |y|² r². (wen2023, Theorem 4.1 and appendix A.3.1)
    """
    # y = 0: the printed network keeps u_i = 1, so sample i activates a neuron although its label is 0.
    zero = ExactNetwork((Neuron((Fraction(0), Fraction(1)), Fraction(0), sp.Integer(1)),))
    x = (Fraction(0),)
    require(zero.interpolates([x], [Fraction(0)]) and zero.memorizes([x]), "the zero-label network is not a memorizing one")
    require(zero.trace([x]) == 2, "its trace is not 2")
    require(ExactNetwork(()).trace([x]) == 0, "the empty network does not have trace 0")
    yield Evidence(
        "refuted",
        "counterexample, exact",
        "n = 1, x = 0, y = 0, D = 2",
        "The zero network interpolates with trace 0. A memorizing one activates a neuron, h > 0, so its trace is at least 2 h² > 0 and "
        "the minimum is not attained by any (the printed choice h = u = 1 has trace 2).",
        corrected="The theorem and its construction hold when every y_i is nonzero; a sample with label 0 must activate no neuron.",
        target="statement",
        severity="boundary",
    )
    y, r, depth, level = sp.symbols("y r D l", positive=True)
    length = y * r**depth  # r = (||x'|| / |y|)^(1/D)
    u = y * r ** (depth - 1)
    summand = y**2 * r**2
    first = (r ** (-(depth - 1)) * length) ** 2
    later = (r ** (-(depth - level)) * u * r ** (-(level - 2))) ** 2  # level l: signal times activation below, l = 2..D
    bound = depth * y ** (2 * (depth - 1) / depth) * length ** (2 / depth)
    for name, expression in (("first", first), ("later", later), ("bound / D", bound / depth)):
        require(
            sp.simplify(sp.expand_power_base(sp.powsimp(expression / summand, force=True), force=True)) == 1, f"{name} summand"
        )
    require(sp.simplify(u * r ** (-(depth - 2)) / r - y) == 0, "the construction does not output |y|")
    yield Evidence(
        "proved",
        "symbolic in D, r and y; cited: AM-GM, Cauchy-Schwarz, separation of a vertex from the other points",
        "nonzero labels, every depth D >= 2, every dimension",
        "Output sign(y)|y|; the first layer and each of the D-1 later ones contribute |y|² r² to ||grad f||², in sum the bound.",
    )
    yield REPEATED
    yield Evidence(
        "certified", "exact construction", _instances(), "interpolates, memorizes and has trace (4/n) sum ||x'_i|| |y_i|"
    )
    yield try_to_break("the depth-D bound", _depth_gap, 12, "D = 3, d = 2, width 2")
    yield Evidence("tested", "floating point", _deep(), "trace equals the depth-D bound to 1e-9 relative")


def _depth_gap(v: NDArray[np.float64]) -> float:
    """Relative gap of the depth-3 bound at one sample."""
    network = DeepNetwork((v[:4].reshape(2, 2), v[4:8].reshape(2, 2), v[8:10].reshape(1, 2)), v[10:12])
    x = np.array([[1.0, -0.5]])
    y = network.forward(x)
    bound = network.trace_lower_bound(x, y) / 2
    return float(network.squared_gradient_norms(x)[0] - bound) / (1 + bound)


def _instances() -> str:
    """Theorem 4.1's network for D = 2 on named sets in convex position, exactly."""
    sets = {
        "a triangle": (((0, 0), (4, 0), (1, 3)), (1, -2, Fraction(1, 3))),
        "five points of a parabola": (tuple((t, t * t) for t in range(-2, 3)), (1, -1, 5, -7, Fraction(1, 1000))),
        "the cube d = 3": (tuple(product((1, -1), repeat=3)), (1, 1, -1, -1, -1, -1, 1, 1)),
    }
    for name, (xs, ys) in sets.items():
        points, labels = [tuple(map(Fraction, x)) for x in xs], [Fraction(y) for y in ys]
        network = memorizing(points, labels)
        require(network.interpolates(points, labels) and network.memorizes(points), f"{name}: does not memorize")
        want = sum(
            4 * sp.sqrt(rational(square((*x, Fraction(1))))) * rational(abs(y)) for x, y in zip(points, labels, strict=True)
        )
        require(sp.simplify(network.trace(points) - want / len(points)) == 0, f"{name}: trace is not the bound")
    inside = [tuple(map(Fraction, x)) for x in ((0, 0), (4, 0), (0, 4), (1, 1))]
    require(separating_direction(inside, 3) is None, "an interior point was separated")
    return "D = 2: " + ", ".join(sets) + "; an interior point is refused"


def _deep() -> str:
    """The construction of appendix A.3.1 for D = 2..6 on random points in convex position."""
    rng = np.random.default_rng(0)
    for depth, trial in product(range(2, 7), range(4)):
        n, d = 6, 3
        x = rng.standard_normal((n, d))
        x *= rng.uniform(1, 1.02, (n, 1)) / np.linalg.norm(x, axis=1, keepdims=True)
        y = rng.standard_normal(n) * 10.0 ** rng.integers(-2, 3, n)
        points, _ = exact_points(x, y)
        rows, offsets = [], []
        for i, point in enumerate(points):
            found = separating_direction(points, i)
            require(found is not None, f"trial {trial}: point {i} is no vertex")
            assert found is not None
            w, eps = np.array(found[0], dtype=float), float(found[1]) / 2
            r = (np.sqrt(float(square((*point, Fraction(1))))) / abs(y[i])) ** (1 / depth)
            u = abs(y[i]) * r ** (depth - 1)
            rows.append(u * w / eps)
            offsets.append(u * (eps - w @ x[i]) / eps)
        r = (np.sqrt(np.sum(x**2, axis=1) + 1) / np.abs(y)) ** (1 / depth)
        layers = (np.array(rows), *[np.diag(1 / r)] * (depth - 2), (np.sign(y) / r)[None])
        network = DeepNetwork(layers, np.array(offsets))
        require(np.allclose(network.forward(x), y, rtol=1e-9), f"depth {depth}: does not interpolate")
        bound = network.trace_lower_bound(x, y)
        require(abs(network.trace_of_hessian(x) - bound) <= 1e-9 * bound, f"depth {depth}: trace is not the bound")
    return "D = 2..6, 4 random sets each of n = 6 points in R^3, |y| over five orders of magnitude"


@claim(
    "wen2023/proposition-4.1",
    printed="""On P_xor, for every number of samples n, a flattest memorizing width-n model exists and its zero-one error is
    max(1 - n/2^d, 0).""",
    depends_on=("wen2023/lemma-4.1", "wen2023/equation-3", "wen2023/equation-4", corrected("wen2023/zero-one-loss")),
    reading="distinct samples",
)
def proposition_4_1() -> Iterator[Evidence]:
    """The memorizing flattest network errs wherever it was not trained.

    With w_i = x_i and eps = 1 neuron i is relu(x_i . x - d + 1), and x_i . x = d - 2 (differing coordinates). (wen2023,
    Proposition 4.1)
    """
    d, differing = sp.symbols("d k", integer=True, positive=True)
    activation = (d - 2 * differing) - d + 1
    require(sp.simplify(activation - (1 - 2 * differing)) == 0, "the pre-activation is not 1 - 2k")
    yield Evidence(
        "proved",
        "symbolic",
        "every d >= 2 and every n distinct training points, with the zero-one loss Pr(y f <= 0)",
        "Neuron i has pre-activation 1 - 2k at a point differing in k coordinates: 1 at x_i, at most -1 elsewhere; so f = 0, an error, "
        "at each of the 2^d - n unseen points. All ||x'|| are equal, so the trace is the bound 4 sqrt(d+1).",
    )
    yield REPEATED
    rng = np.random.default_rng(0)
    sizes = {d: sorted({1, d, min(100, 2 ** (d - 1)), 2**d if d <= 8 else 300}) for d in range(2, 13)}
    for dim, counts in sizes.items():
        everything = np.array(list(product((1, -1), repeat=dim)))
        for n in counts:
            train = everything[rng.choice(len(everything), n, replace=False)]
            h = np.maximum(everything @ train.T - dim + 1, 0)
            f = h @ (train[:, 0] * train[:, 1])
            errors = int(np.sum(f * everything[:, 0] * everything[:, 1] <= 0))
            require(errors == 2**dim - n, f"d = {dim}, n = {n}: {errors} errors")
    yield Evidence(
        "certified",
        "enumeration of the cube in integers",
        f"d = 2..12, {sum(map(len, sizes.values()))} random training sets of 1 to 300 points",
        "exactly 2^d - n points have y f(x) <= 0",
    )


@claim(
    "wen2023/proposition-4.2",
    printed="""On P_xor, for every number of samples n, a flattest width-n model that generalizes perfectly exists. Equation (5): for i,j in
    {0,1}, neuron 2i+j+1 has W1 = r[(-1)^i, (-1)^j, 0, ...], b1 = -r, W2 = (-1)^(i+j)/r, all others zero, with r = (d²+1)^(1/4).""",
    depends_on=("wen2023/lemma-4.1", "wen2023/equation-3", "wen2023/equation-4"),
)
def proposition_4_2() -> Iterator[Evidence]:
    """A flattest network with bias that generalizes.

    Each point of the cube activates exactly one neuron, with h = r and a² = 1/r², so ||grad f||² = (d+1)/r² + r², whose minimum
    2 sqrt(d+1) is at r² = sqrt(d+1). That takes four neurons; three do where the sample lacks a head. (wen2023, Proposition 4.2 and
    Equation 5)
    """
    yield two_neurons()
    s = sp.symbols("s", positive=True)  # r²
    printed = ExactNetwork(
        tuple(Neuron((Fraction(i), Fraction(j), Fraction(-1)), Fraction(i * j), sp.sqrt(sp.Integer(5))) for i, j in SIGNS)
    )
    points = list(cube(2))
    labels = [x[0] * x[1] for x in points]
    require(printed.interpolates(points, labels), "the printed network does not interpolate")
    trace, flattest = printed.trace(points), 4 * sp.sqrt(3)
    require(sp.simplify(trace - 2 * (3 / sp.sqrt(5) + sp.sqrt(5))) == 0, "trace of the printed network")
    require(bool(trace > flattest), "the printed network is flattest")
    yield Evidence(
        "refuted",
        "counterexample, exact",
        "d = 2, all four points, r = 5^(1/4)",
        f"The printed network interpolates with trace 2 (3/sqrt 5 + sqrt 5) = {float(trace):.4f}; the flattest is 4 sqrt 3 = "
        f"{float(flattest):.4f}.",
        corrected="The same with r = (d+1)^(1/4): r² = ||x'||, not sqrt(d²+1).",
        target="construction",
        severity="constant or sign",
    )
    d = sp.symbols("d", positive=True)
    norm = (d + 1) / s + s
    require(sp.solve(sp.diff(norm, s), s) == [sp.sqrt(d + 1)], "the minimum over r is not at r² = sqrt(d+1)")
    require(
        sp.simplify(norm.subs(s, sp.sqrt(d + 1)) - 2 * sp.sqrt(d + 1)) == 0, "the corrected network does not attain the bound"
    )
    for head in SIGNS:
        active = [i * head[0] + j * head[1] - 1 for i, j in SIGNS]
        require(sorted(active) == [-3, -1, -1, 1], "not exactly one neuron is active")
    three_neurons()
    yield Evidence(
        "proved",
        "symbolic in d; heads by cases, in exact rationals",
        "the corrected statement: every d >= 2, every n >= 3 and every training set",
        "(d+1)/r² + r² has its only minimum 2 sqrt(d+1), equation-3's bound, at r² = sqrt(d+1); the printed r agrees only if d² = d. "
        "Three samples lack a head: a neuron on the opposite head, one on the other two (1 at both, 11/5 at the missing head) and a third, "
        "dead on the sample, that outweighs it at the missing head.",
    )
    for dim in range(2, 13):
        network = generalizing(dim)
        require(zero_one_errors(network, dim) == 0, f"d = {dim}: errors on the cube")
        corner = (Fraction(1),) * dim
        require(sp.simplify(network.squared_gradient_norm(corner) - 2 * sp.sqrt(sp.Integer(dim + 1))) == 0, f"d = {dim}: norm")
    yield Evidence("certified", "enumeration of the cube in exact rationals", "d = 2..12", "no error, ||grad f||² = 2 sqrt(d+1)")


def two_neurons() -> Evidence:
    """No network of width 1 or 2 has the right sign on all four heads: the printed "every n" fails at n = 1 and 2.

    One sign of W2 gives one sign of f, so a_1 > 0 > a_2, neuron 1 is active at both positive heads and neuron 2 at both negative
    ones. As z(1,1) + z(-1,-1) = z(1,-1) + z(-1,1) for an affine z and relu(t) >= t, a neuron that is active at two opposite heads
    has a sum of relu(z) there that the other two heads reach. So sum over heads of y a_j relu(z_j) <= 0 for both, against y f > 0.
    """
    alpha, beta, b = sp.symbols("alpha beta b", real=True)
    z = {head: alpha * head[0] + beta * head[1] + b for head in SIGNS}
    require(sp.expand(z[1, 1] + z[-1, -1] - z[1, -1] - z[-1, 1]) == 0, "opposite heads have different sums")
    return Evidence(
        "refuted",
        "argument; symbolic: the sums over opposite heads",
        "n = 1 and n = 2, width n, every d",
        "One or two neurons cannot classify XOR, flattest or not: a neuron active at two opposite heads is, in sum, at least as active "
        "at the other two, so sum of y f over the four heads is at most 0.",
        corrected="For every n >= 3 (at n = 1, 2 no network of width n generalizes perfectly).",
        target="statement",
        severity="boundary",
    )


def three_neurons() -> None:
    """Three neurons, flattest on every sample without the head (1, 1)'s opposite, right on all heads; by symmetry for any missing head.

    Flattest where its head is seen: one active neuron of pre-activation r times |W2|. Swapping coordinates' signs moves the heads.
    """
    third = Fraction(3, 5)
    rows = (((1, 1, -1), 1), ((-third, -third, 1), -1), ((-1, -1, -1), 10))  # direction with bias, and W2 in units where r = 1
    seen = {head: [max(Fraction(0), sum(map(operator.mul, w, (*head, 1)), Fraction(0))) for w, _ in rows] for head in SIGNS}
    require(seen[1, 1] == [1, 0, 0] and seen[1, -1] == seen[-1, 1] == [0, 1, 0], "not one neuron of value 1 at a seen head")
    require(seen[-1, -1] == [0, Fraction(11, 5), 1], "values at the missing head")
    for head, values in seen.items():
        f = sum(a * v for (_, a), v in zip(rows, values, strict=True))
        require(f * head[0] * head[1] > 0, f"the wrong sign at {head}")
