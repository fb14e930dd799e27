"""Checkpoints in the formats of several libraries: what is read, what is refused, and that nothing of a file is run."""

import argparse
import json
import pathlib
import sys
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from flatproof.verify.curvature import user_model
from flatproof.verify.curvature.user_weights import digest, load_into, read_tensors, read_weights
from tests.checkpoints import safetensors

STATE = OrderedDict(nn.Linear(3, 2).state_dict())


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return list(first) == list(second) and all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}},
        {"model_state_dict": dict(STATE), "loss": torch.tensor(0.1)},
        {"model": {"state_dict": STATE}},
        {"arch": "mlp", "state_dict": STATE, "args": argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("x"))},
        {"pytorch-lightning_version": "2.0", "state_dict": STATE, "hyper_parameters": {"path": pathlib.PurePosixPath("a")}},
    ],
)
def test_what_training_loops_write(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "w.pt")
    assert same(read_weights(tmp_path / "w.pt", "it").state, STATE)


def test_other_weights_in_a_file_are_named(tmp_path: Path) -> None:
    average = OrderedDict((k, v + 1) for k, v in STATE.items())
    torch.save({"state_dict": STATE, "state_dict_ema": average, "scaler": {"scale": 2.0}}, tmp_path / "w.pth")
    held = read_weights(tmp_path / "w.pth", "it")
    assert same(held.state, STATE)
    assert held.others == ("state_dict_ema",)
    assert same(read_weights(tmp_path / "w.pth", "it", "state_dict_ema").state, average)
    with pytest.raises(ValueError, match="it holds no weights under 'ema'; it has state_dict, state_dict_ema"):
        read_weights(tmp_path / "w.pth", "it", "ema")


def test_no_code_of_a_file_is_run(tmp_path: Path) -> None:
    """A class with a function of its own choice to call when it is read, beside weights, and in place of them."""
    marker = tmp_path / "run"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (marker,))

    class Shell:
        def __reduce__(self) -> tuple[Any, ...]:
            import os

            return (os.system, (f"touch {marker}",))

    torch.save({"state_dict": STATE, "more": Evil()}, tmp_path / "w.pt")
    with suppress(ValueError):
        assert same(read_weights(tmp_path / "w.pt", "it").state, STATE)
    for evil in (Evil(), Shell()):
        torch.save(evil, tmp_path / "evil.pt")
        with pytest.raises(ValueError, match="it "):
            read_weights(tmp_path / "evil.pt", "it")
        torch.save(evil, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
        with pytest.raises(ValueError, match=r"it is not a file that torch\.load"):
            read_weights(tmp_path / "old.pt", "it")
    assert not marker.exists()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool])
def test_safetensors_of_every_type(tmp_path: Path, dtype: torch.dtype) -> None:
    """An odd number of bytes before each tensor, too."""
    values = {
        "first": torch.tensor([True]),
        "w": torch.arange(6).reshape(2, 3).to(dtype),
        "empty": torch.empty(0, 2),
        "s": torch.tensor(4.0),
    }
    (tmp_path / "w.safetensors").write_bytes(safetensors(values))
    read = read_tensors(tmp_path / "w.safetensors", "it")
    assert same(read, values)
    assert [v.dtype for v in read.values()] == [torch.bool, dtype, torch.float32, torch.float32]


def test_damaged_safetensors(tmp_path: Path) -> None:
    """Every truncation, and headers that point elsewhere."""
    whole = safetensors({"w": torch.arange(6.0)})
    path = tmp_path / "w.safetensors"

    def refused(data: bytes) -> str:
        path.write_bytes(data)
        with pytest.raises(ValueError, match="it is not a whole safetensors file") as error:
            read_tensors(path, "it")
        assert "\n" not in str(error.value)
        return str(error.value)

    for end in range(len(whole)):
        refused(whole[:end])
    for header in (
        [],
        {"w": []},
        {"w": {"dtype": "F32", "shape": [6], "data_offsets": [0, 25]}},
        {"w": {"dtype": "F32", "shape": [7], "data_offsets": [0, 24]}},
        {"w": {"dtype": "F32", "shape": [-6], "data_offsets": [0, -24]}},
        {"w": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 24]}},
        {"w": {"dtype": "C64", "shape": [3], "data_offsets": [0, 24]}},
        {"w": {"shape": [6]}},
    ):
        text = json.dumps(header).encode()
        refused(len(text).to_bytes(8, "little") + text + whole[-24:])
    refused(b"\xff" * 40)


