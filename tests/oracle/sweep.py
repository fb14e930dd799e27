"""Owns the sweep of a candidate over random data sets against the oracle:

    python -m tests.oracle.sweep --seeds 0:2000 --out sweep.jsonl --brackets brackets.jsonl --candidate tests.oracle.candidates:as_printed

Both files are JSON lines and are resumed: a seed that is in them is not done again. Brackets depend on `--within` alone and serve any
number of candidates. `--named` adds the named inputs, `--summary` only prints what a file holds, `--keep FILE` writes what breaks.

    false      certified, and the oracle's exact network within the budget predicts something outside it by more than --tolerance times
               the largest label: no such range may be printed.
    loose      certified, and wider than the oracle's outer range by more than 1e-3 (1e-2) times the largest label.
    error      the candidate raised something: all data sets can be fitted.
    decision   `--decider` answers for the data set's queries, labelled by the oracle (some of them wrongly): "all" is false if an exact
               network within the budget has the wrong sign at one, "not all" if the outer ranges have the right sign at each, "none" if
               at each some exact network has the right sign.
"""

import argparse
import importlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from math import inf, isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

Record = dict[str, Any]


def given(seed: int) -> Record:
    """The data set of a seed; negative seeds are the named inputs."""
    from tests.oracle.instances import instance
    from tests.oracle.named import NAMED

    if seed >= 0:
        return asdict(instance(seed))
    name, case = list(NAMED.items())[-1 - seed]
    return {"seed": seed, "kind": name, **{k: case[k] for k in ("architecture", "x", "y")}, "queries": [("named", case["q"])]}


def brackets(seed: int, within: float) -> Record:
    """The data set of a seed and the oracle's brackets at its queries (null where it failed)."""
    from tests.oracle.flattest_oracle import Oracle, OracleFailed

    start = perf_counter()
    case = given(seed)
    answers: list[Record | None] = []
    least = None
    try:
        oracle = Oracle(case["x"], case["y"], case["architecture"])
        least = oracle.least
    except (OracleFailed, ArithmeticError, AssertionError) as error:
        return {**case, "within": within, "failed": repr(error), "brackets": [None] * len(case["queries"])}
    for _, q in case["queries"]:
        try:
            bracket = oracle.bracket(q, within)
            answers.append({"inner": bracket.inner, "outer": bracket.outer})
        except (OracleFailed, ArithmeticError, AssertionError) as error:
            answers.append({"failed": repr(error)})
    return {**case, "within": within, "least": least, "brackets": answers, "oracle_s": round(perf_counter() - start, 2)}


def plugged(name: str) -> Any:
    """The function that module:function names."""
    module, function = name.split(":")
    return getattr(importlib.import_module(module), function)


def judged(record: Record, candidate: str, decider: str | None, tolerance: float) -> Record:
    """What the candidate says at each query, and a verdict; and about the decision."""
    function, top = plugged(candidate), max(map(abs, record["y"])) or 1.0
    rows = []
    for (kind, q), bracket in zip(record["queries"], record["brackets"], strict=True):
        start = perf_counter()
        row: Record = {"query": kind}
        try:
            low, high, certified = function(record["x"], record["y"], record["architecture"], q, record["within"])
            row.update(low=float(low), high=float(high), certified=bool(certified))
        except Exception as error:  # whatever it raises is what the sweep looks for
            row.update(error=f"{type(error).__name__}: {error}")
        row["s"] = round(perf_counter() - start, 3)
        rows.append({**row, **verdict(row, bracket, top, tolerance)})
    result = {"seed": record["seed"], "kind": record["kind"], "architecture": record["architecture"], "rows": rows}
    return result if decider is None else {**result, "decision": decided(record, plugged(decider), tolerance * top)}


