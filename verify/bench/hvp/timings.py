"""Owns the comparison behind `flatproof bench hvp`: one Hessian-vector product at a fixed point by every kernel and by other packages.

Units: a product's time is given as a multiple of one gradient of the same loss, measured in turn with it. Every implementation gets the
same model, the same single batch and float32. Each takes its vector in its own form (flat, or a list of tensors).
"""

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from flatproof import synth
from flatproof.verify.bench.timing import one_core
from flatproof.verify.curvature.kernels import PREPARE
from flatproof.verify.curvature.lanczos import eigenvalues
from flatproof.verify.curvature.operators import HessianOperator
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.deep.networks import VisionTransformer, mlp, resnet18, vgg11
from flatproof.verify.two_layer.initialization import initial_network
from flatproof.verify.two_layer.modules import TwoLayer

BLOCK = 8  # vectors of a block
LIMIT = 40  # products that a search for lambda_max may take
OURS = "ours: "
PEERS = {"pyhessian": "pyhessian", "hessian-eigenthings": "hessian_eigenthings", "curvlinops": "curvlinops"}


@dataclass(frozen=True)
class Row:
    """One implementation on one workload.

    Attributes:
        gradients: time of one product over that of one gradient: median over the rounds; low, high: smallest and largest.
        milliseconds: median time of one product. gradient_ms: of one gradient.
        block_gradients: the same as `gradients` for each vector of a block of 8; None where there is no call for blocks.
        peak_mb: resident memory above that of model and data, at its highest, in a fresh process.
        floor: arithmetic of one product over that of one gradient, matrix products and convolutions counted: of a linearized
            product, of the subset sums for the closed form.
        lambda_products, lambda_seconds: products and time, preparation included, until the method's own estimate of the largest
            eigenvalue is first within 1 % of a converged one: medians over random starts, None where that took more than LIMIT.
            asked_products, asked_error: what it spends when asked for 1 % by its own stopping rule, and how far off it is at worst;
            None if it has no such rule. proved_products: until an interval of 1 % is proved at 99.5 %; None for methods without one.
        disagreement: ||Hv - reference|| / ||reference||, the reference by double backward in float64.
        note: "not installed", or why there is no number.
    """

    workload: str
    implementation: str
    gradients: float | None = None
    low: float | None = None
    high: float | None = None
    milliseconds: float | None = None
    gradient_ms: float | None = None
    block_gradients: float | None = None
    peak_mb: float | None = None
    floor: float | None = None
    lambda_products: int | None = None
    lambda_seconds: float | None = None
    asked_products: int | None = None
    asked_error: float | None = None
    proved_products: int | None = None
    disagreement: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Workload:
    """A model in evaluation mode, a loss and one batch."""

    name: str
    description: str
    model: nn.Module
    loss: nn.Module
    x: Tensor
    y: Tensor

    def gradient(self) -> tuple[Tensor, ...]:
        """One gradient, as anyone would compute it."""
        return torch.autograd.grad(self.loss(self.model(self.x), self.y), list(self.model.parameters()))


def _images(n: int) -> tuple[Tensor, Tensor]:
    """Images whose pixels are correlated like natural ones, with labels that a network can partly tell apart."""
    coarse = torch.randn(n, 3, 8, 8)
    x = nn.functional.interpolate(coarse, size=32, mode="bilinear") + 0.3 * torch.randn(n, 3, 32, 32)
    return x, coarse.mean((2, 3)).argmax(1) + 3 * (coarse[:, 0, 0, 0] > 0).long()


def _two_layer() -> tuple[nn.Module, nn.Module, Tensor, Tensor]:
    data = synth.parity(30, 100, seed=0)
    x, y = torch.as_tensor(data.x, dtype=torch.float32), torch.as_tensor(data.y, dtype=torch.float32)
    return TwoLayer(initial_network("bias", 30, 500, seed=0), dtype=torch.float32), nn.MSELoss(), x, y


