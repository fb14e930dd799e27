"""Owns `flatproof certify`: the flattest network of a user's own points, its certificate, and what all flattest networks predict."""

import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table as Grid

from flatproof.verify.cli.endings import Signalled
from flatproof.verify.cli.options import AsJson, Labels, check_at_least_one, check_writable
from flatproof.verify.cli.points import OwnData, own_data
from flatproof.verify.cli.steps import steps
from flatproof.verify.cli.terminal import console, refusing_bad_input, say
from flatproof.verify.utils.errors import UserError
from flatproof.verify.utils.table_files import STDIN, name_of

if TYPE_CHECKING:
    from flatproof import theory
    from flatproof.theory.check_certificate import Verdict
    from flatproof.theory.flatness.setting import Setting

SUFFIXES = {"network": "network.json", "certificate": "certificate.json", "witness": "witness.json", "points": "points.csv"}
SHOWN = 20  # test points in a terminal
WIDE = 1e-3  # gaps above are explained
NEAR = 1e-2  # points that are dependent up to this are named


def certify(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Your points, a row a point, the label last: CSV, .npy, .npz, parquet, or -.")
    ],
    architecture: Annotated[str, typer.Option(help="no-bias, bias or sim-bn.")] = "no-bias",
    kinks: Annotated[
        str, typer.Option(help="differentiable, or relu'(0)=0: whether samples may sit on kinks.")
    ] = "differentiable",
    test: Annotated[Path | None, typer.Option(help="File of test points alike: do all flattest networks get them right?")] = None,
    within: Annotated[
        float, typer.Option(help="With --test: speak of all networks whose trace is this near the flattest, relative.")
    ] = 1e-6,
    labels: Labels = "auto",
    limit: Annotated[int, typer.Option(help="The most activation patterns to list.")] = 200_000,
    bracket: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Search so long instead of listing patterns: bounds from both sides.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Where the network and the certificate go.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Find the flattest network that fits your points, prove that none is flatter, and what all of them predict."""
    name = f"{'points' if file == STDIN else file.stem}.{architecture}"
    with refusing_bad_input():
        check_at_least_one("--limit", limit)
        if not 0 < within < math.inf:
            raise ValueError(f"--within must be a number above 0, got {within}")
        if bracket is not None and not 0 < bracket < math.inf:
            raise ValueError(f"--bracket must be a number of seconds above 0, got {bracket}")
        if bracket is not None and test is not None:
            raise ValueError("--test needs the list of patterns; expected --test or --bracket, not both")
        own = own_data(file, test, labels)
        if test is not None and own.data.labels != "signs":
            raise ValueError(
                f"--test asks whether points are classified; expected labels -1 and 1 in {name_of(file)}, got real numbers"
            )
        own.check_sizes()
        check_writable(out)
    outcome: Certified | Bracketed
    try:
        with refusing_bad_input(), steps() as note, own.solving():
            if bracket is not None:
                note(f"searching for {bracket:g} s")
                outcome = bracket_points(own, architecture, kinks, bracket, out, name)
            else:
                outcome = certify_points(own, architecture, kinks, limit, out, name, test is not None, within, note)
    except ArithmeticError as error:
        raise UserError(f"{name_of(file)}: {error}") from error
    if as_json:
        notes = [*own.notes, *outcome.notes]
        print(json.dumps(outcome.summary() | ({"notes": notes} if notes else {})))
        return
    for line in own.notes:
        say(line)
    outcome.show()
    for kind, path in outcome.files.items():
        say(f"{kind:<12} {path}")


@dataclass(frozen=True)
class Certified:
    """What was computed for one data set.

    Args:
        solution: the flattest network with its optimality.
        verdict: of the independent checker on the certificate.
        decision: on the test points, if there are any.
        files: what was written, by kind.
        notes: why the gap is wide, if it is.
    """

    solution: "theory.Flattest"
    verdict: "Verdict"
    decision: "theory.Decision | None"
    files: dict[str, Path]
    notes: list[str]

    def summary(self) -> dict[str, Any]:
        """The numbers, ready for JSON; null for an end of a range that is infinite."""
        solution = self.solution
        out: dict[str, Any] = {
            "architecture": solution.architecture,
            "kinks": solution.kinks,
            "n": len(solution.y),
            "d": solution.x.shape[1],
            "patterns": len(solution.patterns.signs),
            "trace": solution.trace,
            "lower_bound": float(self.verdict.lower),
            "gap": float(self.verdict.relative_gap),
            "attained": solution.attained,
            "width": solution.network.width,
            "files": {kind: str(path) for kind, path in self.files.items()},
        }
        if self.decision is not None:
            out["decision"] = {
                "answer": self.decision.answer,
                "within": self.decision.within,
                "certified": int(self.decision.certified.sum()),
                "right": int(self.decision.right.sum()),
                "wrong": int(self.decision.wrong.sum()),
                "points": len(self.decision.y),
                "low": [_finite(value) for value in self.decision.low.tolist()],
                "high": [_finite(value) for value in self.decision.high.tolist()],
                "certified_ranges": self.decision.certified.tolist(),
            }
        return out

    def show(self) -> None:
        """The trace, what is proved of it, and the decision."""
        solution = self.solution
        attained = "is attained" if solution.attained else "is approached, not attained"
        say(
            f"trace        {solution.trace:.10g}  ({solution.network.width} neurons; the minimum {attained}, as floating point has it: "
            "not certified)"
        )
        patterns = len(solution.patterns.signs)
        say(f"lower bound  {float(self.verdict.lower):.10g}  (proved in rational numbers over {patterns} patterns)")
        say(f"gap          {float(self.verdict.relative_gap):.1e}")
        for line in self.notes:
            say(line)
        if self.decision is not None:
            _show_decision(self.decision)


@dataclass(frozen=True)
class Bracketed:
    """Bounds that were computed without listing patterns, and what was written, by kind."""

    bracket: "theory.Bracket"
    files: dict[str, Path]
    notes: tuple[()] = ()

    def summary(self) -> dict[str, Any]:
        """The numbers, ready for JSON."""
        bracket = self.bracket
        return {
            "architecture": bracket.architecture,
            "kinks": bracket.kinks,
            "n": len(bracket.y),
            "d": bracket.x.shape[1],
            "upper": bracket.upper,
            "lower_bound": bracket.lower_bound,
            "gap": bracket.gap,
            "width": bracket.network.width,
            "exhausted": bracket.exhausted,
            "files": {kind: str(path) for kind, path in self.files.items()},
        }

    def show(self) -> None:
        """Both bounds, and why it ended."""
        bracket = self.bracket
        say(f"upper bound  {bracket.upper:.10g}  (a network of {bracket.network.width} neurons; {bracket.ended})")
        say(f"lower bound  {bracket.lower_bound:.10g}  (by a dual point, in double precision)")
        say(f"gap          {bracket.gap:.1e}")


def certify_points(
    own: OwnData,
    architecture: str,
    kinks: str,
    limit: int,
    folder: Path,
    name: str,
    test: bool,
    within: float,
    note: Callable[[str], None],
) -> Certified:
    """Solve, write network and certificate, decide on the test points if there are any, check what was written.

    The files are there before the decision is begun, which may take long or fail; its proofs then go into the certificate.

    Args:
        own: points, labels and, for `test`, a population.
        architecture, kinks, limit: as theory.flattest takes them.
        folder: where the files go; made if it is not there.
        name: what their names begin with.
        test: whether to decide on the population.
        within: how near the flattest the networks are that the decision is about, relative.
        note: is told what is being done.

    Raises:
        ValueError: as theory.flattest.
        ArithmeticError: double precision does not suffice.
    """
    from flatproof import theory
    from flatproof.theory.flatness.patterns import check_count
    from flatproof.theory.flatness.setting import Setting

    data = own.data
    setting = Setting.of(data.x, data.y, architecture, kinks)
    check_count(setting.points, limit, faces=not setting.differentiable)  # at once, before what solving needs is imported
    from flatproof.theory.flatness.certificate import check, save
    from flatproof.theory.flatness.neurons import NotRealized

    solution = theory.flattest(data.x, data.y, architecture, kinks, limit, note)
    note("proving the bound in rational numbers")
    certificate = solution.certificate()
    verdict = check(certificate)
    files = {kind: folder / f"{name}.{suffix}" for kind, suffix in SUFFIXES.items() if kind != "witness"}
    folder.mkdir(parents=True, exist_ok=True)
    save(certificate, files["certificate"])
    _write(files["network"], solution.network, trace=solution.trace)
    _write_points(own, files)
    notes = [_why(own, setting)] if verdict.relative_gap > WIDE else []
    if not test:
        return Certified(solution, verdict, None, files, notes)
    kept = f"the flattest network and its certificate are written: {files['certificate']}"
    try:
        decision = theory.decide(data, architecture, kinks, solution, within, note=note).proved(verdict.lower)
        note("proving the decision in rational numbers")
        certificate = decision.certificate()
        verdict = check(certificate)
    except Signalled as ending:
        ending.stored = kept
        raise
    except (ArithmeticError, ValueError) as error:
        kind = ValueError if isinstance(error, ValueError) else ArithmeticError
        raise kind(f"{error}; {kept}") from error
    save(certificate, files["certificate"])
    try:
        witness = decision.witness()
    except NotRealized:  # it stays in the certificate, in rational numbers
        witness = None
    if decision.worst is not None and witness is not None:
        files["witness"] = folder / f"{name}.{SUFFIXES['witness']}"
        trace = theory.trace_of_hessian(witness, data.x)
        point, label = decision.x[decision.worst].tolist(), decision.y[decision.worst]
        _write(files["witness"], witness, trace=trace, point=point, label=label)
    return Certified(solution, verdict, decision, files, notes)


def bracket_points(own: OwnData, architecture: str, kinks: str, seconds: float, folder: Path, name: str) -> Bracketed:
    """An upper bound with its network, which is written, and a lower bound, after a search of about so many seconds."""
    from flatproof import theory

    bracket = theory.bracket(own.data.x, own.data.y, architecture, kinks, seconds=seconds)
    path = folder / f"{name}.{SUFFIXES['network']}"
    folder.mkdir(parents=True, exist_ok=True)
    _write(path, bracket.network, trace=bracket.upper)
    return Bracketed(bracket, {"network": path})


def _why(own: OwnData, setting: "Setting") -> str:
    """What makes a gap wide."""
    nearest = setting.nearest()
    if nearest is None or nearest[2] > NEAR:
        return f"{own.files[0].name}: double precision leaves this gap"
    place = own.files[0].place(nearest[:2])
    return f"{place} are dependent up to {nearest[2]:.1e} of their size: double precision leaves this gap"


def _write_points(own: OwnData, files: dict[str, Path]) -> None:
    """The points as they were understood, for the checker's --data, unless the user's own file says the same to it."""
    if own.plain:
        del files["points"]
        return
    rows = zip(own.data.x.tolist(), own.data.y.tolist(), strict=True)
    _write_text(files["points"], "".join(",".join(map(repr, [*point, label])) + "\n" for point, label in rows))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _write(path: Path, network: "theory.Network", **facts: Any) -> None:
    """A network's parameters, with facts about it."""
    import numpy as np

    from flatproof.theory.networks import PARAMETERS

    parameters = {name: value.tolist() for name in PARAMETERS if isinstance(value := getattr(network, name), np.ndarray)}
    _write_text(path, json.dumps({"architecture": network.architecture, **facts, **parameters}, indent=1) + "\n")


