"""Owns the networks by name. What is stored of a network is its address, "module:function", which outlives the module's place.

Another package's network is named by its address too, or by a name that the package gives it in the entry-point group
`flatproof.networks`:

    [project.entry-points."flatproof.networks"]
    mixer = "mypackage.networks:mixer"
"""

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from flatproof.verify.utils.plugins import addresses, named_object
from flatproof.verify.utils.source import code_digest, is_own

# Name and stored address of each network here; `register` adds others.
NETWORKS = {
    "fully-connected": "verify.models:fully_connected",
    "alexnet-like": "verify.models:alexnet_like",
    "vgg-like": "verify.models:vgg_like",
    "vgg11": "verify.models:vgg11",
    "resnet18": "verify.models:resnet18",
    "preactivation-resnet": "flatproof.verify.deep.vision:preactivation_resnet",
    "simple-vit": "flatproof.verify.deep.vision:SimpleVisionTransformer",
    "efficientnet-lite": "flatproof.verify.deep.efficientnet:fine_tunable",
}
# Where the modules are that addresses name by the places they had when trainings were first stored.
MOVED = {
    "verify.models": "flatproof.verify.deep.networks",
    "verify.experiments.kaur2023.networks": "flatproof.verify.experiments.kaur2023.networks",
}
GROUP = "flatproof.networks"


def register(name: str, address: str) -> None:
    """Give a network a name. Raises ValueError for a name that another network has."""
    if NETWORKS.setdefault(name, address) != address:
        raise ValueError(f"network {name!r} is {NETWORKS[name]}; expected another name for {address}")


def address_of(network: str) -> str:
    """The stored address of a network.

    Args:
        network: a registered name, an address, the function's present place, or a name in another package's entry points.

    Raises:
        ValueError: for anything else.
    """
    if network in NETWORKS:
        return NETWORKS[network]
    if isinstance(network, str) and ":" not in network:
        network = addresses(GROUP).get(network, network)
    if not isinstance(network, str) or network.count(":") != 1:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}, or be named module:function, got {network!r}")
    module, name = network.split(":")
    return next((f"{old}:{name}" for old, new in MOVED.items() if module == new), network)


def builder(address: str, what: str = "network") -> Callable[..., Any]:
    """The function of an address, that makes a network or computes a loss. Raises ValueError naming what is not there."""
    module, name = address.split(":")
    try:
        return named_object(f"{MOVED.get(module, module)}:{name}")
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{what} {address!r} cannot be found: {error}") from None


@cache
def own_code(address: str, name: str, what: str = "network") -> dict[str, str]:
    """The digest of a function of a user's own file, under that name; nothing for what is installed or the project's.

    Args:
        address: "module:function".
        name: of the field in the settings.
        what: the function is called in messages.
    """
    if address.split(":")[0] in MOVED:
        return {}
    function = builder(address, what)
    return {name: code_digest(function)} if is_own(sys.modules.get(function.__module__)) else {}