def test_folders_that_transformers_saves(tmp_path: Path) -> None:
    """One file, several with an index, and the older format."""
    for name in ("one", "parts", "bin"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    (tmp_path / "one" / "model.safetensors").write_bytes(safetensors(STATE))
    for i, key in enumerate(STATE):
        (tmp_path / "parts" / f"model-{i}.safetensors").write_bytes(safetensors({key: STATE[key]}))
    index = {"metadata": {}, "weight_map": {key: f"model-{i}.safetensors" for i, key in enumerate(STATE)}}
    (tmp_path / "parts" / "model.safetensors.index.json").write_text(json.dumps(index))
    torch.save(STATE, tmp_path / "bin" / "pytorch_model.bin")
    assert all(same(read_weights(tmp_path / name, "it").state, STATE) for name in ("one", "parts", "bin"))
    before = digest(tmp_path / "one")
    (tmp_path / "one" / "config.json").write_text('{"a": 1}')
    assert len({before, *(digest(tmp_path / name) for name in ("one", "parts", "bin"))}) == 4
    (tmp_path / "parts" / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"weight": "../one/model.safetensors"}})
    )
    with pytest.raises(ValueError, match="must name files of its own folder"):
        read_weights(tmp_path / "parts", "it")
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="is a folder without weights"):
        read_weights(tmp_path / "none", "it")


def test_a_whole_model_is_refused_with_what_to_save(tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 2), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"as torch\.save\(model\) writes one; expected torch\.save\(model\.state_dict\(\), "):
        read_weights(tmp_path / "w.pt", "it")


def test_a_flipped_bit_is_seen(tmp_path: Path) -> None:
    """torch.load itself reads it without a word."""
    path = tmp_path / "w.pt"
    torch.save({"w": torch.zeros(1000)}, path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert float(torch.load(path, weights_only=True)["w"].abs().sum()) > 0
    with pytest.raises(ValueError, match="it is damaged: the checksum"):
        read_tensors(path, "it")


@pytest.mark.parametrize(
    "prefix", ["", "module.", "model.", "net.", "_orig_mod.", "model._orig_mod.", "module.model.", "own.part."]
)
def test_a_prefix_of_all_names_is_taken_away_and_named(prefix: str) -> None:
    model = nn.Linear(3, 2)
    words = load_into(model, {"n_averaged": torch.tensor(3)} | {f"{prefix}{k}": v for k, v in STATE.items()}, "it")
    assert same(model.state_dict(), STATE)
    assert words == (f"prefix {prefix!r} taken off the names" if prefix else "")


def test_what_stands_beside_the_network_of_a_lightning_module_is_left_out_and_named(tmp_path: Path) -> None:
    state = {f"model.{k}": v for k, v in STATE.items()} | {"criterion.weight": torch.ones(2), "accuracy.total": torch.tensor(1)}
    torch.save({"state_dict": state, "pytorch-lightning_version": "2.5", "epoch": 3}, tmp_path / "last.ckpt")
    model = nn.Linear(3, 2)
    words = load_into(model, read_weights(tmp_path / "last.ckpt", "it").state, "it")
    assert same(model.state_dict(), STATE)
    assert words == "prefix 'model.' taken off the names; not used: 'criterion.weight' and 1 more"


@pytest.mark.parametrize(
    ("prefixes", "more", "words"),
    [
        (("model.", "ema_model."), {}, "it fits the model under the prefixes ema_model., model.; --prefix says which is meant"),
        (("student.",), {"teacher.w": 1}, "it also holds 'teacher.w'; --prefix student. takes what begins with that alone"),
        (("model.",), {"model.more": 1}, "it holds 'more', unknown to the model"),
        (("module.",), {"module.bias": 3}, r"'bias' has shape \(3,\), in the model \(2,\)"),
    ],
)
def test_weights_that_could_be_others_are_refused(prefixes: tuple[str, ...], more: dict[str, int], words: str) -> None:
    state = {f"{p}{k}": v for p in prefixes for k, v in STATE.items()} | {k: torch.ones(size) for k, size in more.items()}
    model = nn.Linear(3, 2)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(ValueError, match=words):
        load_into(model, state, "it")
    assert same(dict(model.state_dict()), before)


def test_a_model_that_has_such_a_name_itself_keeps_it() -> None:
    model = nn.ModuleDict({"model": nn.Linear(3, 2)})
    load_into(model, {f"model.{k}": v for k, v in STATE.items()}, "it")
    load_into(model, {f"module.model.{k}": v for k, v in STATE.items()}, "it")
    assert same(model["model"].state_dict(), STATE)


def test_a_part_of_a_file_is_chosen_by_its_prefix() -> None:
    model, state = nn.Linear(3, 2), {f"student.{k}": v for k, v in STATE.items()} | {"teacher.weight": torch.zeros(9)}
    load_into(model, state, "it", "student.")
    assert same(model.state_dict(), STATE)
    with pytest.raises(ValueError, match=r"it has no tensor whose name begins with 'pupil\.'"):
        load_into(model, state, "it", "pupil.")


def test_tied_weights_need_not_be_saved_twice() -> None:
    model = nn.ModuleDict({"a": nn.Linear(3, 3, bias=False), "b": nn.Linear(3, 3, bias=False)})
    model["b"].weight = model["a"].weight
    load_into(model, {"a.weight": torch.eye(3)}, "it")
    assert torch.equal(model["b"].weight, torch.eye(3))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bias": None}, "it does not fit the model: it lacks 'bias'"),
        ({"bias": None, "weight": None, "x": torch.ones(1)}, "it lacks 'weight' and 1 more; it holds 'x', unknown to the model"),
        ({"bias": torch.ones(3)}, r"'bias' has shape \(3,\), in the model \(2,\)"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Tensor | None], words: str) -> None:
    model = nn.Linear(3, 2)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(ValueError, match=words):
        load_into(model, {k: v for k, v in (dict(STATE) | change).items() if v is not None}, "it")
    assert same(dict(model.state_dict()), before)