def _write_text(path: Path, text: str) -> None:
    """The file is there in full or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _show_decision(decision: "theory.Decision") -> None:
    """The answer, and the range of predictions at the first test points, each with what it rests on."""
    right, total = int(decision.right.sum()), len(decision.y)
    near = f"within {decision.within:g} of the flattest trace"
    answer = {
        "all": f"all flattest networks classify every test point correctly: certified for all networks {near}",
        "not all": f"not all networks {near} classify every test point correctly: certified; "
        f"{right} of {total} points are certified right",
        "undecided": f"undecided for networks {near}: {right} of {total} test points are certified right, and no network at hand errs",
    }[decision.answer]
    say(f"decision     {answer}")
    say(f"ranges       over all networks {near}")
    grid = Grid("point", "label", "smallest", "largest", "settled", "range")
    for i in range(min(total, SHOWN)):
        settled = "right" if decision.right[i] else "wrong" if decision.wrong[i] else "no"
        where = ", ".join(f"{c:g}" for c in decision.x[i][:6]) + (", …" if decision.x.shape[1] > 6 else "")
        proof = "certified" if decision.certified[i] else "not certified"
        grid.add_row(where, f"{decision.y[i]:g}", f"{decision.low[i]:.6g}", f"{decision.high[i]:.6g}", settled, proof)
    console.print(grid)
    if total > SHOWN:
        say(f"{total - SHOWN} more test points: --json lists all")
