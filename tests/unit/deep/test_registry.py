"""Networks by name: however one is named, its stored address is the same, and stored addresses resolve."""

from pathlib import Path

import pytest

from flatproof.verify.deep import Net, efficientnet, loop, networks, registry, vision
from flatproof.verify.experiments.kaur2023 import networks as kaur2023
from tests.unit.deep.trainings import job

PLACES = {
    "verify.models:fully_connected": networks.fully_connected,
    "verify.models:alexnet_like": networks.alexnet_like,
    "verify.models:vgg_like": networks.vgg_like,
    "verify.models:vgg11": networks.vgg11,
    "verify.models:resnet18": networks.resnet18,
    "verify.experiments.kaur2023.networks:vgg": kaur2023.vgg,
    "flatproof.verify.deep.efficientnet:fine_tunable": efficientnet.fine_tunable,
    "flatproof.verify.deep.vision:preactivation_resnet": vision.preactivation_resnet,
    "flatproof.verify.deep.vision:SimpleVisionTransformer": vision.SimpleVisionTransformer,
}


@pytest.mark.parametrize("address", PLACES)
def test_stored_addresses_resolve(address: str) -> None:
    assert registry.builder(address) is PLACES[address]
    assert Net(address).build == address


def test_every_registered_network_has_a_stored_address() -> None:
    assert set(registry.NETWORKS.values()) <= set(PLACES)


@pytest.mark.parametrize(
    ("name", "address", "place"),
    [
        ("vgg11", "verify.models:vgg11", "flatproof.verify.deep.networks:vgg11"),
        (
            "kaur2023-vgg",
            "verify.experiments.kaur2023.networks:vgg",
            "flatproof.verify.experiments.kaur2023.networks:vgg",
        ),
    ],
)
def test_a_name_an_address_and_a_place_are_one_network(name: str, address: str, place: str) -> None:
    assert len({job(net=Net(network, {"narrow": 4})).key for network in (name, address, place)}) == 1


def test_a_name_that_another_network_has_is_refused() -> None:
    registry.register("vgg11", "verify.models:vgg11")  # again is no change
    with pytest.raises(ValueError, match=r"network 'vgg11' is verify\.models:vgg11; expected another name for mine:vgg"):
        registry.register("vgg11", "mine:vgg")


def test_networks_of_another_package_are_named_by_address_or_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "outside_networks.py").write_text("from torch import nn\n\ndef perceptron(d): return nn.Linear(d, 3)\n")
    metadata = tmp_path / "outside-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[flatproof.networks]\nperceptron = outside_networks:perceptron\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    named, addressed = Net("perceptron", {"d": 5}), Net("outside_networks:perceptron", {"d": 5})
    assert named == addressed
    assert named.build == "outside_networks:perceptron"
    assert next(loop.build(named, 0).parameters()).shape == (3, 5)