def decided(record: Record, decider: Any, tolerance: float) -> Record:
    """The decider's answer about the queries that have a bracket, and what the brackets make of it.

    Labels are the signs of the oracle's inner ranges; every fourth data set has one of the last query turned round, and all but every third
    leave out queries with an infinite range, which settle the answer by themselves.
    """
    seed, points, labels, along = record["seed"], [], [], []
    for (_, q), bracket in zip(record["queries"], record["brackets"], strict=True):
        if bracket is not None and "failed" not in bracket and (isfinite(bracket["inner"][0]) or seed % 3 == 0):
            points.append(q)
            labels.append(-1.0 if isfinite(bracket["inner"][0]) and sum(bracket["inner"]) < 0 else 1.0)
            if seed % 4 == 0 and q is record["queries"][-1][1]:
                labels[-1] *= -1
            along.append([sorted(labels[-1] * end for end in bracket[name]) for name in ("inner", "outer")])
    if not points:
        return {"verdict": "no population"}
    somewhere_wrong = any(inner[0] < -tolerance for inner, _ in along)
    everywhere_right = all(outer[0] > tolerance for _, outer in along)
    nowhere_settled_wrong = all(inner[1] > tolerance for inner, _ in along)
    try:
        answer = decider(record["x"], record["y"], record["architecture"], points, labels, record["within"])
    except Exception as error:
        return {"verdict": "error", "error": f"{type(error).__name__}: {error}"}
    wrong = {"all": somewhere_wrong, "not all": everywhere_right, "none": nowhere_settled_wrong, "undecided": False}
    if wrong[answer]:
        return {"answer": answer, "verdict": "false"}
    settled = somewhere_wrong or everywhere_right
    return {
        "answer": answer,
        "verdict": answer if answer != "undecided" else "undecided, settled" if settled else "undecided, close",
    }


def verdict(row: Record, bracket: Record | None, top: float, tolerance: float) -> Record:
    """How a row stands against its bracket: `false_by`, `loose_by` (in largest labels, a slack of the oracle's own subtracted)."""
    if "error" in row:
        return {"verdict": "error"}
    if bracket is None or "failed" in bracket:
        return {"verdict": "no oracle"}
    (inner_low, inner_high), (outer_low, outer_high) = bracket["inner"], bracket["outer"]
    if not row["low"] <= row["high"] + tolerance * top:  # NaN too
        return {"verdict": "error", "error": "not a range"}
    false_by = max(beyond(row["low"], inner_low), beyond(inner_high, row["high"])) / top
    loose_by = max(beyond(outer_low, row["low"]), beyond(row["high"], outer_high)) / top
    name = "false" if false_by > tolerance and row["certified"] else "uncertified" if not row["certified"] else "holds"
    return {"verdict": name, "false_by": false_by, "loose_by": loose_by, "oracle_by": slack(bracket) / top}


def beyond(a: float, b: float) -> float:
    """max(a - b, 0) where both may be infinite."""
    return 0.0 if a == b else max(a - b, 0.0)


def slack(bracket: Record) -> float:
    """How far the oracle's inner and outer ranges are apart."""
    ends = zip(bracket["inner"], bracket["outer"], strict=True)
    return max(abs(a - b) for a, b in ends) if isfinite(bracket["inner"][0]) else 0.0


def lines(path: Path) -> Iterator[Record]:
    """The records of a file, none if it is not there; a last line cut short is left out."""
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                print(f"{path}: a line cut short is left out", file=sys.stderr)


def summary(records: list[Record]) -> str:
    """Counts by verdict, kind of points and architecture, the worst rows, and times."""
    rows = [
        {**row, "seed": r["seed"], "kind": r["kind"], "architecture": r["architecture"]} for r in records for row in r["rows"]
    ]
    out = [f"{len(records)} data sets, {len(rows)} queries: {dict(Counter(row['verdict'] for row in rows))}"]
    for key in ("kind", "architecture", "query"):
        values = sorted({row[key] for row in rows})
        out += [f"  {key} {value}: {dict(Counter(row['verdict'] for row in rows if row[key] == value))}" for value in values]
    held = [row for row in rows if row["verdict"] == "holds"]
    for limit in (1e-3, 1e-2):
        count = sum(row["loose_by"] > limit for row in held)
        out += [f"certified and looser than the oracle by {limit:g}: {count} of {len(held)}"]
    known = [row["oracle_by"] for row in rows if "oracle_by" in row]
    counts = [sum(s > limit for s in known) for limit in (1e-6, 1e-3)]
    out += [f"oracle's own slack above 1e-6: {counts[0]}, above 1e-3: {counts[1]} of {len(known)}"]
    for by, name in (("false_by", "false"), ("loose_by", "holds")):
        worst = sorted((row for row in rows if row["verdict"] == name and row[by] > 1e-3), key=lambda row: -row[by])
        out += [
            f"  {by} {row[by]:.3g}: seed {row['seed']} {row['kind']}, {row['architecture']}, {row['query']}" for row in worst[:20]
        ]
    answers = Counter((r["decision"].get("answer", ""), r["decision"]["verdict"]) for r in records if "decision" in r)
    out += [f"decisions: {dict(answers)}"] * bool(answers)
    out += [
        f"  false {r['decision']['answer']!r}: seed {r['seed']}"
        for r in records
        if r.get("decision", {}).get("verdict") == "false"
    ][:20]
    failed = [row for row in [*rows, *(r["decision"] for r in records if "decision" in r)] if row["verdict"] == "error"]
    errors = Counter(row["error"][:100] for row in failed)
    out += [f"  error {count} x {text}" for text, count in errors.most_common(20)]
    times = sorted(row["s"] for row in rows)
    if times:
        out.append(f"candidate's seconds a query: median {times[len(times) // 2]:.2f}, largest {times[-1]:.2f}")
    return "\n".join(out)


