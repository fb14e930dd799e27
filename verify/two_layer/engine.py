"""Owns the choice of what carries out a run's steps: the fused kernels wherever there are some, else the readable reference."""

from collections.abc import Callable

from flatproof.theory.networks import Network
from flatproof.verify.two_layer import fused
from flatproof.verify.two_layer.settings import Phase, RunSettings

Advance = Callable[..., tuple[Network, int | None]]


def engine_of(run: RunSettings, network: Network) -> list[Advance]:
    """What carries out each phase of a run: `advance` of `fused` or of `reference`. Imports torch where it will be needed.

    Args:
        run: the settings; `engine` "reference" asks for it throughout.
        network: the network at its start.
    """
    return [choose(run.engine, network, phase) for phase in run.phases]


def choose(engine: str, network: Network, phase: Phase) -> Advance:
    """What carries out the steps of one phase."""
    if engine == "fused" and fused.carries_out(network, phase):
        return fused.advance
    from flatproof.verify.two_layer import reference  # torch is slow to import

    return reference.advance
