"""Names of engines, judged before anything is asked for: these need no package of the extra."""

import sys
from pathlib import Path

import pytest

from flatproof.verify.jobs.cluster import cluster
from flatproof.verify.utils.errors import UserError


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("foo", "--engine must be local, dask://host:port or a YAML file of dask-jobqueue, got 'foo'"),
        ("absent.yaml", "--engine absent.yaml cannot be read: No such file or directory"),
        ("latin.yaml", "--engine latin.yaml is no YAML file"),
        ("dask://127.0.0.1:1", "--engine needs distributed"),
        ("there.yaml", "--engine needs distributed"),
    ],
)
def test_a_name_is_judged_before_a_package_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, words: str
) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"cluster: \xe4")
    (tmp_path / "there.yaml").write_text("cluster: SLURMCluster\nworkers: 2\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError) as refusal, cluster(engine):
        pass
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
