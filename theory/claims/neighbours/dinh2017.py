"""Owns statements of Dinh et al. 2017: what T_alpha, which rescales the layers of a ReLU network, does to volume, Hessian and sharpness.

L. Dinh, R. Pascanu, S. Bengio, Y. Bengio: Sharp Minima Can Generalize For Deep Nets, ICML 2017, arXiv 1703.04933. n1 and n2
are the numbers of weights in theta_1 and theta_2; D = diag(alpha^-1 on theta_1, alpha on theta_2).
"""

from collections.abc import Iterator

import sympy as sp

from flatproof.theory.claims import RESTATED, Evidence, claim, definition, require
from flatproof.theory.claims.neighbours.jets import before, expansion

alpha = sp.Symbol("alpha", positive=True)
BLOCKS = sp.diag(alpha, alpha, 1 / alpha, 1 / alpha)  # T_alpha on two weights of each layer

definition(
    "dinh2017/alpha-scale",
    "The rescaling of the layers",
    "y = relu(x theta_1) theta_2 and T_alpha: (theta_1, theta_2) -> (alpha theta_1, theta_2 / alpha), alpha > 0.",
    words=RESTATED,
)
definition(
    "dinh2017/volume-flatness",
    "Flatness as a volume",
    """For eps > 0 and a minimum theta, C(L, theta, eps) is the largest connected set that contains theta on which L < L(theta) + eps;
    the eps-flatness is its volume.""",
    words=RESTATED,
)
definition(
    "dinh2017/ball-sharpness",
    "Sharpness in a Euclidean ball",
    "The eps-sharpness at theta is proportional to max over ||theta' - theta||_2 <= eps of (L(theta') - L(theta)) / (1 + L(theta)).",
    words=RESTATED,
)


def _network(theta: tuple[sp.Expr, ...], x: tuple[int, ...]) -> sp.Expr:
    """theta = (w_11, w_12, w_21, w_22, a_1, a_2): two neurons on R², each active at x."""
    return sum(theta[4 + j] * sum(theta[2 * j + k] * x[k] for k in range(2)) for j in range(2))


@claim(
    "dinh2017/same-function",
    printed="For every alpha > 0 the networks of theta and of T_alpha(theta) are the same function.",
    depends_on=("dinh2017/alpha-scale",),
    words=RESTATED,
)
def same_function() -> Iterator[Evidence]:
    """Rescaling the layers leaves the function as it is.

    relu(alpha z) = alpha relu(z) for alpha > 0, by cases of the sign of z.
    """
    size = sp.Symbol("s", nonnegative=True)
    for z in (size, -size):
        require(
            sp.Max(0, alpha * z) == alpha * sp.Max(0, z) or sp.simplify(sp.Max(0, alpha * z) - alpha * sp.Max(0, z)) == 0,
            f"z = {z}",
        )
    yield Evidence(
        "proved",
        "symbolic, one neuron by the sign of its pre-activation",
        "every width, dimension, theta and x; a factor for each neuron too",
        "relu(alpha z) a / alpha = relu(z) a, and outputs are sums of these.",
    )
    require((sp.Max(0, 1), -sp.Max(0, -1)) == (1, 0), "alpha = -1 leaves the function as it is")
    yield Evidence(
        "certified",
        "exact",
        "one neuron, theta = (1, 1), x = 1, alpha = -1",
        "alpha > 0 cannot be dropped: 1 becomes relu(-1) (-1) = 0.",
    )


