"""Pictures of what is the user's own: the loss around a model, its Hessian's spectral density, the flattest function of points.

    loss_surface        `draw_line`, `draw_plane`: the loss on lines and planes (`verify.curvature.slices`)
    spectral_curve      `draw_density`: the spectral density (`verify.curvature.density`)
    flattest_function   `draw_flattest`: the flattest function of points in one or two dimensions, and the range of those nearly as flat
    saving              `save_picture`: PNG, PDF, and the numbers as CSV, each with what made it

Functions draw on matplotlib's axes and return them; styles are `verify.report.style`'s.
"""

from flatproof.verify.pictures.flattest_function import draw_flattest
from flatproof.verify.pictures.loss_surface import draw_line, draw_plane
from flatproof.verify.pictures.saving import save_picture
from flatproof.verify.pictures.spectral_curve import draw_density

__all__ = ["draw_density", "draw_flattest", "draw_line", "draw_plane", "save_picture"]