@pytest.mark.parametrize("spec", ["timm:resnet18", "transformers:AutoModelForImageClassification"])
def test_a_library_that_is_not_installed(spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, spec.partition(":")[0], None)
    torch.save(STATE, tmp_path / "w.pt")
    with pytest.raises(
        ValueError, match=rf"--model {spec} needs the package {spec.partition(':')[0]} .*flatproof\[checkpoints\]"
    ):
        user_model.load_model(spec, tmp_path / "w.pt", None)


class Answer(nn.Module):
    """Answers as models of transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.head(x))


class AutoAnswer:
    """A class as transformers has them, whose library knows the names in its own folders."""

    faults: ClassVar[dict[str, set[str]]] = {}

    @classmethod
    def from_config(cls, config: str) -> nn.Module:
        assert config == "config"
        return Answer()

    @classmethod
    def from_pretrained(cls, folder: str, output_loading_info: bool, local_files_only: bool, trust_remote_code: bool) -> Any:
        assert (output_loading_info, local_files_only, trust_remote_code) == (True, True, False)
        model = Answer()
        model.head.load_state_dict(read_weights(Path(folder), "it").state)
        return model, cls.faults


def test_models_of_transformers_answer_with_logits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the library: a folder is its own to load, a file goes by names; what it could not load is an error."""
    config = SimpleNamespace(from_pretrained=lambda folder, **_: "config")
    quiet = SimpleNamespace(set_verbosity_error=lambda: None, disable_progress_bar=lambda: None)
    library = SimpleNamespace(AutoAnswer=AutoAnswer, AutoConfig=config, utils=SimpleNamespace(logging=quiet), AutoNothing=1)
    monkeypatch.setitem(sys.modules, "transformers", library)
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/model.safetensors").write_bytes(safetensors(STATE))
    with pytest.raises(ValueError, match=r"there is no config\.json in .*; --model transformers:AutoAnswer needs one"):
        user_model.load_model("transformers:AutoAnswer", tmp_path / "saved", None)
    for folder in (tmp_path, tmp_path / "saved"):
        (folder / "config.json").write_text("{}")
    (tmp_path / "w.safetensors").write_bytes(safetensors({f"head.{k}": v for k, v in STATE.items()}))
    x = torch.randn(4, 3)
    for path in (tmp_path / "saved", tmp_path / "w.safetensors"):
        model = user_model.load_model("transformers:AutoAnswer", path, None)
        assert torch.equal(model(x), nn.functional.linear(x, STATE["weight"], STATE["bias"]))
    (tmp_path / "saved/config.json").write_text('{"architectures": ["AutoAnswer"]}')
    spec, weights = user_model.of_saved_folder(str(tmp_path / "saved"), None)
    assert torch.equal(user_model.load_model(spec, weights, None)(x), model(x))
    for option in ("entry", "prefix"):
        words = f"--{option} x. chooses among the tensors of a checkpoint's file, transformers reads all of .*saved; expected no"
        with pytest.raises(ValueError, match=words):
            user_model.load_model(spec, weights, None, **{option: "x."})
    (tmp_path / "saved/config.json").write_text('{"architectures": []}')
    with pytest.raises(
        ValueError, match=r"config\.json names no class under architectures; expected --model transformers:AutoCl"
    ):
        user_model.of_saved_folder(str(tmp_path / "saved"), None)
    with pytest.raises(ValueError, match="transformers has no such class"):
        user_model.load_model("transformers:AutoNothing", tmp_path / "saved", None)
    monkeypatch.setattr(AutoAnswer, "faults", {"missing_keys": {"b", "a"}, "unexpected_keys": set()})
    with pytest.raises(ValueError, match="saved does not fit the model: missing: 'a' and 1 more"):
        user_model.load_model("transformers:AutoAnswer", tmp_path / "saved", None)


def test_networks_of_timm_have_the_classes_of_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def create_model(name: str, pretrained: bool, num_classes: int = 1000) -> nn.Module:
        assert (name, pretrained) == ("net", False)
        model: Any = nn.ModuleDict({"fc": nn.Linear(3, num_classes)})
        model.pretrained_cfg, model.num_classes = {"classifier": "fc"}, num_classes
        return model

    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=create_model))
    torch.save({"state_dict": {f"module.fc.{k}": v for k, v in STATE.items()}}, tmp_path / "w.pth.tar")
    model: Any = user_model.load_model("timm:net", tmp_path / "w.pth.tar", None)
    assert same(model["fc"].state_dict(), STATE)
    with pytest.raises(ValueError, match="--model timm:other: timm raised AssertionError"):
        user_model.load_model("timm:other", tmp_path / "w.pth.tar", None)