@claim(
    "dinh2017/volume",
    printed="""For a ReLU network with one hidden layer and a minimum theta with theta_1 != 0 and theta_2 != 0, C(L, theta, eps) has
    infinite volume for every eps > 0.""",
    depends_on=("dinh2017/volume-flatness", "dinh2017/same-function"),
    words=RESTATED,
)
def volume() -> Iterator[Evidence]:
    """The volume of the set on which the loss is nearly as small.

    L is continuous, so a small box B around some theta' with a weight c > 0 (or < 0) in theta_1 lies in the set. The boxes
    T_(q^k) B, k whole, lie in it too, joined by the curves alpha -> T_alpha(t): L is constant on these. With q = (c + r)/(c -
    r) they meet at most in their faces, and T_alpha multiplies volumes by alpha^(n1 - n2): those with k (n1 - n2) >= 0 are
    infinitely many of at least B's volume.
    """
    c, r, k, n1, n2 = sp.symbols("c r k n_1 n_2", positive=True)
    q = (c + r) / (c - r)
    require(sp.simplify(q**k * (c + r) - q ** (k + 1) * (c - r)) == 0, "two boxes overlap")
    require(sp.simplify(alpha**n1 * (1 / alpha) ** n2 - alpha ** (n1 - n2)) == 0, "T_alpha has another determinant")
    require(BLOCKS.det() == 1, "T_alpha changes the volume where n1 = n2")
    yield Evidence(
        "proved",
        "exact argument; symbolic: T_alpha's determinant, and the edges of two boxes",
        "every width and dimension, any theta at which L is continuous and depends on theta through the function alone",
        "infinitely many disjoint boxes of at least one volume. Neither theta_1 != 0, theta_2 != 0 nor that theta is a minimum "
        "is needed: around any theta there are points with a weight that is not 0. A price on the weights breaks it: then L is "
        "not constant along T.",
    )
    first, top, eps = sp.symbols("w T epsilon", positive=True)
    area = sp.integrate(2 * sp.sqrt(eps) / first, (first, 1, top))
    require(sp.simplify(area - 2 * sp.sqrt(eps) * sp.log(top)) == 0, "the area is another")
    require(sp.limit(area, top, sp.oo) == sp.oo, "the area is finite")
    yield Evidence(
        "certified",
        "exact integral",
        "one neuron, one sample x = y = 1, eps < 1: the points with |theta_1 theta_2 - 1| < sqrt(eps)",
        "the part with 1 < theta_1 < T has the area 2 sqrt(eps) ln T.",
    )


@claim(
    "dinh2017/hessian",
    printed="""T_alpha changes gradient and Hessian: grad L(T_alpha(theta)) = D grad L(theta) and Hess L(T_alpha(theta)) = D Hess
    L(theta) D with D = diag(1/alpha on theta_1, alpha on theta_2).""",
    depends_on=("dinh2017/same-function",),
    reading="differentiable parameters",
    words=RESTATED,
)
def hessian() -> Iterator[Evidence]:
    """Gradient and Hessian of the rescaled network."""
    gradient, second = expansion(4, "h")
    scale = BLOCKS.inv()
    found = before(scale * gradient, scale * second * scale, BLOCKS)
    require(found[0] == gradient, "the gradient is another")
    require((found[1] - second).applyfunc(sp.simplify) == sp.zeros(4, 4), "the Hessian is another")
    yield Evidence(
        "proved",
        "symbolic, second-order expansions, two weights of each layer; entries see two at most",
        "every width, dimension, loss and alpha > 0, where L is twice differentiable at theta",
        "T'(D G) = G and T'(D K D) T = K for T = T_alpha; where L is differentiable at theta it is at T_alpha(theta).",
    )
    theta = sp.symbols("w_11 w_12 w_21 w_22 a_1 a_2", real=True)
    samples = (((1, 0), 2), ((1, 1), -1), ((2, 1), 3))
    loss = sum((_network(theta, x) - y) ** 2 for x, y in samples) / sp.Integer(3)
    here = (sp.Rational(1, 2), 1, 2, sp.Rational(1, 3), -1, sp.Rational(2, 3))
    there = tuple(3 * w for w in here[:4]) + tuple(sp.Rational(a) / 3 for a in here[4:])
    step = sp.diag(*[sp.Rational(1, 3)] * 4, 3, 3)
    grads, seconds = (
        [sp.Matrix(f).subs(dict(zip(theta, at, strict=True))) for at in (here, there)]
        for f in ([loss.diff(t) for t in theta], sp.hessian(loss, theta))
    )
    require(grads[1] == step * grads[0], "the gradient differs")
    require(seconds[1] == step * seconds[0] * step, "the Hessian differs")
    yield Evidence(
        "certified",
        "exact: the whole loss differentiated",
        "2 neurons, 3 samples, off interpolation, alpha = 3",
        "agrees entry by entry",
    )


