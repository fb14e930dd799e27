"""The examples of README and of the documentation's pages run as printed, and README stays within its words."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
WORDS = 700
EXAMPLES = {  # what each example of a page begins to print
    "README.md": ("0.4", "9.362434", "rho"),
    "docs/background/flattest.md": ("9.362434",),
    "docs/background/sharpness.md": ("0.4", "61.38", "0.001: between 0.00025 and 0.00025, a factor of 1.014"),
    "docs/how-to/train.md": ("finished",),
    "docs/how-to/plug-ins.md": ("", "", ""),
}

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


def examples(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)


def test_the_python_examples_run(tmp_path: Path) -> None:
    stand_in(tmp_path)
    names, starts = [], []
    for number, (page, expected) in enumerate(EXAMPLES.items()):
        assert len(examples(page)) == len(expected), page
        for i, code in enumerate(examples(page)):
            names.append(f"example_{number}_{i}.py")
            (tmp_path / names[-1]).write_text(code)
        starts += expected
    # one after the other in one process, which imports torch once; none sees another's names, or its random numbers
    each = "print('example', name); torch.manual_seed(0); runpy.run_path(name, run_name='__main__')"
    run = f"import runpy, torch\nfor name in {names}:\n    {each}"
    done = subprocess.run([sys.executable, "-c", run], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for name, start in zip(names, starts, strict=True):
        printed = done.stdout.partition(f"example {name}\n")[2].lstrip()
        assert printed.startswith(start), done.stdout


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= WORDS
    assert all(sum(bool(line) for line in code.splitlines()) <= 8 for code in examples("README.md"))


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_link_of_a_page_at_the_top_is_there(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
