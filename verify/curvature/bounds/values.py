"""Owns what is known of a tensor of the network while the parameters move in a ball: its value at the present parameters and a box.

    value = center + deviation,   |deviation - middle| <= radius,   elementwise,

center computed at the present parameters in float64. What rounding does to the center is part of the deviation. A sum of k products,
in whatever order, errs by at most gamma_k = k u / (1 - k u) times the sum of the products' sizes, u = 2^-53 (Higham 2002, section 3.1);
torch's elementary functions are taken to err by at most 4 units in the last place. No Winograd or FFT convolution is used in float64.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

UNIT = 2.0**-53
TINY = 1e-300
FUNCTION = 16 * UNIT  # of an elementary function's value, with some to spare

Norm = Literal["l2", "linf"]
Mode = Literal["tangent", "chords", "steep", "samples"]
Op = Callable[[Tensor], Tensor]
Op2 = Callable[[Tensor, Tensor], Tensor]


class Unknown(ValueError):
    """No bound from above, and why, in a line."""


def gamma(terms: int) -> float:
    """A bound of the relative error of a sum of so many products and some operations around it."""
    return (terms + 16) * UNIT / (1 - (terms + 16) * UNIT)


def up(value: Tensor) -> Tensor:
    """A little above a computed value of at least 0, against the few operations that made it."""
    return value * (1 + 16 * UNIT) + TINY


def up_down(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """A box whose ends are one operation old, rounded outwards."""
    return low - 4 * UNIT * low.abs() - TINY, high + 4 * UNIT * high.abs() + TINY


def plus(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """The sum, where None is 0."""
    return b if a is None else a if b is None else a + b


@dataclass(frozen=True)
class Value:
    """A tensor at all parameters of the ball.

    Attributes:
        center: at the present parameters.
        middle: of the deviation's box; None for 0.
        radius: of the deviation's box; None for 0.
        by_sample: whether axis 0 are the samples and each row depends on the parameters and on its own sample alone.
        scale: c of a parameter, or of its entries in another order; None for anything else.
        root: which parameter that is.
    """

    center: Tensor
    middle: Tensor | None = None
    radius: Tensor | None = None
    by_sample: bool = False
    scale: Tensor | None = None
    root: int | None = None

    @property
    def fixed(self) -> bool:
        """Whether it is known exactly."""
        return self.radius is None and self.middle is None

    @property
    def point(self) -> Tensor:
        """The middle of its values."""
        return self.center if self.middle is None else self.center + self.middle

    @property
    def deviation(self) -> Tensor | None:
        """The largest size of the deviation; None for 0."""
        return self.radius if self.middle is None else up(self.middle.abs() + (0 if self.radius is None else self.radius))

    @property
    def size(self) -> Tensor:
        """The largest size of its values."""
        size = self.point.abs()
        return size if self.radius is None else up(size + self.radius)

    @property
    def box(self) -> tuple[Tensor, Tensor]:
        """The deviation's lower and upper end, rounded outwards; 0 lies between."""
        middle = torch.zeros_like(self.center) if self.middle is None else self.middle
        if self.radius is None:
            return middle.clamp(max=0), middle.clamp(min=0)
        slack = 8 * UNIT * (middle.abs() + self.radius)
        return (middle - self.radius - slack).clamp(max=0), (middle + self.radius + slack).clamp(min=0)

    def within(self, low: Tensor, high: Tensor) -> "Value":
        """The same with a deviation of this box, 0 within."""
        middle = (low + high) / 2
        radius = up(torch.maximum(high - middle, middle - low)) + 4 * UNIT * middle.abs()
        return Value(self.center, middle, radius, self.by_sample)


@dataclass(frozen=True)
class Ball:
    """The displacements ||delta / c||_p <= rho; c = 0 moves nothing.

    Attributes:
        rho: radius.
        norm: "l2" or "linf".
    """

    rho: float
    norm: Norm


@dataclass(frozen=True)
class Joint:
    """|error| <= sum of |adjoint| * size over entries, of which those of one group share parameters, and others share none.

    The sum over groups of |adjoint| * size_g * ||delta_g / (rho c)||_2 is at most the root of the sum of squares.

    Attributes:
        root: the parameter.
        size: in the output's shape.
        shared: axes of the output along which the same parameters are used.
    """

    root: int
    size: Tensor
    shared: tuple[int, ...]


@dataclass(frozen=True)
class Form:
    """deviation of the output = a linear map of deviations + an error in [low, high].

    Attributes:
        sources: names of the inputs that the linear map takes.
        pull: the map's transpose: adjoints (k, *output) -> (k, *input) for each source. Slopes may depend on the adjoint's sign: the
            form then bounds adjoint * deviation from above.
        low: of the error, in the output's shape, at most 0; None for 0.
        high: of the error, at least 0; None for 0.
        joint: errors in an l2 ball.
        pairs: an error of at most the largest |adjoint| * pairs; None for 0.
    """

    sources: tuple[str, ...]
    pull: Callable[[Tensor], tuple[Tensor, ...]]
    low: Tensor | None = None
    high: Tensor | None = None
    joint: tuple[Joint, ...] = ()
    pairs: Tensor | None = None


class Step:
    """One operation: its forms, made when they are first asked for.

    Attributes:
        linear: whether the output's deviation is a linear function of the inputs' but for rounding.
        work: floating point operations of a pull, about.
        top: what a second-order bound needs, if the operation is one that it knows at the top of a loss.
        steep: whether the form of mode "steep" is another than that of "chords".
    """

    def __init__(
        self,
        make: Callable[[Mode], Form],
        *,
        linear: bool = False,
        work: float = 0.0,
        top: "Top | None" = None,
        steep: bool = False,
    ) -> None:
        self._make, self._made = make, dict[str, Form]()
        self.linear, self.work, self.top, self.steep = linear, work, top, steep

    def form(self, mode: Mode) -> Form:
        """The form of a mode: "tangent" is a derivative at the present parameters, "samples" treats what samples share as error."""
        if mode == "steep" and not self.steep:
            mode = "chords"
        if mode not in self._made:
            self._made[mode] = self._make(mode)
        return self._made[mode]


@dataclass(frozen=True)
class Top:
    """sum of adjoint * output <= its tangent + sum of weight * argument^2 / 2.

    Attributes:
        weight: adjoint (*output) -> (*argument), at least 0.
        argument: (k, *argument) -> (k, *input), the transpose of the linear map from the input to the argument.
        tangent: the adjoint of the input, without any error.
        rounding: adjoint (*output) -> what rounding adds, a scalar.
        source: name of the input.
        shape: of the argument.
    """

    weight: Op
    argument: Op
    tangent: Op
    rounding: Op
    source: str
    shape: tuple[int, ...]
