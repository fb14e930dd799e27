"""Owns statements of Wu and Su 2023: which minima SGD and gradient descent stay at, and what their flatness says of a network's norms.

L. Wu, W. J. Su: The Implicit Regularization of Dynamical Stability in Stochastic Gradient Descent, ICML 2023, arXiv
2305.17490. Near a minimum that interpolates, with f's gradients g_i and a loss of Hessian H = mean g g', a step on sample i is
theta -> theta - eta g_i g_i' theta. Linearly stable: E||theta_t||² stays bounded, from every start.
"""

from collections.abc import Iterator
from fractions import Fraction

import sympy as sp

from flatproof.theory.claims import Evidence, claim, require

eta = sp.Symbol("eta", positive=True)


@claim(
    "wu2023/sgd-trace",
    printed="If a global minimum is linearly stable for SGD, then the trace of Hessian must be less than or equal to 2/eta, "
    "where eta denotes the learning rate.",
    reading="one sample a step",
    words="quoted from the abstract",
)
def sgd_trace() -> Iterator[Evidence]:
    """Where SGD is stable.

    E||theta_t||² = theta_0'T^t(I) theta_0 with T(M) = E (I - eta g g') M (I - eta g g'). Where T^t(I) stays bounded, M = sum_t
    (1 + s)^-t T^t(I) exists for every s > 0, is at least I, and T(M) = (1 + s)(M - I). Multiply both sides by M^-1 and take traces.
    """
    m1, m2 = sp.symbols("m_1 m_2", positive=True)  # eigenvalues of M; coordinates are along its eigenvectors
    g = sp.symbols("g_1 g_2", real=True)
    second = sp.Matrix(2, 2, lambda i, j: sp.Symbol(f"h_{min(i, j)}{max(i, j)}", real=True))
    mean, inverse = sp.diag(m1, m2), sp.diag(1 / m1, 1 / m2)
    vector = sp.Matrix(g)
    product = (vector.T * mean * vector)[0] * (vector.T * inverse * vector)[0]
    require(sp.simplify(product - vector.dot(vector) ** 2 - (g[0] * g[1] * (m1 - m2)) ** 2 / (m1 * m2)) == 0, "Cauchy-Schwarz")
    step = (sp.eye(2) - eta * vector * vector.T) * mean * (sp.eye(2) - eta * vector * vector.T)
    traced = 2 - 2 * eta * vector.dot(vector) + eta**2 * product
    require(sp.simplify((inverse * step).trace() - traced) == 0, "the trace with M^-1 is another")
    crossed = (second * mean * second * inverse).trace() - (second * second).trace()
    require(sp.simplify(crossed - second[0, 1] ** 2 * (m1 - m2) ** 2 / (m1 * m2)) == 0, "tr HMHM^-1 >= tr H² has another gap")
    p, q = sp.symbols("p q", positive=True)
    require(sp.expand((p**2 + q**2) / 2 - ((p + q) / 2) ** 2 - ((p - q) / 2) ** 2) == 0, "Jensen's gap is another")
    yield Evidence(
        "proved",
        "exact argument; symbolic: its steps in M's eigenvectors, two at a time",
        "every number of parameters and samples, eta > 0; a loss whose Hessian is mean g g', as half the mean squared error",
        "with p parameters p - 2 eta tr H + eta² E g'Mg g'M^-1 g <= (1 + s) p, and g'Mg g'M^-1 g >= ||g||⁴: as s goes to 0, "
        "E||g||⁴ <= (2/eta) tr H; and (tr H)² <= E||g||⁴.",
        reading="one sample a step",
    )
    yield Evidence(
        "proved",
        "exact argument; symbolic: the same steps",
        "the corrected statement, B samples a step drawn with replacement",
        "E A M A = (1 - 1/B) HMH + (1/B) E g'Mg g g' for the step's matrix A, and tr HMHM^-1 >= tr H²: (1 - 1/B) tr H² + (1/B) "
        "E||g||⁴ <= (2/eta) tr H.",
        reading="two samples a step",
    )
    rate, square = Fraction(4, 3), Fraction(0)
    for times, chance in ((0, Fraction(1, 4)), (1, Fraction(1, 2)), (2, Fraction(1, 4))):  # how often g_1 is drawn, ||g_1||² = 2
        square += chance * (1 - rate * times) ** 2
    require(square == 1, "E theta_1² does not stay as it is")
    require(2 / rate < 2, "the trace is within the bound")
    require((1 - rate) ** 2 < 1, "without replacement it is not stable")
    yield Evidence(
        "refuted",
        "counterexample, exact rationals",
        "n = 2, g_1 = sqrt(2) e_1, g_2 = sqrt(2) e_2, so H = I; eta = 4/3, two samples a step, with replacement or without",
        "E theta_j² stays as it is with replacement, and is multiplied by 1/9 a step without: stable, though tr H = 2 > 2/eta = "
        "3/2. B = n without replacement is gradient descent.",
        corrected="With B samples a step, drawn with replacement: tr H <= 2 B/eta.",
        target="statement",
        severity="constant or sign",
        reading="two samples a step",
    )
    factor = Fraction(1, 2) + Fraction(1, 2) * (1 - 2 * Fraction(1)) ** 2
    require(factor == 1, "the bound is not attained")
    yield Evidence(
        "certified",
        "exact rationals",
        "the same g_1 and g_2, eta = 1, one sample a step",
        "2/eta = tr H = 2 is attained.",
        reading="one sample a step",
    )


