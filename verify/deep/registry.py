"""Owns the networks by name. What is stored of a network is its address, "module:function", which outlives the module's place."""

import importlib
from collections.abc import Callable
from typing import Any

# Name and stored address of each network here; `register` adds others.
NETWORKS = {
    "fully-connected": "verify.models:fully_connected",
    "alexnet-like": "verify.models:alexnet_like",
    "vgg-like": "verify.models:vgg_like",
    "vgg11": "verify.models:vgg11",
    "resnet18": "verify.models:resnet18",
}
# Where the modules are that addresses name by the places they had when trainings were first stored.
MOVED = {
    "verify.models": "flatproof.verify.deep.networks",
    "verify.experiments.kaur2023.networks": "flatproof.verify.experiments.kaur2023.networks",
}


def register(name: str, address: str) -> None:
    """Give a network a name. Errors: ValueError for a name that another network has."""
    if NETWORKS.setdefault(name, address) != address:
        raise ValueError(f"network {name!r} is {NETWORKS[name]}; expected another name for {address}")


def address(network: str) -> str:
    """The address of a network, by its name, its address, or "module:function". Errors: ValueError for anything else."""
    if network in NETWORKS:
        return NETWORKS[network]
    if not isinstance(network, str) or network.count(":") != 1:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}, or be named module:function, got {network!r}")
    module, function = network.split(":")
    return next((f"{old}:{function}" for old, new in MOVED.items() if module == new), network)


def function(address: str) -> Callable[..., Any]:
    """What builds the network of an address. Errors: ValueError naming what is not there."""
    module, name = address.split(":")
    try:
        return getattr(importlib.import_module(MOVED.get(module, module)), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"network {address!r} cannot be found: {error}") from None
