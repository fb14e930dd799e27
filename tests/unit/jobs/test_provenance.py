"""What provenance says of the code, and that what was stored by older code is read beside it."""

import subprocess
import sys
from pathlib import Path

import pytest

import flatproof
from flatproof.verify.jobs import provenance as module
from flatproof.verify.report.artifacts import merged

OLD = {"commit": "abc", "python": "3.11", "machine": "m"}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one commit in whose place the code lies."""
    path = tmp_path / "verify/jobs/provenance.py"
    path.parent.mkdir(parents=True)
    path.write_text("code")
    monkeypatch.setattr(module, "__file__", str(path))
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@e")
    return subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def test_the_version_comes_first() -> None:
    provenance = module.provenance.__wrapped__()
    assert next(iter(provenance)) == "flatproof"
    assert provenance["flatproof"] == flatproof.__version__
    assert {"python", "torch", "numpy", "machine"} <= set(provenance)
    assert all(isinstance(value, str) for value in provenance.values())


def test_the_commit_is_named_where_there_is_one(repository: Path) -> None:
    assert "commit" not in module.provenance.__wrapped__()
    git(repository, "init", "-q")
    git(repository, "commit", "-q", "--allow-empty", "-m", "nothing")
    assert module.provenance.__wrapped__()["commit"] == "uncommitted+changes"
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "code")
    commit = git(repository, "rev-parse", "--short=10", "HEAD")
    assert module.provenance.__wrapped__()["commit"] == commit
    (repository / "results.txt").write_text("a result")  # changes nothing of the code
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "results")
    assert module.provenance.__wrapped__()["commit"] == commit
    (repository / "verify/more.py").write_text("more")
    assert module.provenance.__wrapped__()["commit"] == commit + "+changes"


def test_code_inside_another_repository_has_no_commit(repository: Path) -> None:
    """As where a virtual environment lies in somebody's repository."""
    git(repository, "init", "-q")
    module.__file__ = str(repository / "site/flatproof/verify/jobs/provenance.py")
    Path(module.__file__).parent.mkdir(parents=True)
    assert "commit" not in module.provenance.__wrapped__()


def test_old_provenance_is_merged_with_new() -> None:
    assert merged([OLD, OLD], "runs") == OLD
    new = {"flatproof": "0.1.0", "python": "3.11", "machine": "m"}
    assert merged([new, OLD, OLD], "runs") == {
        "flatproof": "0.1.0 (1 runs); unknown (2 runs)",
        "python": "3.11",
        "machine": "m",
        "commit": "abc (2 runs); unknown (1 runs)",
    }


def test_the_gpu_is_named_once_it_was_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Torch:
        class cuda:
            used = False
            is_initialized = classmethod(lambda cls: cls.used)
            get_device_name = staticmethod(lambda: "NVIDIA H200")

    monkeypatch.setitem(sys.modules, "torch", Torch)
    assert module.accelerator() == {}
    monkeypatch.setattr(Torch.cuda, "used", True)
    assert module.accelerator()["device"] == "NVIDIA H200"
    stated = tmp_path / "version"
    for line in (
        "NVIDIA UNIX x86_64 Kernel Module  580.159.03  Mon",
        "NVIDIA UNIX Open Kernel Module for x86_64  580.159.03  Rel",
    ):
        stated.write_text(f"NVRM version: {line}\nGCC version: 12.3.0")
        assert module._driver(stated) == "580.159.03"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert module._driver(tmp_path / "none") == "not known"
    monkeypatch.delitem(sys.modules, "torch")
    assert module.accelerator() == {}