@claim(
    "wu2023/gd-eigenvalue",
    printed="By contrast, for gradient descent (GD), the stability imposes a similar constraint but only on the largest "
    "eigenvalue of Hessian.",
    words="quoted from the abstract",
)
def gd_eigenvalue() -> Iterator[Evidence]:
    """Where gradient descent is stable.

    Along an eigenvector of H with eigenvalue lambda a step multiplies by 1 - eta lambda.
    """
    excess = sp.Symbol("x", positive=True)
    over, under = 2 / eta + excess, 2 / eta / (1 + excess)
    require(sp.expand((1 - eta * over) ** 2 - 1 - eta * excess * (2 + eta * excess)) == 0, "above 2/eta it is stable")
    require(sp.simplify(1 - (1 - eta * under) ** 2 - 4 * excess / (1 + excess) ** 2) == 0, "below 2/eta it is not stable")
    yield Evidence(
        "proved",
        "symbolic, one eigenvalue",
        "every number of parameters, H positive semidefinite, eta > 0",
        "bounded from every start if and only if lambda_max <= 2/eta; H = I in R^p is stable for eta = 2 with a trace of p.",
    )


def gradient_square(w: tuple[Fraction, ...], a: Fraction, law: tuple[tuple[Fraction, tuple[Fraction, ...]], ...]) -> Fraction:
    """E||grad f||² of one neuron a relu(w.x): a² E||x||² 1[w.x > 0] + E relu(w.x)²; the law as pairs of chance and point."""
    total = Fraction(0)
    for chance, x in law:
        z = sum((s * t for s, t in zip(w, x, strict=True)), Fraction(0))
        if z > 0:
            total += chance * (a * a * sum(t * t for t in x) + z * z)
    return total


