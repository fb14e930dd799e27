"""Owns the tutorials: executes each script in a folder of its own, and gives its page, its notebook and its pictures to the site.

A tutorial is a jupytext script in the percent format, `docs/tutorials/NAME.py`. An error in a cell fails the build: that is their test.
FLATPROOF_TUTORIALS=shown leaves them unexecuted, for work on the prose; FLATPROOF_TUTORIALS=NAME executes that one alone.
"""

import base64
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jupytext
import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority, get_plugin_logger
from mkdocs.structure.files import File, Files
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/tutorials"
LIMIT = 300  # seconds a cell
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PROGRESS = re.compile(r"(^\[1/\d+\] .*\n\[2/\d+\] .*\n)(?:^\[\d+/\d+\] .*\n)+(^\[\d+/\d+\] .*$)", re.MULTILINE)  # a line a run
CHECKED = """def checked(command, run=get_ipython().system):
    run(command)
    if get_ipython().user_ns["_exit_code"]:
        raise OSError(f"{command} ended with status {get_ipython().user_ns['_exit_code']}")
get_ipython().system = checked"""  # a command that fails would not fail its cell
logger = get_plugin_logger(__name__)


@event_priority(100)
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """A page, a notebook and pictures for each script."""
    for script in sorted(FOLDER.glob("*.py")):
        notebook = jupytext.read(script)
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        if os.environ.get("FLATPROOF_TUTORIALS", script.stem) == script.stem:
            _execute(script.stem, notebook)
        pictures: dict[str, bytes] = {}
        text = "\n\n".join(_page(script.stem, notebook, pictures))
        made: dict[str, str | bytes] = {f"{script.stem}.md": text, f"{script.stem}.ipynb": nbformat.writes(notebook), **pictures}
        for name, content in made.items():
            files.append(File.generated(config, f"tutorials/{name}", content=content))
    return files


def _execute(name: str, notebook: Any) -> None:
    """Run all cells, in an empty folder, as a stranger would. Errors: PluginError with the cell that failed."""
    scripts = str(Path(sys.executable).parent)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), os.environ.get("OMP_NUM_THREADS", "2"))
    environment = (
        os.environ
        | threads
        | {
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "TTY_COMPATIBLE": "0",  # no colours, no bars: what is printed goes into a page
            "TERM": "dumb",
            "COLUMNS": "100",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        }
    )
    begun = time.monotonic()
    notebook.cells.insert(0, nbformat.v4.new_code_cell(CHECKED))
    with TemporaryDirectory(prefix=f"flatproof-{name}-") as folder:
        place = {"metadata": {"path": folder}}
        quiet = ["--log-level=40"]  # the kernel warns that it listens on this machine's loopback
        client = NotebookClient(notebook, timeout=LIMIT, kernel_name="python3", resources=place, extra_arguments=quiet)
        try:
            client.execute(env=environment)
        except CellExecutionError as error:
            raise PluginError(f"tutorial {name}: {ESCAPES.sub('', str(error))}") from error
    del notebook.cells[0]
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = list(_joined(cell.outputs))
            for output in cell.outputs:
                if "text" in output:
                    output["text"] = _plain(output["text"], folder)
    logger.info(f"tutorial {name}: executed in {time.monotonic() - begun:.0f} s")


def _joined(outputs: list[Any]) -> Iterator[Any]:
    """What a cell printed piece by piece, as one text."""
    for (kind, _), group in groupby(outputs, key=lambda output: (output.output_type, output.get("name"))):
        first, *rest = group
        if kind == "stream":
            first["text"] += "".join(output["text"] for output in rest)
            rest = []
        yield from (first, *rest)


def _plain(text: str, folder: str) -> str:
    """Without the escapes of a terminal, and without the temporary folder's name."""
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in ESCAPES.sub("", text.replace("\r\n", "\n")).split("\n"))
    return "\n".join(line.rstrip() for line in lines).replace(folder, "~/experiments")


def _page(name: str, notebook: Any, pictures: dict[str, bytes]) -> Iterator[str]:
    """The page in Markdown; pictures are added by their names."""
    download = f"[Notebook]({name}.ipynb){{ .md-button download }} [Script]({name}.py){{ .md-button download }}"
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            title, _, rest = cell.source.partition("\n")
            yield f"{title}\n\n{download}\n{rest}" if i == 0 else cell.source
            continue
        yield _fenced(cell.source, "ipython" if cell.source.startswith(("%", "!")) else "python")
        shown = [part for output in cell.get("outputs", ()) if (part := _shown(name, output, pictures))]
        if shown:
            yield '<div class="output" markdown>\n\n' + "\n\n".join(shown) + "\n\n</div>"


def _fenced(text: str, language: str = "text") -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _shown(name: str, output: Any, pictures: dict[str, bytes]) -> str:
    """An output in Markdown: a picture, HTML, or text; of the kinds that it has, the first."""
    if output.output_type == "stream":
        return _fenced(PROGRESS.sub(r"\1…\n\2", output["text"])) if output["text"].strip() else ""
    data = output.get("data", {})
    if "image/png" in data:
        file = f"{name}-{len(pictures) + 1}.png"
        pictures[file] = base64.b64decode(data["image/png"])
        return f"![]({file})"
    if "text/html" in data:
        html = re.sub(r"<style.*?</style>", "", data["text/html"], flags=re.DOTALL)
        return "<div>" + re.sub(r"\n\s*", "", html) + "</div>"
    return _fenced(data["text/plain"]) if "text/plain" in data else ""


def on_post_build(config: MkDocsConfig) -> None:
    """Nothing of the tutorials' own runs stays behind."""
    shutil.rmtree(FOLDER / ".ipynb_checkpoints", ignore_errors=True)
