"""The house: which room imports which, sizes, names, first lines; and that the pages and the picture say what is there."""

import ast
import importlib.util
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
LONGER = {"theory/check_certificate.py": "stands alone on purpose: a reader runs it without the rest"}


def script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where dataclasses look for their module
    spec.loader.exec_module(module)
    return module


rooms = script(ROOT / "docs/rooms.py")
MODULES: dict[str, Path] = rooms.modules()
GRAPH: dict[str, set[str]] = rooms.graph()


def test_rooms_import_from_lower_floors_alone() -> None:
    upward = [
        f"{module} imports {name}"
        for module, names in GRAPH.items()
        for name in sorted(names)
        if module not in rooms.FACES
        and rooms.room(module) != rooms.room(name)
        and rooms.FLOOR[rooms.room(name)] >= rooms.FLOOR[rooms.room(module)]
    ]
    assert upward == []


def test_every_module_lies_in_a_room() -> None:
    assert {rooms.room(module) for module in MODULES} - set(rooms.FLOOR) == {"verify"}
    assert [module for module in MODULES if rooms.room(module) == "verify"] == ["flatproof.verify"]


def test_no_circle() -> None:
    """TopologicalSorter raises CycleError and names the circle."""
    assert len(list(TopologicalSorter(GRAPH).static_order())) == len(MODULES)


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        ("synth", {"numpy"}),
        ("theory", {"numpy", "scipy", "sympy", "numba", "clarabel", "cvxpy", "threadpoolctl"}),
        ("verify/utils", {"numpy", "scipy", "threadpoolctl", "pandas"}),
        ("verify/jobs", {"numpy", "joblib", "distributed"}),  # distributed: an extra, imported where a cluster is asked for
    ],
)
def test_what_a_room_needs_from_outside(room: str, allowed: set[str]) -> None:
    """Of its own modules and of those that they import, however far away."""
    reached, new = set(), {module for module in MODULES if rooms.room(module).startswith(room)}
    while new:
        reached |= new
        new = {name for module in new for name in GRAPH[module]} - reached
    own = {
        name.partition(".")[0] for m in reached if rooms.room(m).startswith(room) for name in rooms.imported(MODULES[m], MODULES)
    }
    assert own - {"flatproof"} - sys.stdlib_module_names <= allowed
    everything = {name.partition(".")[0] for m in reached for name in rooms.imported(MODULES[m], MODULES)}
    assert "torch" not in everything


def test_neither_theory_nor_jobs_brings_torch_in() -> None:
    """Third parties included."""
    names = [m for m in MODULES if rooms.room(m).partition("/")[0] in ("synth", "theory") or rooms.room(m) == "verify/jobs"]
    code = f"import sys, importlib; [importlib.import_module(m) for m in {names}]; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_no_file_over_500_lines() -> None:
    lines = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in MODULES.values()}
    long = {path for path, count in lines.items() if count > 500}
    assert long - set(LONGER) == set()
    assert set(LONGER) <= long, "an exception that is none any more: take it out of the list above"


@pytest.mark.parametrize("package", [m for m, path in MODULES.items() if path.name == "__init__.py"])
def test_a_package_exports_nothing_under_the_name_of_a_module_of_its_own(package: str) -> None:
    bound = set()
    for node in rooms.parsed(MODULES[package]).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.ImportFrom) and node.module != package:
            bound |= {name.asname or name.name for name in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            bound |= {name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}
    assert [name for name in sorted(bound) if f"{package}.{name}" in MODULES] == []


def test_first_lines_say_what_a_module_owns() -> None:
    lines = {module: (ast.get_docstring(rooms.parsed(path)) or "").partition("\n")[0] for module, path in MODULES.items()}
    assert {module: line for module, line in lines.items() if len(line.split()) < 4} == {}


def test_the_picture_is_of_this_code() -> None:
    message = "make map draws it anew"
    assert rooms.svg() == rooms.PICTURE.read_text(), message
    assert rooms.page(rooms.PAGE.read_text()) == rooms.PAGE.read_text(), message


@pytest.mark.parametrize(
    "page", ["CONTRIBUTING.md", "README.md", *(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]
)
def test_every_path_that_a_page_names_is_there(page: str) -> None:
    """In code spans: paths that begin at a folder of the repository, and dotted names of its modules and of what these define."""
    prose = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    words = {word.strip("(),;:") for span in re.findall(r"`([^`\n]+)`", prose) for word in span.split()}
    paths = {word for word in words if re.match(r"(docs|flatproof|paper_results|synth|tests|theory|verify)/[^A-Z<]*$", word)}
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
    dotted = {word for word in words if re.fullmatch(r"(flatproof\.)?(synth|theory|verify)(\.\w+)+", word)}
    assert [name for name in sorted(dotted) if not defined("flatproof." + name.removeprefix("flatproof."))] == []


def defined(name: str) -> bool:
    """Whether it is a module, or a name that the module before its last dot holds."""
    module, _, attribute = name.rpartition(".")
    return name in MODULES or (module in MODULES and re.search(rf"\b{attribute}\b", MODULES[module].read_text()) is not None)


@pytest.mark.parametrize("mark", ["slow", "long"])
def test_every_slow_test_is_there(mark: str) -> None:
    named = [line.partition("::") for line in (ROOT / f"tests/{mark}.txt").read_text().split()]
    assert [name for place, _, name in named if f"def {name}(" not in (ROOT / place).read_text()] == []