def _mlp() -> tuple[nn.Module, nn.Module, Tensor, Tensor]:
    y = torch.randint(10, (5000,))
    x = (torch.randn(10, 784)[y] + torch.randn(5000, 784)).clamp_min(0)  # like digits: nonnegative, a fifth to a half of it zero
    return mlp(784, 512, 512, 10), nn.CrossEntropyLoss(), x, y


@dataclass(frozen=True)
class Recipe:
    """How a workload is made, over how many rounds it is timed, from how many random starts lambda_max is sought."""

    description: str
    rounds: int
    starts: int
    make: Callable[[], tuple[nn.Module, nn.Module, Tensor, Tensor]]


WORKLOADS = {
    "two-layer": Recipe("two-layer ReLU network with bias, d = 30, m = 500, 100 inputs, MSE, one core", 25, 9, _two_layer),
    "mlp": Recipe("MLP 784-512-512-10, 5000 inputs, cross-entropy", 9, 5, _mlp),
    "vgg11": Recipe(
        "VGG-11, 500 images 3 x 32 x 32, cross-entropy", 3, 1, lambda: (vgg11(), nn.CrossEntropyLoss(), *_images(500))
    ),
    "resnet18": Recipe(
        "ResNet-18, 20 images 3 x 32 x 32, cross-entropy", 5, 3, lambda: (resnet18(), nn.CrossEntropyLoss(), *_images(20))
    ),
    "vit": Recipe(
        "vision transformer (width 128, depth 4), 50 images 3 x 32 x 32, cross-entropy",
        5,
        3,
        lambda: (VisionTransformer(), nn.CrossEntropyLoss(), *_images(50)),
    ),
}


def make_workload(name: str) -> Workload:
    """The named workload, the same at every call. Errors: ValueError naming the known ones."""
    if name not in WORKLOADS:
        raise ValueError(f"--workload must be one of {', '.join(WORKLOADS)}, got {name!r}")
    recipe = WORKLOADS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, loss, x, y = recipe.make()
    return Workload(name, recipe.description, model.eval(), loss, x, y)


# ------------------------------------------------------------------------------------------------------------ implementations


@dataclass
class Ready:
    """An implementation prepared on a workload: `product` takes what `convert` makes of a flat vector; `flatten` undoes it.

    krylov: whether its estimate of lambda_max uses all vectors so far. directions: what its search leans towards.
    """

    product: Callable[[Any], Any]
    convert: Callable[[Tensor], Any] = lambda v: v
    flatten: Callable[[Any], Tensor] = lambda v: v
    block: Callable[[Tensor], Any] | None = None
    krylov: bool = True
    directions: Callable[[], Tensor] | None = None


def _ours(kernel: str) -> Callable[[Workload], Ready]:
    def prepare(work: Workload) -> Ready:
        operator = HessianOperator(work.model, work.loss, (work.x, work.y), kernel=kernel)  # type: ignore[arg-type]
        return Ready(operator.matvec, block=operator.matmat, directions=operator.directions)

    return prepare


def _lists(work: Workload) -> tuple[Callable[[Tensor], list[Tensor]], Callable[[Any], Tensor]]:
    shapes = [p.shape for p in work.model.parameters()]
    sizes = [p.numel() for p in work.model.parameters()]
    return (
        lambda v: [t.reshape(s) for t, s in zip(torch.split(v, sizes), shapes, strict=True)],
        lambda pieces: torch.cat([p.reshape(-1) for p in pieces]).detach(),
    )


def _naive(work: Workload) -> Ready:
    parameters = list(work.model.parameters())

    def product(v: list[Tensor]) -> Any:
        grads = torch.autograd.grad(work.loss(work.model(work.x), work.y), parameters, create_graph=True)
        return torch.autograd.grad(grads, parameters, v)

    return Ready(product, *_lists(work))


