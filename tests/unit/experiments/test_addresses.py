"""The addresses of stored outcomes stay: the same grids have the same keys as when the first results were stored.

`addresses.json` holds, for each experiment and scale with seeds 1 and 2, a digest of all keys on a machine without real data. Where a
change is meant to make results anew (a raised VERSION), write the digest that this test prints. Networks on real data are in it at scale
smoke alone, where images are synthetic.
"""

import hashlib
import json
from pathlib import Path

import pytest

from flatproof.verify.experiments import EXPERIMENTS

DIGESTS = json.loads(Path(__file__).with_name("addresses.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("id", "scale"), [(id, scale) for id, scales in DIGESTS.items() for scale in scales])
def test_the_addresses_of_a_grid_stay(id: str, scale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLATPROOF_DATA", str(tmp_path))  # what was fetched on this machine has other addresses
    experiment = EXPERIMENTS[id]
    keys = sorted({job.key for _, job in experiment.grid(experiment.ARTIFACTS, scale, 2)})
    assert hashlib.sha256("".join(keys).encode()).hexdigest()[:16] == DIGESTS[id][scale]


def test_every_experiment_has_a_digest() -> None:
    assert set(DIGESTS) == set(EXPERIMENTS)
