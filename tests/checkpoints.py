"""A sweep as a user has one: tiny networks trained on two moons with different learning rates, saved as two libraries save them."""

import csv
import json
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

NAMES = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.bool: "BOOL",
}
MODULE = """import torch
def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
"""


def safetensors(state: Mapping[str, Tensor], metadata: bool = True) -> bytes:
    """A file by the format's definition: eight bytes of length, a JSON header padded to eight, the tensors."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}} if metadata else {}
    body = b""
    for name, value in state.items():
        raw = bytes(value.contiguous().reshape(-1).view(torch.uint8).tolist()) if value.numel() else b""
        header[name] = {
            "dtype": NAMES[value.dtype],
            "shape": list(value.shape),
            "data_offsets": [len(body), len(body) + len(raw)],
        }
        body += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def moons(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points of two noisy half circles and which of the two each is of."""
    rng = np.random.default_rng(seed)
    angle, y = rng.uniform(0, np.pi, count), rng.integers(0, 2, count)
    x = np.where(y[:, None] == 0, np.c_[np.cos(angle), np.sin(angle)], np.c_[1 - np.cos(angle), 0.5 - np.sin(angle)])
    return torch.tensor(x + 0.2 * rng.standard_normal((count, 2)), dtype=torch.float32), torch.tensor(y)


def trained(lr: float, seed: int, steps: int = 60) -> nn.Module:
    """A network of MODULE's, trained by gradient descent."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    x, y = moons(40, 0)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model


def furnish(folder: Path, count: int, module: str = "mine") -> list[nn.Module]:
    """A module, data, errors.csv, and each network twice: in `loops` as timm saves it, in `folders` as transformers does."""
    (folder / f"{module}.py").write_text(MODULE)
    x, y = moons(40, 0)
    test_x, test_y = moons(500, 1)
    np.savez(folder / "moons.npz", x=x.numpy(), y=y.numpy())
    (folder / "loops").mkdir()
    models, rows = [], [["name", "test_error", "lr", "note", "group"]]
    for i in range(count):
        lr = 0.05 * 1.3**i
        model = trained(lr, i)
        state = model.state_dict()
        loop = {"epoch": 60, "arch": "mlp", "state_dict": {f"module.{k}": v for k, v in state.items()}}
        torch.save(loop, folder / "loops" / f"run-{i}.pth.tar")
        own = folder / "folders" / f"run-{i}"
        own.mkdir(parents=True)
        (own / "model.safetensors").write_bytes(safetensors(state))
        (own / "config.json").write_text("{}")
        torch.save({"step": torch.tensor(1)}, own / "optimizer.pt")
        error = float((model(test_x).argmax(1) != test_y).double().mean())
        rows.append([f"run-{i}", str(error), str(lr), "mine", "ab"[i % 2]])
        models.append(model)
    with (folder / "errors.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return models