def _pyhessian(work: Workload) -> Ready:
    from pyhessian import hessian
    from pyhessian.utils import hessian_vector_product

    kept = hessian(work.model, work.loss, data=(work.x, work.y), cuda=False)
    work.model.zero_grad()  # it leaves gradients with their graph on the model
    return Ready(lambda v: hessian_vector_product(kept.gradsH, kept.params, v), *_lists(work), krylov=False)


def _eigenthings(work: Workload) -> Ready:
    from hessian_eigenthings.loss_fns.standard import supervised_loss
    from hessian_eigenthings.operators.hessian import HessianOperator as Theirs

    return Ready(Theirs(work.model, [(work.x, work.y)], supervised_loss(work.loss)).matvec, flatten=lambda v: v.detach())


def _curvlinops(work: Workload) -> Ready:
    from curvlinops import HessianLinearOperator

    parameters = [p for p in work.model.parameters() if p.requires_grad]
    theirs = HessianLinearOperator(work.model, work.loss, parameters, [(work.x, work.y)], check_deterministic=False)
    return Ready(lambda v: theirs @ v, flatten=lambda v: v.detach(), block=lambda v: theirs @ v)


def versions(peers: Iterable[str]) -> dict[str, str]:
    """The installed version of each peer."""
    found = {}
    for name in peers:
        try:
            found[name] = version({"curvlinops": "curvlinops-for-pytorch"}.get(name, name))
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def automatic(workload: str) -> tuple[str, ...]:
    """Ours that users get unless they ask for another kernel; on the two-layer network also what they get without the closed form."""
    return (f"{OURS}closed-form", f"{OURS}linearize") if workload == "two-layer" else (f"{OURS}linearize",)


def implementations(workload: str) -> dict[str, Callable[[Workload], Ready]]:
    """What is compared on a workload, ours first."""
    own = [
        k
        for k in PREPARE
        if k not in ("finite-difference", "double-backward") and (k != "closed-form" or workload == "two-layer")
    ]
    return {OURS + k: _ours(k) for k in own} | {
        "pyhessian": _pyhessian,
        "hessian-eigenthings": _eigenthings,
        "curvlinops": _curvlinops,
        "double backward": _naive,
    }


# ---------------------------------------------------------------------------------------------------------------- measurement


def hvp_timings(workload: str, rounds: int | None = None, *, memory: bool = True, lambda_max: bool = True) -> list[Row]:
    """Every implementation on the workload, in turn, `rounds` times over (default by workload); one row each."""
    with one_core() if workload == "two-layer" else nullcontext():  # products of microseconds: threads only add noise
        return _timings(workload, rounds or WORKLOADS[workload].rounds, memory, lambda_max)


def _timings(workload: str, rounds: int, memory: bool, lambda_max: bool) -> list[Row]:
    work = make_workload(workload)
    size = sum(p.numel() for p in work.model.parameters())
    generator = torch.Generator().manual_seed(1)
    vector, block = torch.randn(size, generator=generator), torch.randn(size, BLOCK, generator=generator)
    reference = _reference(workload, vector)
    floor = arithmetic_floor(work)
    rows: dict[str, dict[str, Any]] = {}
    calls: dict[str, Callable[[], object]] = {"gradient": work.gradient}
    for name, prepare in implementations(workload).items():
        rows[name] = {"floor": subset_sums_floor(work) if name == f"{OURS}closed-form" else floor}
        if (missing := PEERS.get(name)) and not find_spec(missing):
            rows[name]["note"] = "not installed"
            continue
        try:
            ready = prepare(work)
            given = ready.convert(vector)
            found = ready.flatten(ready.product(given))
        except (RuntimeError, NotImplementedError, ValueError) as error:
            rows[name]["note"] = f"fails: {str(error).splitlines()[0][:120]}"
            continue
        rows[name]["disagreement"] = float((found.double() - reference).norm() / reference.norm())
        calls[name] = lambda ready=ready, given=given: ready.product(given)  # type: ignore[misc]
        if ready.block is not None and name in (*automatic(workload), "curvlinops"):
            calls[f"{name} block"] = lambda ready=ready: ready.block(block)  # type: ignore[misc]
    times = _in_turn(calls, rounds)
    middle = {name: statistics.median(t) for name, t in times.items()}
    for name, row in rows.items():
        if name in times:
            ratios = _ratios(times[name], times["gradient"])
            row |= {"gradients": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}
            row |= {"milliseconds": 1e3 * middle[name], "gradient_ms": 1e3 * middle["gradient"]}
            if f"{name} block" in times:
                row["block_gradients"] = statistics.median(_ratios(times[f"{name} block"], times["gradient"])) / BLOCK
    calls.clear()
    if lambda_max:
        # the search is the same with every kernel of ours: two are enough
        names = [name for name in times if name in rows and (name in automatic(workload) or not name.startswith(OURS))]
        for name, extra in _to_lambda_max(names, work, WORKLOADS[workload].starts).items():
            rows[name] |= extra
    if memory:
        for name, row in rows.items():
            if name in times:
                row["peak_mb"] = peak_memory(workload, name)
    return [Row(workload, name, **row) for name, row in rows.items()]


