"""Owns which rule an operation has: the tables, and the choice among them."""

from collections.abc import Callable
from functools import partial
from typing import Any

from flatproof.verify.curvature.kernels.tangents import affine, convolution, linear_algebra, normalization, softmax
from flatproof.verify.curvature.kernels.tangents.call import Call, Push, Unsupported, aten
from flatproof.verify.curvature.kernels.tangents.generic import elementwise, forward_mode, multilinear, packets

# outputs do not depend on values, or are locally constant
CONSTANT = {
    aten.zeros_like, aten.ones_like, aten.empty_like, aten.full_like, aten.rand_like, aten.randn_like, aten.new_zeros, aten.new_ones,
    aten.new_empty, aten.new_full, aten.new_empty_strided, aten.bernoulli, aten.sign, aten.floor, aten.ceil, aten.round, aten.heaviside,
    aten.bernoulli_, aten.zero_, aten.fill_, aten.uniform_, aten.normal_,
}  # fmt: skip

# tangents that torch's forward mode gives and that are not those of the values (`flatproof reproduce curvature/functions`)
WRONG = {aten.triangular_solve, aten.soft_margin_loss, aten.soft_margin_loss_backward}

MULTILINEAR: dict[Any, tuple[int, ...]] = dict.fromkeys(
    packets("""
        t expand permute transpose unsqueeze squeeze select slice split split_with_sizes unbind neg sum mean cumsum _to_copy flip roll
        tril triu diagonal unfold unfold_backward select_backward slice_backward diagonal_backward constant_pad_nd repeat index gather
        index_select embedding embedding_dense_backward avg_pool2d avg_pool2d_backward _adaptive_avg_pool2d
        _adaptive_avg_pool2d_backward max_pool2d_with_indices_backward nll_loss_forward nll_loss_backward nll_loss2d_forward
        nll_loss2d_backward threshold_backward native_dropout_backward leaky_relu_backward hardtanh_backward upsample_nearest2d
        upsample_nearest2d_backward upsample_bilinear2d upsample_bilinear2d_backward im2col col2im
    """),
    (0,),
) | dict.fromkeys(packets("mul dot mv"), (0, 1))

ELEMENTWISE = set(
    packets("""
        exp log log1p expm1 log2 log10 sqrt rsqrt pow tanh sigmoid gelu silu softplus elu mish hardswish hardsigmoid sin cos tan atan
        erf erfc reciprocal square abs celu selu clamp clamp_min clamp_max maximum minimum div leaky_relu hardtanh threshold
        log_sigmoid logit sinh cosh xlogy tanh_backward sigmoid_backward gelu_backward silu_backward softplus_backward elu_backward
        mish_backward hardswish_backward mse_loss_backward smooth_l1_loss_backward huber_loss_backward binary_cross_entropy_backward
    """)
)

# outputs that only the operation's own backward reads, whose rule accounts for how they move
INNER: dict[Any, tuple[int, ...]] = {
    aten.native_batch_norm: (1, 2),
    aten.native_layer_norm: (1, 2),
    aten.log_sigmoid_forward: (1,),
    aten.nll_loss_forward: (1,),
    aten.nll_loss2d_forward: (1,),
}

BY_HAND: dict[Any, Callable[[Call], Push | None]] = {
    aten.add: affine.sum_of,
    aten.sub: affine.sum_of,
    aten.rsub: affine.sum_of,
    aten.addmm: affine.addmm,
    aten.baddbmm: affine.addmm,
    aten.addmv: affine.addmm,
    aten.mm: affine.matrix_product,
    aten.bmm: affine.batched_product,
    aten.cat: affine.joined,
    aten.stack: affine.joined,
    aten.relu: affine.relu,
    aten.view: affine.reshaped,
    aten._unsafe_view: affine.reshaped,
    aten.reshape: affine.reshaped,
    aten.where: affine.where,
    aten.masked_fill: affine.masked_fill,
    aten.copy_: affine.copy,
    aten.detach: affine.same,
    aten.alias: affine.same,
    aten.clone: affine.same,
    aten.contiguous: affine.same,
    aten.lift_fresh: affine.same,
    aten.convolution: convolution.convolution,
    aten.convolution_backward: convolution.convolution_backward,
    aten.max_pool2d_with_indices: convolution.max_pool,
    aten.native_batch_norm: normalization.batch_norm,
    aten.native_batch_norm_backward: normalization.batch_norm_backward,
    aten.native_layer_norm: normalization.layer_norm,
    aten.native_layer_norm_backward: normalization.layer_norm_backward,
    aten._linalg_det: linear_algebra.factored,
    aten._linalg_slogdet: linear_algebra.factored,
    aten._linalg_solve_ex: linear_algebra.factored,
    aten.log_sigmoid_backward: softmax.log_sigmoid_backward,
    aten._softmax: softmax.softmax,
    aten._safe_softmax: softmax.softmax,
    aten._softmax_backward_data: softmax.softmax_backward,
    aten._log_softmax: softmax.log_softmax,
    aten._log_softmax_backward_data: softmax.log_softmax_backward,
}


def rule_of(op: Any) -> Callable[[Call], Push | None]:
    """The rule of an operation.

    Args:
        op: the overload.

    Returns:
        A call of it -> the push: the active inputs' tangents -> the outputs'; None where every output is locally constant. The rule
        raises Unsupported where it cannot do the call.

    Raises:
        Unsupported: torch's own rule is wrong, and there is no other.
    """
    packet = op.overloadpacket
    if packet in WRONG:
        raise Unsupported(f"torch's forward mode of {op} is wrong")
    if packet in CONSTANT:
        return lambda _: None
    if packet in BY_HAND:
        return BY_HAND[packet]
    if packet in MULTILINEAR:
        return partial(multilinear, places=MULTILINEAR[packet])
    return elementwise if packet in ELEMENTWISE else forward_mode
