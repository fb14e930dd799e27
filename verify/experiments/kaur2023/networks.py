"""Owns kaur2023's VGG-11, with and without batch normalization; its fully connected network is `verify.deep.networks.fully_connected`.

Its page does not state the initialization. Here: He et al. (2015), normal with variance 2 / fan-in (from torch's default a VGG-11
without normalization hardly leaves its start), biases 0, batch normalization's weights 1.
"""

import torch
from torch import Tensor, nn

from flatproof.verify.deep.networks import vgg11

SIDE = 32  # five poolings take 32 pixels to 1


def vgg(channels: int = 3, side: int = SIDE, narrow: int = 1, normalized: bool = False) -> nn.Sequential:
    """VGG-11 on (n, channels, side, side) images; smaller ones than 32 x 32 are framed with zeros.

    Args:
        channels: of the images.
        side: pixels, even, at most 32.
        narrow: what every width is divided by.
        normalized: with batch normalization.

    Raises:
        ValueError: for a larger side or one that no frame centres.
    """
    if not 0 < side <= SIDE or (SIDE - side) % 2:
        raise ValueError(f"side must be an even number of pixels up to {SIDE}, got {side}")
    body = vgg11(channels=channels, narrow=narrow, normalized=normalized)
    frame = [nn.ZeroPad2d((SIDE - side) // 2)] if side < SIDE else []
    return he_normal(nn.Sequential(*frame, *body))


@torch.no_grad()
def he_normal(model: nn.Sequential) -> nn.Sequential:
    """The model with weights N(0, 2 / fan-in) in convolutions and linear layers and biases 0; returned for chaining."""
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if isinstance(module.bias, Tensor):
                module.bias.zero_()
    return model
