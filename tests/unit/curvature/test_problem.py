"""What is differentiated: directions of large curvature, and what bad input says."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flatproof.verify.curvature import HessianOperator, Problem
from tests.unit.curvature.cases.modules import Checkpointed
from tests.unit.curvature.models import CLOSE, error, mlp, points


def test_directions() -> None:
    """The gradient and, for a scalar output under the squared error, the gradient of the mean output."""
    model, x = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1), nn.Flatten(0)).double(), torch.randn(9, 4).double()
    y = torch.randn(9).double()
    problem = Problem(model, nn.MSELoss(), [(x[:5], y[:5]), (x[5:], y[5:])])
    directions, gradient = problem.directions(), problem.gradient()
    mean = problem.flatten(torch.autograd.grad(model(x).mean(), list(model.parameters())))
    assert error(directions[:, 0], gradient / gradient.norm()) < CLOSE
    assert error(directions[:, 1], mean / mean.norm()) < CLOSE
    labels = torch.randint(3, (9,))
    net = mlp()
    columns = Problem(net, nn.CrossEntropyLoss(), (torch.randn(9, 4).double(), labels)).directions()
    assert columns.shape[1] == 2
    assert torch.linalg.vector_norm(columns, dim=0).tolist() == pytest.approx([1, 1])
    # a loss that is linear in the outputs has no curvature there: the gradient is left
    assert Problem(model, lambda z, _: z.mean(), (x, y)).directions().shape[1] == 1


def _integer() -> nn.Module:
    model = mlp()
    model.register_parameter("count", nn.Parameter(torch.ones(2, dtype=torch.int64), requires_grad=False))
    return model


def _mixed() -> nn.Module:
    model = mlp()
    model[0].float()
    return model


def _with_an_empty_one() -> nn.Module:
    model = mlp()
    model.register_parameter("none", nn.Parameter(torch.zeros(0, 3, dtype=torch.float64)))
    return model


def _tied_in_memory() -> nn.Module:
    """As by nn.Parameter(embedding.weight.data): two Parameters, one memory."""
    model = mlp()
    model.register_parameter("again", nn.Parameter(model[0].weight.data.T))  # type: ignore[union-attr]
    return model


def _of_one_number() -> nn.Module:
    model = mlp()
    model[0].weight = nn.Parameter(torch.ones(1, 1, dtype=torch.float64).expand(5, 4))
    return model


X, Y = points()
BAD: dict[str, tuple[Callable[[], HessianOperator], type[Exception], str]] = {
    "shared memory": (
        lambda: HessianOperator(_tied_in_memory(), F.cross_entropy, (X, Y)),
        ValueError,
        "numbers of again and 0.weight are in more than one place",
    ),
    "one number": (
        lambda: HessianOperator(_of_one_number(), F.cross_entropy, (X, Y)),
        ValueError,
        "numbers of 0.weight are in more than one place",
    ),
    "no numbers": (
        lambda: HessianOperator(_with_an_empty_one(), F.cross_entropy, (X, Y), parameters="none"),
        ValueError,
        "all are empty: none",
    ),
    "empty": (lambda: HessianOperator(mlp(), F.cross_entropy, []), ValueError, "at least one sample"),
    "one-shot": (lambda: HessianOperator(mlp(), F.cross_entropy, ((X, Y) for _ in "a")), TypeError, "re-iterable"),
    "no pairs": (lambda: HessianOperator(mlp(), F.cross_entropy, [X, X, X]), TypeError, "pairs or mappings, batch 0 is a tensor"),
    "not data": (lambda: HessianOperator(mlp(), F.cross_entropy, 3), TypeError, "data must be"),
    "targets": (
        lambda: HessianOperator(mlp(), F.cross_entropy, (X, Y[:2])),
        ValueError,
        r"cannot be evaluated.*targets have \(2,\) for 9 samples",
    ),
    "loss shape": (lambda: HessianOperator(mlp(), nn.CrossEntropyLoss(reduction="none"), (X, Y)), ValueError, "scalar tensor"),
    "no grad": (lambda: HessianOperator(mlp(), lambda z, t: z.detach().sum(), (X, Y)), ValueError, "has no grad"),
    "nan loss": (lambda: HessianOperator(mlp(), lambda z, t: z.sum() * torch.nan, (X, Y)), ValueError, "loss must be finite"),
    "integer": (
        lambda: HessianOperator(_integer(), F.cross_entropy, (X, Y), parameters="count"),
        TypeError,
        "count is torch.int64",
    ),
    "dtypes": (lambda: HessianOperator(_mixed(), F.cross_entropy, (X, Y)), ValueError, "one dtype"),
    "data dtype": (lambda: HessianOperator(mlp(), F.cross_entropy, (X.float(), Y)), ValueError, "batch 0 has torch.float32"),
    "device": (lambda: HessianOperator(mlp(), F.cross_entropy, (X.to("meta"), Y)), ValueError, "one device"),
    "kernel": (lambda: HessianOperator(mlp(), F.cross_entropy, (X, Y), kernel="fast"), ValueError, "kernel must be one of"),  # type: ignore[arg-type]
    "closed form": (
        lambda: HessianOperator(mlp(), F.cross_entropy, (X, Y), kernel="closed-form"),
        ValueError,
        "needs a verify.two_layer.modules",
    ),
    "mode": (lambda: HessianOperator(mlp(), F.cross_entropy, (X, Y), mode="test"), ValueError, "mode must be one of"),  # type: ignore[arg-type]
    "name": (lambda: HessianOperator(mlp(), F.cross_entropy, (X, Y), parameters="9"), ValueError, "'9' names nothing"),
    "model": (lambda: HessianOperator(lambda x: x, F.cross_entropy, (X, Y)), TypeError, "model must be a torch.nn.Module"),  # type: ignore[arg-type]
    "parameterless": (lambda: HessianOperator(nn.ReLU(), F.cross_entropy, (X, Y)), ValueError, "must have parameters"),
    "memory": (lambda: HessianOperator(mlp(), F.cross_entropy, (X, Y), memory=-1), ValueError, "memory must be"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    make, kind, says = BAD[case]

    def use() -> None:
        operator = make()
        operator.matvec(torch.ones(operator.shape[0], dtype=torch.float64))

    with pytest.raises(kind, match=says):
        use()


def test_views_of_one_memory_that_do_not_meet_are_parameters() -> None:
    """As a flattened model has them, and interleaved ones."""
    whole = torch.randn(24, dtype=torch.float64)
    model = nn.Module()
    model.a, model.b = nn.Parameter(whole[:12].view(4, 3)), nn.Parameter(whole[12:].view(4, 3)[:, ::2])
    model.c = nn.Parameter(whole[12:].view(4, 3)[:, 1:2])
    model.forward = lambda x: torch.tanh(x @ model.a + (x @ model.b).sum(1, keepdim=True)) * (x @ model.c)  # type: ignore[assignment]
    apart = Problem(model, F.cross_entropy, (X, Y)).gradient()
    assert (
        error(apart, torch.cat([g.flatten() for g in torch.autograd.grad(F.cross_entropy(model(X), Y), [*model.parameters()])]))
        < CLOSE
    )


def test_empty_parameters_and_batches_add_nothing() -> None:
    plain, more = mlp(), _with_an_empty_one()
    halves = [(X[:4], Y[:4]), (X[:0], Y[:0]), (X[4:], Y[4:])]
    wanted = HessianOperator(plain, F.cross_entropy, (X, Y)).dense()
    assert error(HessianOperator(more, F.cross_entropy, halves).dense(), wanted) < CLOSE


def test_hooks_on_gradients_are_no_part_of_the_loss() -> None:
    hooked, calls = mlp(), []
    hooked[0].weight.register_hook(lambda g: calls.append(1) or 0.5 * g)  # type: ignore[func-returns-value, union-attr]
    wanted = HessianOperator(mlp(), F.cross_entropy, (X, Y)).dense()
    assert error(HessianOperator(hooked, F.cross_entropy, (X, Y)).dense(), wanted) < CLOSE
    assert not calls
    F.cross_entropy(hooked(X), Y).backward()  # type: ignore[no-untyped-call]
    assert calls == [1]


def test_an_optimizer_within_the_backward_pass_does_not_run() -> None:
    """As by register_post_accumulate_grad_hook, with reentrant checkpointing, which insists on a plain backward."""
    parts, steps = Checkpointed(True).double(), []
    for p in parts.parameters():
        p.register_post_accumulate_grad_hook(lambda p: steps.append(p.shape))
    HessianOperator(parts, F.cross_entropy, (X, Y)).dense()
    assert not steps
    F.cross_entropy(parts(X), Y).backward()  # type: ignore[no-untyped-call]
    assert len(steps) == 6


def test_random_numbers_are_those_that_torch_gives_for_the_seed() -> None:
    from flatproof.verify.curvature.isolation import seeded

    torch.manual_seed(7)
    expected = torch.rand(5)
    torch.rand(3)
    seeded(7, torch.device("cpu"))
    assert torch.equal(torch.rand(5), expected)
