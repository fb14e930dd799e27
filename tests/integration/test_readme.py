"""The README's examples run as printed."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

README = Path(__file__).parents[2] / "README.md"


CHECKPOINT = """
import torch

def create_model(name, pretrained):
    assert (name, pretrained) == ("resnet10t.c3_in1k", True)
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 4, 16, 16), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    return torch.nn.Sequential(*layers, torch.nn.Dropout(), torch.nn.Linear(4, 1000))
"""


def stand_in(folder: Path) -> None:
    """A module in timm's place, and a folder in ImageNet's."""
    (folder / "timm.py").write_text(CHECKPOINT)
    for i in range(1000):
        own = folder / "imagenet" / "val" / f"n{i:08d}"
        own.mkdir(parents=True)
        if i % 10 == 0:
            Image.fromarray(np.full((30, 30, 3), i // 4, dtype=np.uint8)).save(own / "one.JPEG")


def test_the_python_examples_run(tmp_path: Path) -> None:
    examples = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    stand_in(tmp_path)
    starts = ("9.362434", "0.4", "61.388", "finished")  # the flattest trace, two largest eigenvalues, the status of a run
    assert len(examples) == len(starts)
    for i, code in enumerate(examples):
        (tmp_path / f"example_{i}.py").write_text(code)
    # one after the other in one process, which imports torch once; none sees another's names
    run = f"import runpy\nfor i in range({len(examples)}):\n    print('example', i)\n    runpy.run_path(f'example_{{i}}.py')"
    done = subprocess.run([sys.executable, "-c", run], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for i, start in enumerate(starts):
        printed = done.stdout.partition(f"example {i}\n")[2]
        assert printed.startswith(start), done.stdout
