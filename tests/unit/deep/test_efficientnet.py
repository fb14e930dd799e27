import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flatproof.verify import realdata
from flatproof.verify.deep.efficientnet import Convolution, EfficientNetLite, fine_tunable, our_name, prepare, pretrained
from flatproof.verify.deep.efficientnet_scales import SCALES
from flatproof.verify.deep.loop import build
from flatproof.verify.deep.settings import Net
from flatproof.verify.realdata import files
from flatproof.verify.realdata.weights import WEIGHTS, WEIGHTS_FOLDER


@pytest.mark.parametrize(("name", "millions"), [("lite0", 4.652), ("lite1", 5.417), ("lite2", 6.092)])
def test_the_published_number_of_parameters(name: str, millions: float) -> None:
    network = EfficientNetLite(f"efficientnet-{name}")
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 3) == millions


def published_names(depths: list[int]) -> list[str]:
    """What a published file holds, in its order; `depths`: blocks a stage."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = ["_conv_stem.weight", *(f"_bn0.{k}" for k in norm)]
    for i in range(sum(depths)):
        parts = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))[i == 0 :]
        names += [f"_blocks.{i}.{part}" for c, n in parts for part in (f"{c}.weight", *(f"{n}.{k}" for k in norm))]
    return [*names, "_conv_head.weight", *(f"_bn1.{k}" for k in norm), "_fc.weight", "_fc.bias"]


@pytest.mark.parametrize(
    ("name", "depths"),
    [("lite0", [1, 2, 2, 3, 3, 4, 1]), ("lite1", [1, 3, 3, 4, 4, 5, 1]), ("lite2", [1, 3, 3, 4, 4, 5, 1])],
)
def test_every_published_tensor_has_its_place(name: str, depths: list[int]) -> None:
    network = EfficientNetLite(f"efficientnet-{name}")
    assert [our_name(n) for n in published_names(depths)] == list(network.state_dict())


@given(
    n=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.sampled_from([1, 2]),
    seed=st.integers(0, 2**31),
)
def test_a_convolution_pads_the_odd_zero_after(n: tuple[int, int], kernel: int, stride: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    layer = Convolution(1, 1, kernel, stride, active=False).double().eval()
    x = torch.randn(1, 1, *n, generator=generator, dtype=torch.float64)
    out = [-(-m // stride) for m in n]
    before = [max((o - 1) * stride + kernel - m, 0) // 2 for o, m in zip(out, n, strict=True)]
    w = layer.conv.weight.detach()[0, 0]
    expected = np.zeros(out)
    for i in range(out[0]):
        for j in range(out[1]):
            for a in range(kernel):
                for b in range(kernel):
                    r, c = i * stride + a - before[0], j * stride + b - before[1]
                    if 0 <= r < n[0] and 0 <= c < n[1]:
                        expected[i, j] += float(w[a, b] * x[0, 0, r, c])
    assert np.allclose(layer(x).detach()[0, 0], expected / np.sqrt(1 + 1e-3), rtol=0, atol=1e-12)


def test_logits_of_any_size_and_the_residual() -> None:
    network = EfficientNetLite("efficientnet-lite0").eval()
    assert network(torch.zeros(2, 3, 33, 47)).shape == (2, 1000)
    for block in network.blocks:
        z = torch.randn(1, block.depthwise.conv.in_channels // (6 if block.expand else 1), 4, 4)
        block.project.norm.weight.data.zero_()  # what is added is then 0
        same = torch.equal(block(z), z)
        assert same == block.residual
    assert [block.residual for block in network.blocks] == [bool(int(c)) for c in "0010101101101110"]


def test_what_the_network_reads() -> None:
    x = np.array([0, 127, 255], dtype=np.uint8).reshape(1, 3, 1, 1)
    assert prepare(x).flatten().tolist() == [-127 / 128, 0, 1]


def test_weights_that_are_absent_altered_or_unknown(tmp_path: pytest.TempPathFactory) -> None:
    with pytest.raises(realdata.NotAvailable, match="'flatproof data fetch imagenet-sample' fetches it"):
        pretrained("efficientnet-lite0", tmp_path)
    files.put(tmp_path / WEIGHTS_FOLDER / WEIGHTS["efficientnet-lite0"].name, b"not these")
    with pytest.raises(realdata.Damaged, match="holds 9 bytes, expected 18826032"):
        pretrained("efficientnet-lite0", tmp_path)
    with pytest.raises(ValueError, match="network must be one of efficientnet-lite0"):
        pretrained("efficientnet-lite9")


def test_fine_tuning_starts_from_the_published_weights_but_for_the_last_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file of the published form with made-up weights: logits are those of its body, at half the contrast, and a random layer."""
    name = "efficientnet-lite0"
    source = EfficientNetLite(name)
    for value in source.state_dict().values():
        value.copy_(torch.rand_like(value, dtype=torch.float) * 0.1 + 0.05)
    ours = source.state_dict()
    content = io.BytesIO()
    torch.save({theirs: ours[our_name(theirs)] for theirs in published_names([1, 2, 2, 3, 3, 4, 1])}, content)
    made = files.File("made.pth", f"sha256:{hashlib.sha256(content.getvalue()).hexdigest()}", len(content.getvalue()))
    monkeypatch.setitem(WEIGHTS, name, made)  # type: ignore[arg-type]
    monkeypatch.setenv("FLATPROOF_DATA", str(tmp_path))
    net = Net("efficientnet-lite", {"name": name, "classes": 7, "weights": made.digest, "contrast": 0.5})
    with pytest.raises(realdata.NotAvailable):
        build(net, 3)
    files.put(tmp_path / WEIGHTS_FOLDER / made.name, content.getvalue())
    network, other = build(net, 3).eval(), build(net, 4)
    x = torch.rand(2, 3, 32, 32)
    assert network(x).shape == (2, 7)
    source.classifier = network.classifier  # type: ignore[assignment]
    torch.testing.assert_close(network(x), source.eval()(x / 2))
    assert torch.equal(network.blocks[3].project.conv.weight, other.blocks[3].project.conv.weight)  # type: ignore[index, union-attr]
    assert not torch.equal(network.classifier.weight, other.classifier.weight)  # type: ignore[arg-type, union-attr]
    with pytest.raises(ValueError, match=f"weights of {name} must be those published, {made.digest}, got sha256:0"):
        fine_tunable(name, weights="sha256:0")


@pytest.mark.parametrize("name", list(SCALES))
def test_published_weights_recognize_the_sample(name: str) -> None:
    """Each gets 18 of 20 right; a label order other than the official one would leave none."""
    try:
        network = pretrained(name)
        images = realdata.load("imagenet-sample", split="test", size=network.size)
    except realdata.NotAvailable:
        pytest.skip(realdata.UNAVAILABLE)
    with torch.no_grad():
        classes = network(prepare(images.x)).argmax(dim=1).numpy()
    assert (classes == images.y).sum() >= 17
