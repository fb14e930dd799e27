"""Looking at operations beside torch's compiler: not loaded for it, left alone by it; nor is anything else that takes long."""

import subprocess
import sys

SCRIPT = """
import sys
import torch
from torch import nn
from torch.nn import functional as F
from flatproof.verify.curvature import HessianOperator

torch.manual_seed(0)
first, second = nn.Sequential(nn.Linear(4, 6), nn.Tanh()), nn.Linear(6, 3)
data = torch.randn(20, 4), torch.randint(0, 3, (20,))
vector = torch.randn(sum(p.numel() for p in [*first.parameters(), *second.parameters()]))
written = HessianOperator(nn.Sequential(first, second), F.cross_entropy, data)
product = written.matvec(vector)
print(written.kernel, *({"torch._dynamo", "sympy", "scipy.stats"} & set(sys.modules)))
compiled = HessianOperator(nn.Sequential(torch.compile(first, backend="eager"), second), F.cross_entropy, data)
torch.testing.assert_close(compiled.matvec(vector), product)
print("torch._dynamo" in sys.modules)
"""


def test_products_do_not_load_the_compiler_and_are_right_within_what_it_compiled() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["linearize", "True"]
