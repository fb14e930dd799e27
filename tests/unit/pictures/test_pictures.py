"""Pictures: what stands in the axes is what was computed, the files are whole, and the same picture gives the same bytes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from PIL import Image

from flatproof import theory
from flatproof.verify.curvature import spectral_density
from flatproof.verify.curvature.slices import Line, Plane
from flatproof.verify.pictures import draw_density, draw_flattest, draw_line, draw_plane, save_picture
from flatproof.verify.pictures.flattest_function import draw_range, flattest_numbers, sample
from flatproof.verify.pictures.loss_surface import contour_levels, different, line_numbers, plane_numbers
from flatproof.verify.pictures.spectral_curve import density_numbers
from tests.unit.curvature.matrices import Dense

AT = np.linspace(-1, 1, 5)


def line() -> Line:
    losses = np.stack([1 + AT**2, np.where(AT > 0.9, np.nan, 1 + 30 * AT**2)])
    return Line(AT, losses, ("direction 1", "direction 2"), "direction", np.zeros(1), "by hand")


def plane(checkpoints: int = 3) -> Plane:
    losses = AT[:, None] ** 2 + 10 * AT[None, :] ** 2 + 0.1
    marks, off = np.array([[1.0, 0.5], [-0.5, 0.5], [0, 0]]), np.array([0, 0.25, 0])
    return Plane(AT, AT, losses, ("first", "second"), marks[-checkpoints:], off[-checkpoints:], "by hand")


def text_of(axes: object) -> str:
    """All that a figure says below its axes."""
    return " ".join(str(axes.figure.get_supxlabel()).split())  # type: ignore[attr-defined]


def test_lines_are_drawn_as_they_are() -> None:
    axes = draw_line(line())
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), line().losses[1])
    assert axes.lines[2].get_xydata().tolist() == [[0, 1]]  # type: ignore[union-attr]
    assert axes.get_yscale() == "log"
    assert "by hand; the loss is not finite in 1 of 10 positions, left blank" in text_of(axes)
    left, right = Figure().subplots(1, 2)
    assert draw_line(line(), left) is left
    draw_plane(plane(), right)
    assert text_of(left) == ""  # in a figure of the caller's only what belongs to the axes
    assert left.figure.legends == []
    assert left.get_legend() is not None


def test_planes_have_their_first_axis_to_the_right() -> None:
    axes = draw_plane(plane())
    inside = [path for path in axes.collections[0].get_paths() if len(path.vertices)]  # the lowest losses
    extent = np.ptp(np.concatenate([inside[0].vertices]), axis=0)
    assert extent[0] > 2 * extent[1]  # 10 times as steep upwards
    assert axes.lines[0].get_xydata().tolist() == plane().marks.tolist()  # type: ignore[union-attr]
    assert "checkpoints lie off the plane by up to 25% of their way to its centre" in text_of(axes)
    assert draw_plane(plane(1)).lines[-1].get_xydata().tolist() == [[0, 0]]  # type: ignore[union-attr]


def test_contours_lie_apart_and_a_constant_has_none() -> None:
    levels = contour_levels(np.array([[1.0, 1, 1], [1, 2, np.nan]]))
    assert levels[0] == 1
    assert levels[-1] == 2
    assert (np.diff(levels) > 0).all()
    assert len(contour_levels(np.ones((2, 2)))) == 1
    assert different(np.array([1.0, 1.0001, 2])) == ["1", "1.0001", "2"]
    constant = Plane(AT, AT, np.ones((5, 5)), ("first", "second"), np.zeros((1, 2)), np.zeros(1), "by hand")
    assert isinstance(draw_plane(constant).collections[0], QuadMesh)


def test_numbers_stand_beside() -> None:
    table = line_numbers(line())
    assert list(table.columns) == ["position", "direction 1", "direction 2"]
    table = plane_numbers(plane())
    losses, checkpoints = table[table.checkpoint == ""], table[table.checkpoint != ""]
    assert losses.loc[(losses["first"] == 1) & (losses["second"] == -0.5), "loss"].item() == pytest.approx(3.6)
    assert checkpoints[["first", "second"]].to_numpy().tolist() == plane().marks.tolist()


def test_density() -> None:
    density = spectral_density(Dense(torch.diag(torch.tensor([1.0, 2, 2, 5], dtype=torch.float64))), points=50)
    axes = draw_density(density)
    drawn = np.asarray(axes.lines[0].get_ydata())
    kept = np.isfinite(drawn)
    np.testing.assert_array_equal(drawn[kept], density.density[kept])
    assert density.density[~kept].max() < 0.02 * density.density.max()
    assert density_numbers(density).shape == (50, 4)


def test_the_flattest_function_of_one_coordinate() -> None:
    """y = |x| at four points: kinks where neurons switch, a range that closes at the points and is open beyond the hull."""
    x, y = np.array([[-2.0], [-1], [1], [2]]), np.array([2.0, 1, 1, 2])
    sampled = sample(theory.flattest(x, y, "bias"), points=5, within=0.05)
    assert sampled.ranges is not None
    at, low, high = sampled.coarse[0], sampled.ranges.low, sampled.ranges.high
    inside = (at >= -2) & (at <= 2)
    assert np.isfinite(low[inside]).all()
    assert not np.isfinite(low[~inside]).any()
    for point, label in zip(x[:, 0], y, strict=True):
        assert [low[at == point].item(), high[at == point].item()] == pytest.approx([label, label])
    value = np.interp(at, sampled.axes[0], sampled.values)
    assert (value[inside] >= low[inside] - 1e-2).all()
    assert (value[inside] <= high[inside] + 1e-2).all()
    axes = draw_flattest(sampled)
    labels = [str(text.get_text()) for text in axes.figure.legends[0].get_texts()]
    assert labels == ["a flattest network", "range of predictions", "kinks", "points", "unbounded"]
    network = sampled.solution.network
    kinks = next(drawn for drawn in axes.lines if drawn.get_label() == "kinks").get_xdata()
    assert network.b1 is not None
    assert set(kinks) <= set(-network.b1 / network.w1[:, 0])
    with pytest.raises(ValueError, match="two coordinates"):
        draw_range(sampled)


def test_the_flattest_function_of_two_coordinates(tmp_path: Path) -> None:
    x, y = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]), np.array([1.0, -1, -1, 1])
    solution = theory.flattest(x, y, "no-bias")
    sampled = sample(solution, points=4, margin=0.25)
    assert sampled.ranges is not None
    assert sampled.ranges.certified.all()
    assert np.isfinite(sampled.ranges.low).all()  # the cone of the points is the whole plane
    axes = draw_flattest(sampled)
    mesh = next(c for c in axes.collections if isinstance(c, QuadMesh))
    np.testing.assert_array_equal(np.asarray(mesh.get_array()).reshape(sampled.values.T.shape), sampled.values.T)
    assert sampled.values[0, -1] == theory.forward(solution.network, [[sampled.axes[0][0], sampled.axes[1][-1]]])[0]
    axes = draw_range(sampled)
    table = flattest_numbers(sampled)
    assert table.certified.value_counts().to_dict() == {"yes": 16}
    save_picture(axes, table, tmp_path, "range", "ranges")
    read = pd.read_csv(tmp_path / "range.csv", comment="#")
    np.testing.assert_allclose(read.low.dropna(), sampled.ranges.low, rtol=1e-9)
    with pytest.raises(ValueError, match="the points have 3 coordinates"):
        sample(theory.flattest(np.eye(3), [1.0, -1, 1], "no-bias"))


def test_files_say_what_made_them_and_are_the_same_bytes_again(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        files = save_picture(
            draw_plane(plane()), plane_numbers(plane()), tmp_path / folder, "p", "a title", {"command": "x\n--y"}
        )
    assert [file.name for file in files] == ["p.png", "p.pdf", "p.csv"]
    for file in files:
        assert file.read_bytes() == (tmp_path / "first" / file.name).read_bytes(), file
    with Image.open(files[0]) as image:
        assert image.text["Title"] == "a title"  # type: ignore[attr-defined]
        assert image.text["Description"].startswith("command: x --y; flatproof: ")  # type: ignore[attr-defined]
    assert files[2].read_text(encoding="utf-8").startswith("# a title\n# command: x --y\n# flatproof: ")
    assert list((tmp_path / "second").glob(".*")) == []
    (tmp_path / "first" / "p.csv").unlink()
    with pytest.raises(ValueError, match=r"p\.png is there and is no earlier picture's"):
        save_picture(draw_plane(plane()), plane_numbers(plane()), tmp_path / "first", "p", "a title")
