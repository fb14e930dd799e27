"""Where compiled code is kept: chosen once, whatever the home is."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import joblib
import pytest
from joblib.externals.loky import get_reusable_executor

from flatproof import caching
from flatproof.caching import ENVIRONMENT, MATPLOTLIB, NUMBA, use_cache
from tests.command import here

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable is set, and there is no home."""
    for variable in (ENVIRONMENT, NUMBA, MATPLOTLIB, "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, "")  # so that what is set in its place is undone
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path / "absent"))
    monkeypatch.setattr(caching, "_passing", set())
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))


def told() -> tuple[str | None, str | None]:
    return os.environ.get(NUMBA), os.environ.get(MATPLOTLIB)


def home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def test_the_users_cache_is_taken_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home(tmp_path / "home", monkeypatch)
    use_cache(tmp_path / "store")
    assert told() == (
        str(folder / ".cache" / "flatproof" / "numba"),
        None,
    )  # matplotlib finds its own place, and the user's settings
    monkeypatch.delenv(NUMBA)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    use_cache()
    assert told() == (str(tmp_path / "xdg" / "flatproof" / "numba"), None)
    assert not (tmp_path / "store").exists()


def test_the_variable_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home(tmp_path / "home", monkeypatch)
    monkeypatch.setenv(NUMBA, str(tmp_path / "numba's"))
    use_cache()
    assert told() == (str(tmp_path / "numba's"), None)  # the user's own setting stays
    monkeypatch.setenv(ENVIRONMENT, "~/chosen")
    use_cache()
    assert told() == (str(tmp_path / "home" / "chosen" / "numba"), None)
    monkeypatch.setenv("HOME", str(tmp_path / "absent"))
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "chosen"))
    use_cache()
    assert told() == (str(tmp_path / "chosen" / "numba"), str(tmp_path / "chosen" / "matplotlib"))


@pytest.mark.parametrize("name", ["file", "file/below", "/proc/flatproof", "~nobody-of-this-name/cache"])
def test_a_variable_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_bytes(b"")
    monkeypatch.setenv(ENVIRONMENT, name)
    with pytest.raises(ValueError, match=f"^{ENVIRONMENT} must name a folder that can be written, got {name!r}: "):
        use_cache()
    assert {path.name for path in tmp_path.iterdir()} == {"file", "temporary"}
    done = here("train", "--architecture", "bias", cwd=tmp_path, env={ENVIRONMENT: name})
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {ENVIRONMENT} must name a folder that can be written, got {name!r}: ")
    assert done.stderr.count("\n") == 1


def test_without_a_home_it_lies_beside_the_store(tmp_path: Path) -> None:
    use_cache()  # where the command begins, and knows no store yet
    assert told()[0].startswith(str(tmp_path / "temporary"))
    use_cache(tmp_path / "store")
    expected = (str(tmp_path / "store" / "cache" / "numba"), str(tmp_path / "store" / "cache" / "matplotlib"))
    assert told() == expected
    use_cache()  # where the kernels are
    assert told() == expected


@pytest.mark.parametrize("absent", ["", "relative", "/proc"])
def test_without_a_home_or_a_store_the_next_command_finds_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absent: str
) -> None:
    monkeypatch.setenv("HOME", absent)
    if not absent:  # nor in the system's list of users
        monkeypatch.setattr(Path, "home", lambda: Path("~").expanduser())
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    use_cache()
    first = told()
    for variable in (NUMBA, MATPLOTLIB):
        monkeypatch.delenv(variable)
    use_cache()
    assert told() == first
    (folder,) = (tmp_path / "temporary").iterdir()
    assert first == (str(folder / "numba"), str(folder / "matplotlib"))
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("taken", ["by a link", "by all"])
def test_a_place_where_others_write_is_not_used(tmp_path: Path, taken: str) -> None:
    """What lies there is run."""
    place = tmp_path / "temporary" / f"flatproof-{os.getuid()}"
    if taken == "by a link":
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.mkdir()
        place.chmod(0o777)
    use_cache()
    chosen = Path(told()[0] or "").parent
    assert chosen != place
    assert chosen.parent == tmp_path / "temporary"
    assert chosen.stat().st_mode & 0o777 == 0o700


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(tempfile, "gettempdir", none)
    use_cache(tmp_path / "file")
    assert told() == (None, None)


def test_workers_share_it(tmp_path: Path) -> None:
    use_cache(tmp_path / "store")
    get_reusable_executor().shutdown()  # workers of an older test have its variables
    values = joblib.Parallel(n_jobs=2)(joblib.delayed(os.environ.get)(NUMBA) for _ in range(2))
    get_reusable_executor().shutdown()
    assert values == [told()[0]] * 2


def processes(tmp_path: Path, code: str, variables: Mapping[str, str]) -> list[list[str]]:
    """What two processes print, one after the other."""
    environment = {k: v for k, v in os.environ.items() if k not in (NUMBA, MATPLOTLIB, "HOME", "XDG_CACHE_HOME")}
    environment |= {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "PYTHONDONTWRITEBYTECODE": "1"} | variables
    command = [sys.executable, "-c", code]
    return [
        subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True, timeout=300).stdout.split()
        for _ in range(2)
    ]


KERNELS = """
from flatproof.theory.compiled import kernel, literal_kernel
@kernel
def product(v): return 3 * v
@literal_kernel
def twice(v): return product(v) + product(v)
"""
USED = "from kernels import product, twice; print(twice(5), len(twice.stats.cache_hits), len(twice.stats.cache_misses))"


@pytest.mark.parametrize("variables", [{"HOME": "/proc"}, {ENVIRONMENT: "cache"}], ids=["no home", "variable"])
def test_a_second_process_compiles_nothing(tmp_path: Path, variables: dict[str, str]) -> None:
    (tmp_path / "kernels.py").write_text(KERNELS, encoding="utf-8")
    if ENVIRONMENT in variables:
        variables = {ENVIRONMENT: str(tmp_path / "cache"), "HOME": "/proc"}
    first, second = processes(tmp_path, USED, variables | {"TMPDIR": str(tmp_path / "temporary")})
    assert first == ["30", "0", "1"]
    assert second == ["30", "1", "0"]
    assert not (tmp_path / "__pycache__").exists()


def test_where_nothing_can_be_kept_kernels_run_all_the_same(tmp_path: Path) -> None:
    """Nor are they put beside the sources."""
    (tmp_path / "kernels.py").write_text(KERNELS, encoding="utf-8")
    code = f"import flatproof.caching as c; c.use_cache = lambda: None\n{USED}"
    first, second = processes(tmp_path, code, {"HOME": "/proc"})
    assert first == second == ["30", "0", "1"]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["temporary"]
