"""A run on one's own points: addressed by their content, trained on them, measured on the test points that are given."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.sweep import sweep
from flatproof.verify.two_layer.settings import DataSpec, Phase
from flatproof.verify.two_layer.training import Run, train

X = np.random.default_rng(0).choice([-1.0, 1.0], (8, 3))
Y = X[:, 0] * X[:, 1]


def run(data: DataSpec) -> Run:
    return Run("bias", (Phase(0.02, 30, rho=0.05),), data, width=20, seed=3)


def test_the_run_is_that_of_the_arrays_given_to_train() -> None:
    own = train(run(DataSpec.from_arrays(X, Y, X[:4], Y[:4])))
    other = train(run(DataSpec("parity", 1, {"d": 3, "n": 8})), DataSpec.from_arrays(X, Y, X[:4], Y[:4]).build())
    assert own.curve == other.curve
    assert own.final("test_accuracy") in (0.0, 0.25, 0.5, 0.75, 1.0)


def test_equal_points_have_equal_addresses() -> None:
    key = run(DataSpec.from_arrays(X, Y)).key
    assert run(DataSpec.from_arrays(X.tolist(), Y.astype(int).tolist())).key == key
    changed = X.copy()
    changed[0, 0] = -changed[0, 0]
    others = [(changed, Y), (X, -Y), (X, Y, X, Y)]
    assert len({key, *(run(DataSpec.from_arrays(*arrays)).key for arrays in others)}) == 4
    assert run(DataSpec.from_arrays(X, Y, labels="real")).key != key


def test_it_is_stored_and_carried_out_by_workers(tmp_path: Path) -> None:
    jobs = [replace(run(DataSpec.from_arrays(X, Y)), seed=seed) for seed in (1, 2)]
    arrived = pickle.loads(pickle.dumps(jobs[0]))
    assert arrived.key == jobs[0].key
    with Store(tmp_path / "s.sqlite") as store:
        assert sweep(jobs, store) == 2
        assert sweep([run(DataSpec.from_arrays(X, Y)).__class__(**vars(jobs[0]))], store) == 0
        stored = store.get(jobs[0])
    assert stored is not None
    assert stored.settings["data"]["name"] == "arrays"
    assert len(stored.settings["data"]["settings"]["sha256"]) == 64
    assert "points" not in stored.settings["data"]
    assert "trace" in jobs[0].summary(stored.result)  # no test points: no accuracy in the line


def test_points_that_are_not_here_are_named() -> None:
    spec = DataSpec.from_arrays(X, Y)
    with pytest.raises(ValueError, match=r"are not here; expected DataSpec.from_arrays"):
        DataSpec("arrays", 0, spec.settings).build()
    with pytest.raises(ValueError, match=r"must come from DataSpec.from_arrays"):
        DataSpec("arrays")
    with pytest.raises(ValueError, match="x"):
        DataSpec.from_arrays([[float("nan")]], [1.0])