def kept(records: list[Record], cases: dict[int, Record], limit: int) -> list[Record]:
    """Rows that are false, loose by more than 1e-2 or fail, as cases of their own: fault, kind and architecture in turn, worst first.

    Each has seed, kind, architecture, x, y, within, the query's kind and q, the oracle's inner and outer range, fault, and what was said.
    """
    groups: dict[tuple[str, str, str], list[tuple[float, Record]]] = {}
    for r in records:
        case = cases[r["seed"]]
        for row, (_, q), bracket in zip(r["rows"], case["queries"], case["brackets"], strict=True):
            fault = "loose" if row["verdict"] == "holds" and row["loose_by"] > 1e-2 else row["verdict"]
            if fault not in ("false", "loose", "error") or bracket is None or "failed" in bracket:
                continue
            entry = {key: case[key] for key in ("seed", "kind", "architecture", "x", "y", "within")}
            entry.update(query=row["query"], q=q, **bracket, fault=fault, said=row.get("error") or [row["low"], row["high"]])
            by = row.get("false_by" if fault == "false" else "loose_by", inf)
            groups.setdefault((fault, case["kind"], case["architecture"]), []).append((by, entry))
    ordered = [sorted(group, key=lambda pair: -pair[0]) for group in groups.values()]
    return [group[i][1] for i in range(max(map(len, ordered), default=0)) for group in ordered if i < len(group)][:limit]


def spread(function: Any, items: list[Any], processes: int) -> Iterator[Any]:
    """function over items, here or in processes of their own."""
    if processes == 1:
        yield from map(function, items)
        return
    with ProcessPoolExecutor(processes, initializer=os.nice, initargs=(10,)) as pool:
        yield from pool.map(function, items)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.sweep", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", default="0:100", help="first:last+1")
    parser.add_argument("--named", action="store_true", help="the named inputs too")
    parser.add_argument("--candidate", default="tests.oracle.candidates:as_printed", help="module:function")
    parser.add_argument("--decider", help="module:function")
    parser.add_argument("--within", type=float, default=1e-6)
    parser.add_argument("--tolerance", type=float, default=1e-6)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--brackets", type=Path, required=True, help="the oracle's answers, made where missing")
    parser.add_argument("--out", type=Path, help="the candidate's answers; none: brackets only")
    parser.add_argument("--keep", type=Path, help="write cases that are false, loose or fail")
    parser.add_argument("--keep-most", type=int, default=60)
    parser.add_argument("--known", action="store_true", help="only seeds that have brackets already")
    parser.add_argument("--summary", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.nice(10)
    start, stop = map(int, arguments.seeds.split(":"))
    seeds = [-1, -2] * arguments.named + list(range(start, stop))
    cases = {r["seed"]: r for r in lines(arguments.brackets) if r["within"] == arguments.within}
    if arguments.known:
        seeds = [seed for seed in seeds if seed in cases]
    if not arguments.summary:
        missing = [seed for seed in seeds if seed not in cases]
        with arguments.brackets.open("a") as file:
            for record in spread(partial(brackets, within=arguments.within), missing, arguments.processes):
                cases[record["seed"]] = record
                print(json.dumps(record), file=file, flush=True)
    if arguments.out is None:
        return
    done = {r["seed"]: r for r in lines(arguments.out)}
    if not arguments.summary:
        judge = partial(judged, candidate=arguments.candidate, decider=arguments.decider, tolerance=arguments.tolerance)
        with arguments.out.open("a") as file:
            for record in spread(judge, [cases[seed] for seed in seeds if seed not in done], arguments.processes):
                done[record["seed"]] = record
                print(json.dumps(record), file=file, flush=True)
    chosen = [done[seed] for seed in seeds if seed in done]
    print(summary(chosen))
    if arguments.keep is not None:
        command = f"python -m tests.oracle.sweep {' '.join(word for word in sys.argv[1:] if word != '--summary')}"
        listed = ",\n".join(json.dumps(entry) for entry in kept(chosen, cases, arguments.keep_most))
        arguments.keep.write_text(f'{{"command": {json.dumps(command)},\n"cases": [\n{listed}\n]}}\n')


if __name__ == "__main__":
    main()