@claim(
    "dinh2017/spectral-norm",
    printed="""For a critical point theta of a ReLU network with one hidden layer that is a minimum with Hess L(theta) != 0, for every M
    > 0 some alpha > 0 has spectral norm ||Hess L(T_alpha(theta))||_2 >= M.""",
    depends_on=("dinh2017/hessian",),
    reading="differentiable parameters",
    words=RESTATED,
)
def spectral_norm() -> Iterator[Evidence]:
    """The largest eigenvalue of the Hessian along a rescaling.

    At a minimum the Hessian is positive semidefinite; with a diagonal of zeros it would be 0, for h_ij² <= h_ii h_jj. An eigenvalue is at
    least as large as each diagonal entry, which is gamma/alpha² or alpha² gamma.
    """
    gamma, bound = sp.symbols("gamma M", positive=True)
    require(sp.simplify(gamma / alpha**2).subs(alpha, sp.sqrt(gamma / bound)) == bound, "a weight of the first layer")
    require(sp.simplify(gamma * alpha**2).subs(alpha, sp.sqrt(bound / gamma)) == bound, "a weight of the second layer")
    yield Evidence(
        "proved",
        "symbolic, one diagonal entry; cited: a diagonal entry is at most the largest eigenvalue",
        "every width, dimension and loss, twice differentiable at theta",
        "alpha = sqrt(gamma/M) or sqrt(M/gamma) for a diagonal entry gamma > 0 of the first or second layer: explicit, no "
        "equivalence of norms is needed.",
    )
    cross = sp.Matrix([[0, 1], [1, 0]])
    step = sp.diag(1 / alpha, alpha)
    require(step * cross * step == cross, "the cross block changes")
    yield Evidence(
        "certified",
        "exact",
        "Hess = [[0, 1], [1, 0]] between one weight of each layer",
        "that theta is a minimum cannot be dropped: D Hess D = Hess for every alpha.",
    )


@claim(
    "dinh2017/trace",
    printed="Along T_alpha the trace of the Hessian, too, can be made as large as one likes without changing the function.",
    depends_on=("dinh2017/hessian",),
    reading="differentiable parameters",
    words=RESTATED,
)
def trace() -> Iterator[Evidence]:
    """The trace of the Hessian along a rescaling.

    It is t_1/alpha² + alpha² t_2, t_1 and t_2 the traces of the layers' blocks.
    """
    one, two = sp.symbols("t_1 t_2", positive=True)
    _, second = expansion(4, "h")
    moved = (BLOCKS.inv() * second * BLOCKS.inv()).trace()
    parts = (second[0, 0] + second[1, 1]) / alpha**2 + alpha**2 * (second[2, 2] + second[3, 3])
    require(sp.expand(moved - parts) == 0, "the trace is another")
    total = one / alpha**2 + alpha**2 * two
    require(sp.limit(total, alpha, sp.oo) == sp.oo and sp.limit(total, alpha, 0, "+") == sp.oo, "the trace is bounded")
    floor = 2 * sp.sqrt(one * two)
    require(sp.simplify(total - floor - (sp.sqrt(one) / alpha - alpha * sp.sqrt(two)) ** 2) == 0, "the floor is another")
    yield Evidence(
        "proved",
        "symbolic, two weights of each layer",
        "every width, dimension and loss, at a minimum with Hess L != 0; off one as soon as t_1 or t_2 > 0",
        "beyond every bound as alpha goes to 0 if t_1 > 0, and to infinity if t_2 > 0. Not as small as one likes where both are: "
        "t_1/alpha² + alpha² t_2 = 2 sqrt(t_1 t_2) and a square, least at alpha⁴ = t_1/t_2, so at alpha = 1 where the shares are "
        "equal.",
    )


@claim(
    "dinh2017/ball-sharpness-unbounded",
    printed="Along T_alpha the eps-sharpness can be made as large as one likes without changing the function, for every eps > 0.",
    depends_on=("dinh2017/ball-sharpness", "dinh2017/same-function", "own/rescaling-1"),
    words=RESTATED,
)
def ball_sharpness() -> Iterator[Evidence]:
    """Sharpness in a Euclidean ball along a rescaling.

    own/rescaling-1's displacement, eps in one output weight, has Euclidean length eps: it lies in the ball as in Keskar's box.
    """
    height, eps, residual = sp.symbols("h epsilon r", positive=True)
    for sign in (1, -1):
        require(sp.limit((sign * residual + eps * alpha * height) ** 2, alpha, sp.oo) == sp.oo, "the sample's loss is bounded")
    yield Evidence(
        "proved",
        "symbolic, one output weight and one sample, residual of either sign; the others add squares",
        "mean squared error; every width, dimension, sample set, network and eps > 0 with a neuron that is active at a sample",
        "L(theta') >= (r + eps alpha relu(z))²/n goes to infinity, while L(theta) stays.",
    )
    first, second, radius = sp.symbols("a b epsilon", real=True)
    least = (1 + first / alpha) * (1 + alpha * second) - 1
    at = least.subs({first: radius / sp.sqrt(2), second: radius / sp.sqrt(2)})
    slope = sp.expand(at).coeff(radius, 1)
    require(sp.simplify(slope**2 - 2 - (alpha - 1 / alpha) ** 2 / 2) == 0, "the slope is another")
    yield Evidence(
        "certified",
        "exact",
        "one neuron, one sample x = y = 1, theta = (alpha, 1/alpha)",
        "not as small as one likes: the displacement eps (1, 1)/sqrt(2) moves f by at least sqrt(2) eps, for every alpha.",
    )