def _reference(workload: str, vector: Tensor) -> Tensor:
    """The product in float64 by double backward, over samples in parts where there are many."""
    work = make_workload(workload)
    model, x = work.model.double(), work.x.double()
    y = work.y.double() if work.y.is_floating_point() else work.y
    parts = list(zip(torch.split(x, 100), torch.split(y, 100), strict=True))
    return HessianOperator(model, work.loss, parts, kernel="double-backward").matvec(vector.double())


def arithmetic_floor(work: Workload) -> float:
    """Multiply-adds of one linearized product over those of one gradient."""
    small = Workload(work.name, work.description, work.model, work.loss, work.x[:4], work.y[:4])
    problem = Problem(small.model, small.loss, (small.x, small.y))
    product = PREPARE["linearize"](problem, next(problem.batches()))
    vector = torch.zeros(problem.size, 1)
    with FlopCounterMode(display=False) as of_product:
        product(vector)
    with FlopCounterMode(display=False) as of_gradient:
        small.gradient()
    return of_product.get_total_flops() / of_gradient.get_total_flops()


def subset_sums_floor(work: Workload) -> float:
    """Additions of the closed form's two products by subset sums of four, over the operations of a gradient's two dense products.

    n m D / 4 additions each and 15/4 (m + n) D for the tables (`kernels.two_layer_cpu`), against n m D multiplications and additions each.
    """
    (n, d), (m, _) = work.x.shape, work.model.get_parameter("w1").shape
    return ((n * m / 2) + 15 / 4 * (m + n)) * (d + 1) / (4 * n * m * (d + 1))


def _ratios(times: list[float], gradients: list[float]) -> list[float]:
    """Each time over the gradient of its own round; over the median gradient where rounds do not correspond."""
    if len(times) == len(gradients):
        return [t / g for t, g in zip(times, gradients, strict=True)]
    middle = statistics.median(gradients)
    return [t / middle for t in times]


