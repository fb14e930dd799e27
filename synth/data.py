"""Owns `Data`: a training set together with the population it came from, what its labels are, and the seeding rule."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Labels = Literal["signs", "real"]
TRAIN, TEST = 0, 1


def generator(seed: int, stream: int) -> np.random.Generator:
    """The generator of one stream of one seed (PCG64, seeded through SeedSequence: equal on every platform).

    Args:
        seed: a whole number of one 32-bit word: SeedSequence works on these, and longer seeds would mix with the stream.
        stream: TRAIN or TEST.

    Returns:
        The generator.

    Raises:
        ValueError: for another seed.
    """
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number of at least 0 and below 2^32, got {seed!r}")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([int(seed), stream])))


def positive(name: str, value: int, least: int = 1) -> int:
    """A value as an int of at least `least`.

    Args:
        name: of the argument, for the message.
        value: what was given.
        least: the smallest that will do.

    Returns:
        The value.

    Raises:
        ValueError: naming the argument otherwise.
    """
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)


@dataclass(frozen=True)
class Data:
    """A training set and its population.

    Attributes:
        name: the distribution, with its parameters in `settings`.
        x: training inputs, (n, d).
        y: training labels, (n,).
        draw: how `sample` draws from the population; None where nothing but the training set is known.
        size: the number of points of the population, equally likely, when `enumerate` can list them; None when it is
            infinite or has more than 2**20.
        labels: "signs" (c or -c, two classes) or "real" (numbers, for which there is no accuracy); told from y if None.
            ValueError if y then looks like the codes of classes.
    """

    name: str
    x: Array
    y: Array
    settings: dict[str, int | float]
    draw: Callable[[int, np.random.Generator], tuple[Array, Array]] | None = field(repr=False)
    size: int | None = None
    support: Callable[[], tuple[Array, Array]] | None = field(repr=False, default=None)
    labels: Labels | None = None

    def __post_init__(self) -> None:
        if self.labels is None:
            object.__setattr__(self, "labels", kind_of_labels("y", self.y))

    def sample(self, k: int, seed: int) -> tuple[Array, Array]:
        """Fresh points of the population, independent of the training set.

        Args:
            k: how many.
            seed: of the draw; equal seeds give equal points.

        Returns:
            x (k, d) and y (k,).

        Raises:
            ValueError: if the population is not known.
        """
        if self.draw is None:
            raise ValueError(NO_TEST_SET)
        return self.draw(positive("k", k), generator(seed, TEST))

    def enumerate(self) -> tuple[Array, Array]:
        """Every point of the population once, all equally likely: x (N, d), y (N,). ValueError if it cannot be listed."""
        if self.draw is None:
            raise ValueError(NO_TEST_SET)
        if self.support is None:
            raise ValueError(f"the population of {self.name} with {self.settings} is infinite or too large to list")
        return self.support()


NO_TEST_SET = "no test set was given; expected test points and labels beside x and y"


def given(
    x: Array,
    y: Array,
    test_x: Array | None = None,
    test_y: Array | None = None,
    labels: Literal["auto", "classes", "real"] = "auto",
) -> Data:
    """A user's own points and labels, with test points as the population; without them none is known.

    Args:
        x: training inputs, (n, d).
        y: training labels, (n,).
        test_x: test inputs, (k, d).
        test_y: test labels, (k,).
        labels: "auto" takes -c and c as two classes and refuses what looks like other codes of classes (`kind_of_labels`), all else is
            real numbers; "classes": two values, of which the smaller becomes -1 and the larger 1 (`settings` keeps both); "real":
            numbers, whatever they are.

    Returns:
        The training set with its population.

    Raises:
        ValueError: naming the array, for NaN, empty arrays, wrong shapes, and labels that are none of the kind.
    """
    if labels not in ("auto", "classes", "real"):
        raise ValueError(f"labels must be auto, classes or real, got {labels!r}")
    if (test_x is None) != (test_y is None):
        raise ValueError("test_x and test_y must be given together")
    points, y = _pair("x", x, "y", y)
    tests = None if test_x is None or test_y is None else _pair("test_x", test_x, "test_y", test_y)
    if tests is not None and tests[0].shape[1] != points.shape[1]:
        raise ValueError(f"test_x must have {points.shape[1]} columns like x, got {tests[0].shape[1]}")
    kind: Labels = "real"
    settings: dict[str, int | float] = {"n": len(y), "d": points.shape[1]}
    if labels == "classes":
        kind = "signs"
        values = np.unique(y if tests is None else np.append(y, tests[1]))
        if len(values) != 2:
            raise ValueError(f"labels 'classes' are two values, one for each class; y has {_listed(values)}")
        settings |= {"negative": float(values[0]), "positive": float(values[1])}
        y = np.where(y == values[1], 1.0, -1.0)
        tests = tests and (tests[0], np.where(tests[1] == values[1], 1.0, -1.0))
    elif labels == "auto":
        kind = kind_of_labels("y", y)
        if tests is not None:
            _check_alike(kind, y, tests[1])
    if tests is None:
        return Data("given", points, y, settings, None, labels=kind)
    test = tests

    def draw(count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        rows = rng.integers(0, len(test[1]), count)
        return test[0][rows], test[1][rows]

    return Data("given", points, y, settings, draw, len(test[1]), lambda: test, kind)


def kind_of_labels(name: str, y: Array) -> Labels:
    """What labels (n,) are: "signs" for -c and c (1 alone, too), "real" for numbers.

    Args:
        name: of the array, for the message.
        y: labels, (n,).

    Returns:
        "signs" or "real".

    Raises:
        ValueError: for what looks like the codes of classes: 0 and 1; two values that repeat, other than -c and c; three or more
            consecutive whole numbers from -1, 0 or 1 on, each twice on average.
    """
    values = np.unique(y)
    k = len(values)
    if (np.abs(values) == 1).all() or (k == 2 and values[0] == -values[1]):
        return "signs"
    if k == 2 and (len(y) > 2 or values.tolist() == [0, 1]):
        raise ValueError(
            f"{name} holds {_listed(values)}, which look like codes of classes; expected -1 and 1; labels 'classes' takes "
            f"{values[0]:g} as -1 and {values[1]:g} as 1, labels 'real' fits them as numbers, which have no accuracy"
        )
    if k > 2 and len(y) >= 2 * k and values[0] in (-1, 0, 1) and (np.diff(values) == 1).all():
        raise ValueError(
            f"{name} holds {_listed(values)}, which look like codes of {k} classes; these networks have one output and tell two "
            "apart; expected -1 and 1; labels 'real' fits them as numbers, which have no accuracy"
        )
    return "real"


def _check_alike(kind: Labels, y: Array, test_y: Array) -> None:
    """ValueError unless test labels are of the kind of the training labels."""
    if kind == "signs":
        c = float(np.abs(y[0]))
        wrong = np.flatnonzero(np.abs(test_y) != c)
        if len(wrong):
            raise ValueError(
                f"test_y must hold nothing but {-c:g} and {c:g}, the classes of y, entry {wrong[0]} is {test_y[wrong[0]]:g}; "
                "labels 'real' fits both as numbers"
            )
        return
    values = np.unique(test_y)
    try:
        classes = kind_of_labels("test_y", test_y) == "signs" and len(values) == 2
    except ValueError:
        classes = True
    if classes and len(test_y) > len(values) and (y != np.round(y)).any():
        raise ValueError(
            f"test_y holds {_listed(values)}, which look like classes, where y holds real numbers; expected labels of one kind; "
            "labels 'real' takes both as numbers"
        )


def _listed(values: Array) -> str:
    """Distinct values in words: "0 and 1", "0, 1, ..., 9"."""
    named = [f"{value:g}" for value in values]
    if len(named) > 4:
        named = [*named[:2], "...", named[-1]]
        return ", ".join(named)
    return " and ".join(filter(None, [", ".join(named[:-1]), named[-1]]))


def _pair(x_name: str, x: Array, y_name: str, y: Array) -> tuple[Array, Array]:
    raw = {name: np.asarray(values) for name, values in ((x_name, x), (y_name, y))}
    for name, values in raw.items():
        if values.dtype.kind not in "fiub":
            raise ValueError(f"{name} must hold real numbers, got dtype {values.dtype}")
    points, labels = (values.astype(np.float64) for values in raw.values())
    if points.ndim != 2 or 0 in points.shape:
        raise ValueError(f"{x_name} must have shape (n, d) with n, d >= 1, got {points.shape}")
    if labels.shape != (len(points),):
        raise ValueError(f"{y_name} must have shape ({len(points)},), one label for each row of {x_name}, got {labels.shape}")
    for name, values in ((x_name, points), (y_name, labels)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite, row {int(np.argwhere(~np.isfinite(values))[0][0])} is not")
    return points, labels
