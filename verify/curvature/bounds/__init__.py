"""Certified bounds from above of a loss while its parameters move in a ball, which an ascent bounds from below.

`values` has what is known of a tensor, `rules` what operations do to it (`operation`, `linear_rules`, `product_rules`, `curve_rules` on
`curves`, `head_rules`), `tracing` the operations of a model's loss, `program` the passes, `increase` the bound.
"""

from flatproof.verify.curvature.bounds.increase import NO_BOUND, Above, batch_bound, box_above, mean_above
from flatproof.verify.curvature.bounds.values import Unknown

__all__ = ["NO_BOUND", "Above", "Unknown", "batch_bound", "box_above", "mean_above"]