@claim(
    "wu2023/two-layer",
    printed="We establish the equivalence between these metrics of sharpness and certain parameter norms for the two models "
    "[two-layer ReLU networks and diagonal linear networks].",
    depends_on=("wen2023/lemma-4.1", "andriushchenko2023/diag-1"),
    reading="no bias",
    words="quoted from the abstract",
)
def two_layer() -> Iterator[Evidence]:
    """The trace of the Hessian as a norm of the weights.

    Without bias, for a law of inputs with E xx' = I under which x and -x are alike: relu(z)² + relu(-z)² = z², and each of w.x
    > 0 and w.x < 0 has half of E||x||². The metric is the trace for the mean squared error over that law, 2 E||grad f||².
    """
    z = sp.Symbol("z", positive=True)
    for value in (z, -z):
        require(sp.Max(0, value) ** 2 + sp.Max(0, -value) ** 2 == value**2, "the two halves are not the whole")
    d, a, w = sp.symbols("d a w", positive=True)
    require(sp.expand(d * a**2 + w**2 - 2 * sp.sqrt(d) * a * w - (sp.sqrt(d) * a - w) ** 2) == 0, "the gap is another")
    yield Evidence(
        "proved",
        "symbolic, one neuron by the sign of w.x; the sum over neurons",
        "networks without bias of every width, E xx' = I, x and -x alike, no point with w_j.x = 0",
        "tr H = sum_j (d a_j² + ||w_j||²) >= 2 sqrt(d) sum_j |a_j| ||w_j||, with equality iff ||w_j|| = sqrt(d) |a_j|: the path "
        "norm, up to the balance of the layers. Of diagonal networks it is diag-1's 2 kappa sum Sigma_ii (u_i² + v_i²). On "
        "parity data: wen2023/theorem-3.1.",
        reading="no bias",
    )
    u = sp.Symbol("u", positive=True)
    for value in (u, -u):
        require(sp.Max(0, value) == (value + sp.Abs(value)) / 2, "relu(z) is not (z + |z|)/2")
    yield Evidence(
        "proved",
        "exact argument; symbolic: relu(z) = (z + |z|)/2; cited: a Rayleigh quotient is at most lambda_max",
        "the same networks and laws",
        "with H = 2 E grad f grad f' and v = E grad f: lambda_max >= v'Hv/||v||² >= 2 ||v||² >= (1/2) sum_j m_j² (a_j² + "
        "||w_j||²), m_j = E|w_j.x|/||w_j||, for E relu(w.x) = E|w.x|/2 and ||E x 1[w.x > 0]|| >= E|w.x|/(2 ||w||). The Frobenius "
        "norm lies between lambda_max and the trace, which has d a_j² in place of a_j².",
        reading="no bias",
    )
    one = Fraction(1)
    cross = tuple((Fraction(1, 4), x) for x in ((one, one), (-one, -one), (one, -one), (-one, one)))
    weights, output = (Fraction(1), Fraction(3)), Fraction(2)
    require(2 * gradient_square(weights, output, cross) == 2 * output**2 + sum(v * v for v in weights), "differs")
    mean = [sum((p * output * x[k] for p, x in cross if x[0] + 3 * x[1] > 0), Fraction(0)) for k in range(2)]
    height = sum((p * max(x[0] + 3 * x[1], Fraction(0)) for p, x in cross), Fraction(0))
    size = sum((p * abs(x[0] + 3 * x[1]) for p, x in cross), Fraction(0)) ** 2 / 10  # m²
    require(2 * (sum(v * v for v in mean) + height**2) >= size * (output**2 + 10) / 2, "2 ||v||² is below its bound")
    lopsided = []
    for t in (1, 10):
        size = Fraction(t)
        law = ((1 / (1 + size**2), (size,)), (size**2 / (1 + size**2), (-1 / size,)))
        require(sum(p * x[0] for p, x in law) == 0 and sum(p * x[0] ** 2 for p, x in law) == 1, "mean 0 and variance 1")
        lopsided.append(2 * gradient_square((-one,), one, law))
    require(lopsided == [2, Fraction(4, 101)], "the traces are others")
    yield Evidence(
        "certified",
        "exact rationals",
        "the four points (±1, ±1), w = (1, 3), a = 2; and the law t, -1/t with mean 0 and variance 1, w = -1, a = 1, t = 1 and 10",
        "the identity and the bound of lambda_max hold; that x and -x are alike cannot be dropped: the trace is 2 and 4/101 = "
        "4/(1 + t²), at the same weights.",
        reading="no bias",
    )
    x, gap = sp.symbols("x delta", positive=True)
    edge = sp.sqrt(3)
    mass = sp.integrate((x**2 + 1) / (2 * edge), (x, edge - gap, edge))
    height = sp.integrate((x - edge + gap) ** 2 / (2 * edge), (x, edge - gap, edge))
    require(sp.limit(2 * (mass + height), gap, 0) == 0, "the trace does not go to 0")
    yield Evidence(
        "refuted",
        "counterexample, exact integrals",
        "x uniform on [-sqrt(3), sqrt(3)], one neuron relu(x - sqrt(3) + delta) with the bias as a weight",
        "the trace goes to 0 with delta, while |a| ||(w, b)|| goes to 2 and |a| |w| is 1: it bounds neither path norm, for a "
        "neuron that sees few points costs little.",
        corrected="Without bias, if x and -x are alike: tr H = sum_j (d a_j² + ||w_j||²).",
        target="statement",
        severity="substance",
        reading="with a bias",
    )


@claim(
    "wu2023/generalization",
    printed="The stable minima of SGD provably generalize well.",
    words="quoted from the abstract",
)
def generalization() -> Iterator[Evidence]:
    """Stable minima and generalization.

    The theorem's assumptions and constants were not at hand, so nothing is examined.
    """
    yield Evidence(
        "open",
        "not examined",
        "-",
        "only the abstract was at hand. wu2023/sgd-trace and wu2023/two-layer bound the path norm of what is stable by 2/(eta "
        "sqrt(d)), for half the mean squared error over the law of inputs; wen2023/lemma-A.24 bounds the complexity of such "
        "networks.",
    )
