"""Files of named arrays, and the encoder that packages carry: made from members, looked for, verified."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from flatproof.verify.realdata import encoders
from flatproof.verify.realdata.encoders import MINILM, PARAPHRASE_MINILM, encoder_folder, make_minilm
from flatproof.verify.realdata.files import put
from flatproof.verify.realdata.samples import Content, Damaged, Incomplete, NotAvailable
from flatproof.verify.realdata.tensor_files import read_onnx, read_safetensors, write_safetensors

RNG = np.random.default_rng(0)


def varint(value: int) -> bytes:
    low = value & 127
    return bytes([low]) if value < 128 else bytes([low | 128]) + varint(value >> 7)


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def initializer(name: str, values: np.ndarray) -> bytes:
    packed = field(1, b"".join(varint(n) for n in values.shape))
    return field(5, packed + field(2, 1) + field(8, name.encode()) + field(9, values.astype("<f4").tobytes()))


def node(name: str, kind: str, inputs: list[str]) -> bytes:
    return field(1, b"".join(field(1, i.encode()) for i in inputs) + field(3, name.encode()) + field(4, kind.encode()))


WEIGHT, BIAS = RNG.standard_normal((3, 200)), RNG.standard_normal(200)
GRAPH = (
    initializer("model.0.auto_model.encoder.layer.0.output.dense.bias", BIAS)
    + initializer("onnx::MatMul_7", WEIGHT)
    + node("/model/model.0/auto_model/encoder/layer.0/attention/self/MatMul", "MatMul", ["query", "key"])
    + node("/model/model.0/auto_model/encoder/layer.0/output/dense/MatMul", "MatMul", ["x", "onnx::MatMul_7"])
)
MODEL = field(1, 8) + field(7, GRAPH)


def test_safetensors_read_back() -> None:
    arrays = {"b": RNG.standard_normal((2, 3)).astype("f4"), "a": np.ones(4, "f4")}
    data = write_safetensors(arrays)
    assert data == write_safetensors(dict(reversed(arrays.items())))
    back = read_safetensors(Content("w", data))
    assert list(back) == ["a", "b"]
    assert all(np.array_equal(back[name], values) for name, values in arrays.items())


@pytest.mark.parametrize("end", [0, 7, 30, -1])
def test_a_cut_safetensors_file_is_refused(end: int) -> None:
    with pytest.raises(Damaged, match="w is not a complete safetensors file"):
        read_safetensors(Content("w", write_safetensors({"a": np.ones(4)})[:end]))


def test_another_type_of_number_is_refused() -> None:
    text = json.dumps({"a": {"dtype": "BOOL", "shape": [1], "data_offsets": [0, 1]}}).encode()
    with pytest.raises(Damaged, match="BOOL"):
        read_safetensors(Content("w", struct.pack("<Q", len(text)) + text + b"\0"))


def test_onnx_weights_become_a_linear_layers() -> None:
    members = {encoders._ONNX: MODEL, f"{encoders._CARRIED}config.json": b'{"num_hidden_layers": 6}'}
    members[f"{encoders._CARRIED}vocab.txt"] = b"[PAD]\n"
    made = dict(make_minilm(members, [f"{MINILM}/{name}" for name in encoders.FILES]))
    weights = read_safetensors(Content("w", made[f"{MINILM}/model.safetensors"]))
    assert set(weights) == {"encoder.layer.0.output.dense.weight", "encoder.layer.0.output.dense.bias"}
    assert np.array_equal(weights["encoder.layer.0.output.dense.weight"], WEIGHT.T.astype("f4"))
    assert json.loads(made[f"{MINILM}/config.json"])["num_hidden_layers"] == 3


@pytest.mark.parametrize("data", [b"", MODEL[:-3], b"\xff", field(1, 8)])
def test_a_damaged_onnx_file_is_refused(data: bytes) -> None:
    with pytest.raises(Damaged, match="m is not a complete ONNX file"):
        read_onnx(Content("m", data))


def test_an_encoder_is_whole_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match=f"'flatproof data fetch {MINILM}' fetches it"):
        encoder_folder(MINILM, tmp_path)
    put(tmp_path / MINILM / "vocab.txt", b"[PAD]\n")
    with pytest.raises(Incomplete, match=r"lacks config.json"):
        encoder_folder(MINILM, tmp_path)
    for name in ("config.json", "model.safetensors"):
        put(tmp_path / MINILM / name, b"{}")
    assert encoder_folder(MINILM, tmp_path) == tmp_path / MINILM
    with pytest.raises(Damaged, match=r"config.json holds 2 bytes, expected 603"):
        PARAPHRASE_MINILM.check(tmp_path, "test")
    with pytest.raises(ValueError, match="is a network; expected a data set"):
        PARAPHRASE_MINILM.load(tmp_path, "test")