def _in_turn(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call in each round, at least; short calls are repeated within a round, calls of many seconds made once."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    repeats = {}
    for name, call in calls.items():
        began = time.perf_counter()
        call()
        took = time.perf_counter() - began
        repeats[name] = max(1, min(50, int(0.02 / took)))
        if took > 1:  # nothing in it is still to be set up that would count
            times[name].append(took)
    for turn in range(rounds):
        names = list(calls) if turn % 2 == 0 else list(calls)[::-1]
        for name in names:
            if times[name] and times[name][0] > 10:
                continue
            began = time.perf_counter()
            for _ in range(repeats[name]):
                calls[name]()
            times[name].append((time.perf_counter() - began) / repeats[name])
    return times


# ----------------------------------------------------------------------------------------------------------- largest eigenvalue


class _Reached(Exception):
    """The estimate is near enough."""


class _Watched:
    """A symmetric product that knows, after each vector, the estimate that its user can form so far.

    A Krylov method's is the largest Ritz value of all vectors so far, the power method's the last Rayleigh quotient.
    """

    def __init__(self, ready: Ready, size: int, wanted: float | None, began: float) -> None:
        self.ready, self.shape, self.wanted, self.began = ready, (size, size), wanted, began
        self.dtype, self.device, self.products, self.aside = torch.float32, torch.device("cpu"), 0, 0.0
        self.first: tuple[int, float] | None = None
        self._vectors: list[Tensor] = []
        self._t = np.zeros((0, 0))
        if ready.directions is not None:
            self.directions = ready.directions

    def matvec(self, vector: Tensor) -> Tensor:
        """H v, and the bookkeeping, whose time is put aside."""
        out = self.ready.flatten(self.ready.product(self.ready.convert(vector)))
        self.products += 1
        began = time.perf_counter()
        estimate = self._estimate(vector, out)
        near = self.wanted is not None and abs(estimate - self.wanted) <= 0.01 * abs(self.wanted)
        if near and self.first is None:
            self.first = self.products, began - self.began - self.aside
        self.aside += time.perf_counter() - began
        return out

    def _estimate(self, vector: Tensor, out: Tensor) -> float:
        if not self.ready.krylov:
            return float(vector @ out) / float(vector @ vector)
        unit = vector / vector.norm()
        scaled = out / vector.norm()
        self._vectors.append(unit.clone())
        row = np.array([float(u @ scaled) for u in self._vectors])
        grown = np.zeros((len(row), len(row)))
        grown[:-1, :-1] = self._t
        grown[-1], grown[:, -1] = row, row
        self._t = grown
        return float(np.linalg.eigvalsh(grown)[-1])

    def matmat(self, block: Tensor) -> Tensor:
        """Column by column."""
        return torch.stack([self.matvec(v) for v in block.unbind(1)], 1)


def converged(work: Workload) -> float:
    """The largest eigenvalue to 0.01 % by residual and gap."""
    operator = HessianOperator(work.model, work.loss, (work.x, work.y))
    return float(eigenvalues(operator, tolerance=1e-4, stop="ritz", max_products=60, seed=7)[0].value)


def _to_lambda_max(names: list[str], work: Workload, starts: int) -> dict[str, dict[str, Any]]:
    """Products and seconds until 1 %, and what each method does when asked for 1 %: in turn, over that many random starts."""
    wanted = converged(work)
    first: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    asked: dict[str, list[tuple[int, float]]] = {name: [] for name in names}
    proved: dict[str, list[int]] = {name: [] for name in names}
    for start in range(starts):
        for name in names if start % 2 == 0 else names[::-1]:
            watched, estimate = _search(name, work, wanted, start)
            first[name].append(watched.first or (math.inf, math.inf))
            if estimate is not None:
                asked[name].append((watched.products, abs(estimate - wanted) / abs(wanted)))
            if name.startswith(OURS):
                operator = HessianOperator(work.model, work.loss, (work.x, work.y))
                proved[name].append(eigenvalues(operator, tolerance=0.01, max_products=LIMIT, seed=start)[0].products)
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    for name, row in found.items():
        products, seconds = (statistics.median_low([pair[i] for pair in first[name]]) for i in (0, 1))
        if math.isfinite(products):
            row |= {"lambda_products": int(products), "lambda_seconds": seconds}
        if asked[name]:
            row["asked_products"] = statistics.median_low([k for k, _ in asked[name]])
            row["asked_error"] = max(e for _, e in asked[name])
        if proved[name]:
            row["proved_products"] = statistics.median_low(proved[name])
    return found


def _search(name: str, work: Workload, wanted: float, start: int) -> tuple["_Watched", float | None]:
    """The method's search from one random start, watched, and its answer; None for a method that does not stop by itself."""
    size, prepare = sum(p.numel() for p in work.model.parameters()), implementations(work.name)[name]
    with torch.random.fork_rng():
        torch.manual_seed(start)
        began = time.perf_counter()
        watched = _Watched(prepare(work), size, wanted, began)
        if name == "pyhessian":
            return watched, _power_iteration(watched)
        if name.startswith(OURS):
            found = eigenvalues(
                watched, tolerance=0.01, stop="ritz", max_products=LIMIT, seed=start, rounding=False
            )  # as peers do
            return watched, float(found[0].value)
        if name == "curvlinops":
            return watched, _arpack(watched)
        with suppress(_Reached):
            _plain_lanczos(watched)
        return watched, None


def _power_iteration(watched: _Watched) -> float:
    """PyHessian's method for the first eigenvalue, with its stopping rule, asked for 1 %."""
    v = torch.randn(watched.shape[0])
    v, value = v / v.norm(), None
    for _ in range(LIMIT):
        out = watched.matvec(v)
        now = float(v @ out)
        v = out / (out.norm() + 1e-6)
        if value is not None and abs(value - now) / (abs(value) + 1e-6) < 0.01:
            return now
        value = now
    assert value is not None
    return value


def _arpack(watched: _Watched) -> float:
    """curvlinops leaves eigenvalues to scipy: eigsh, asked for 1 %."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    def multiply(v: Any) -> Any:
        return watched.matvec(torch.as_tensor(np.asarray(v, dtype=np.float32).reshape(-1))).numpy()

    start = torch.randn(watched.shape[0]).numpy()
    return float(eigsh(LinearOperator(watched.shape, matvec=multiply, dtype=np.float32), 1, which="LA", tol=0.01, v0=start)[0][0])


def _plain_lanczos(watched: _Watched) -> None:
    """hessian-eigenthings' Lanczos has no stopping rule of its own: stopped as soon as it is near."""
    basis: list[Tensor] = []
    v = torch.randn(watched.shape[0])
    for _ in range(LIMIT):
        v = v / v.norm()
        basis.append(v)
        v = watched.matvec(v)
        if watched.first is not None:
            raise _Reached
        for _ in range(2):
            for u in basis:
                v = v - (u @ v) * u


# --------------------------------------------------------------------------------------------------------------------- memory


def peak_memory(workload: str, implementation: str) -> float | None:
    """Megabytes above model and data that preparing and two products take at most, in a fresh process; None where unknown."""
    folders = os.pathsep.join([str(Path(__file__).resolve().parent.parent), *(p for p in sys.path if p)])
    command = [sys.executable, "-W", "ignore", "-m", "flatproof.verify.bench.hvp.timings", workload, implementation]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": folders}, check=False)
    try:
        return float(json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError):
        return None


@contextmanager
def _resident() -> Iterator[list[float]]:
    """Fills the list with the rise of resident memory within the block at its highest, in MB (Linux)."""
    rise: list[float] = []

    def read(field: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(field))

    Path("/proc/self/clear_refs").write_text("5")  # forget the highest so far
    before = read("VmRSS")
    yield rise
    rise.append(read("VmHWM") - before)


def _measure_memory(workload: str, implementation: str) -> float:
    work = make_workload(workload)
    size = sum(p.numel() for p in work.model.parameters())
    vector = torch.randn(size)
    tiny = Workload(work.name, "", work.model, work.loss, work.x[:1], work.y[:1])
    prepare = implementations(workload)[implementation]
    warm = prepare(tiny)  # imports and compilation are not memory of the method
    warm.product(warm.convert(vector))
    del warm
    with _resident() as rise:
        ready = prepare(work)
        given = ready.convert(vector)
        for _ in range(2):
            ready.product(given)
    return rise[0]


if __name__ == "__main__":
    print(json.dumps(_measure_memory(sys.argv[1], sys.argv[2])))
