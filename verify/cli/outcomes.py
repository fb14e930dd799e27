"""Owns the way between commands and published outcomes: what a report was built from, and `report --from`, which builds it again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import typer

from flatproof.verify.cli.options import STORE, check_writable
from flatproof.verify.cli.terminal import print_tables, refusing_bad_input, say, warn
from flatproof.verify.utils.errors import UserError

if TYPE_CHECKING:
    from flatproof.verify.experiments import Experiment
    from flatproof.verify.jobs.store import DamagedRow, Store
    from flatproof.verify.report.artifacts import Artifact
    from flatproof.verify.report.descriptors import Entry
    from flatproof.verify.report.outcomes import Asked, Build


@dataclass
class Rebuilt:
    """What `report --from` came to: artifacts by the build that they are of, the ids that it did not make, by why, and what is damaged."""

    made: "list[tuple[Build, list[Artifact]]]" = field(default_factory=list)
    not_made: dict[str, list[str]] = field(default_factory=dict)
    damaged: dict[Path, str] = field(default_factory=dict)  # a line by the folder of the file

    def without(self, why: str, ids: Sequence[str]) -> None:
        """Note artifacts that were not made."""
        if ids:
            self.not_made.setdefault(why, []).extend(ids)


def built(
    experiment: "Experiment", names: Sequence[str], store: "Store", asked: "Asked"
) -> "tuple[list[Artifact], Build, dict[str, tuple[DamagedRow, list[str]]]]":
    """An experiment's artifacts with what they were built from, and the damaged rows with the artifacts that need them and are left out."""
    from flatproof.verify.experiments import build
    from flatproof.verify.jobs.store import DamagedRow
    from flatproof.verify.realdata import noting_editions
    from flatproof.verify.report.outcomes import Build

    artifacts: list[Artifact] = []
    damaged: dict[str, tuple[DamagedRow, list[str]]] = {}
    with store.noting() as noted, noting_editions() as editions:
        try:
            artifacts = build(experiment, names, asked.scale, asked.seeds, store)
        except DamagedRow:
            for name in names:  # each alone: those that do not need the row can be made
                try:
                    artifacts += build(experiment, [name], asked.scale, asked.seeds, store)
                except DamagedRow as error:
                    damaged.setdefault(error.key, (error, []))[1].append(name)
    ends = frozenset(noted.rows.keys() - noted.curves)
    return artifacts, Build(asked, tuple(store.rows(noted.rows)), {}, editions, noted.readings, ends), damaged


def publish(builds: "Sequence[tuple[Build, Sequence[Artifact]]]", out: Path, force: bool) -> list[str]:
    """Write the outcomes behind what was written below `out`; a line for each file that was damaged and is left alone, or too large."""
    from flatproof.verify.report.outcomes import DamagedOutcomes, OutcomesError, listed
    from flatproof.verify.report.outcomes import publish as written
    from flatproof.verify.report.page import write_page

    lines, linked = list[str](), listed(out)
    for build, artifacts in builds:
        try:
            written(build, artifacts, out, force)
        except OutcomesError as error:
            lines.append(str(error) + "; it is left alone unless --force" * isinstance(error, DamagedOutcomes))
    if listed(out) != linked:
        write_page(out)
    return lines


def rebuild(ids: list[str], scale: str | None, source: Path, out: Path, force: bool, columns: str) -> None:
    """Make the artifacts below `source` again, from the outcomes published there alone.

    Args:
        ids: which; none: all.
        scale: of which scale alone.
        source: a folder of results.
        out: where they go; `source` itself is rewritten in place.
        force: replace, too, what more runs stand behind.
        columns: of LaTeX tables; "brief": those that they were made with.
    """
    from flatproof.verify.experiments import EXPERIMENTS, abouts
    from flatproof.verify.report.descriptors import descriptors, digest, stem
    from flatproof.verify.report.outcomes import published
    from flatproof.verify.report.write import write

    with refusing_bad_input():
        wanted = _wanted(ids, scale)
        files = published(source) if source.is_dir() else []
        if not files:
            raise UserError(f"no outcomes below {source}; expected a folder of results that 'flatproof reproduce' has written")
        entries = descriptors(source)[0]
        before = {_at(e): digest(e) for e in entries if wanted(e["id"], e["provenance"].get("scale", ""))}
        rebuilt, used = Rebuilt(), 0
        for path in files:
            count = len(rebuilt.made)
            _rebuild(path, source, wanted, rebuilt)
            used += any(made for _, made in rebuilt.made[count:])
        artifacts = [artifact for _, made in rebuilt.made for artifact in made]
        check_writable(out)
        kept = [] if force else _keep_fuller(rebuilt, out)
        rebuilt.made = [(_with_columns(build, columns), made) for build, made in rebuilt.made]
        papers = abouts(EXPERIMENTS[id] for id in sorted({a.id.split("/")[0] for _, made in rebuilt.made for a in made}))
        for wanted_columns in sorted({build.asked.columns for build, _ in rebuilt.made}) or ["brief"]:
            group = [a for build, made in rebuilt.made for a in made if build.asked.columns == wanted_columns]
            written = write(group, out, "", papers, wanted_columns)
        damaged = [*rebuilt.damaged.values(), *publish(rebuilt.made, out, force)]
        now = {_at(entry): digest(entry) for entry in descriptors(out)[0]}
    print_tables(artifacts)
    made, named = {_at(artifact) for artifact in artifacts}, {id for ids in rebuilt.not_made.values() for id in ids}
    rest = {_at(e): stem(source, e["id"], e["provenance"]).parent for e in entries if _at(e) in before.keys() - made - named}
    rebuilt.without("their outcomes are damaged", [at for at, folder in rest.items() if folder in rebuilt.damaged])
    rebuilt.without("no outcomes are published", [at for at, folder in rest.items() if folder not in rebuilt.damaged])
    rebuilt.without("more runs stand behind what lies there", kept)
    for why, others in rebuilt.not_made.items():
        say(f"\nleft as they are, {why}: {', '.join(others)}")
    if changed := sorted(at for at in made & {*before} if now.get(at) != before[at] and at not in kept):
        say(f"\nrebuilt, and not as they were published ('flatproof compare' says in what): {', '.join(changed)}")
    say(f"\n{len(artifacts)} tables and figures rebuilt from {used} files of outcomes; see {written[-1]}")
    for line in damaged:
        warn(line)
    if damaged:
        raise typer.Exit(1)


def _keep_fuller(rebuilt: Rebuilt, out: Path) -> list[str]:
    """Take out what would replace an artifact that more runs stand behind; what that is."""
    from flatproof.verify.report.write import poorer

    kept, made = list[str](), []
    for build, artifacts in rebuilt.made:
        losses = poorer(artifacts, out)
        kept += [_at(artifact) for artifact in artifacts if artifact.id in losses]
        made.append((build, [artifact for artifact in artifacts if artifact.id not in losses]))
    rebuilt.made = made
    return kept


def _with_columns(build: "Build", columns: str) -> "Build":
    return build if columns == "brief" else replace(build, asked=build.asked._replace(columns=columns))


def check_alone(seeds: int | None, store: Path, board: Path | None) -> None:
    """UserError for options that mean nothing beside --from."""
    given = [
        name
        for name, there in (("--seeds", seeds is not None), ("--store", store != STORE), ("--tensorboard", board is not None))
        if there
    ]
    if given:
        raise UserError(f"--from takes no {given[0]}: what is published says its own seeds, and no store is read")


def _wanted(ids: list[str], scale: str | None) -> Callable[[str, str], bool]:
    """Whether an artifact is asked for, by its id and scale. ValueError naming what is unknown."""
    from flatproof.verify.experiments import check_scale, select

    named = {id for artifacts in select(ids).values() for id in artifacts} if ids else None
    if scale is not None:
        check_scale(scale)
    return lambda id, at: (named is None or id in named) and (scale is None or at in (scale, ""))


def _at(artifact: "Artifact | Entry") -> str:
    """An artifact as a line names it."""
    id, provenance = (
        (artifact["id"], artifact["provenance"]) if isinstance(artifact, dict) else (artifact.id, artifact.provenance)
    )
    scale = provenance.get("scale", "")
    return id + (f" at scale {scale}" if scale in ("paper", "smoke") else "")


def _rebuild(path: Path, source: Path, wanted: Callable[[str, str], bool], rebuilt: Rebuilt) -> None:
    """Build what a file of outcomes was published for."""
    from flatproof.verify.experiments import EXPERIMENTS
    from flatproof.verify.jobs.store import CutRow, filled
    from flatproof.verify.realdata import assuming_editions
    from flatproof.verify.report.outcomes import DamagedOutcomes, load
    from flatproof.verify.report.write import poorer

    paper = path.relative_to(source).parts[0]
    try:
        builds = load(path)
    except DamagedOutcomes as error:
        rebuilt.damaged[path.parent] = str(error)
        return
    for build in builds:
        names = [id for id in build.artifacts if wanted(id, build.asked.scale)]
        there = {id: _as_noted(path.parent, source, id, build.artifacts[id]) for id in names}
        rebuilt.without("their outcomes are those of another version", [id for id in names if there[id] is False])
        rebuilt.without("their descriptors are damaged", [id for id in names if there[id] is None])
        names = [id for id in names if there[id]]
        if not names:
            continue
        if paper not in EXPERIMENTS:
            rebuilt.without(f"the experiment {paper} is unknown here (name it, as module:object)", names)
            continue
        with (
            TemporaryDirectory() as folder,
            filled(Path(folder) / "outcomes.sqlite", build.rows, build.readings) as store,
            assuming_editions(build.editions),
        ):
            made, new, damaged = built(EXPERIMENTS[paper], names, store, build.asked)
        for row, ids in damaged.values():
            what = "curves" if isinstance(row, CutRow) else "arrays"
            rebuilt.without(f"the {what} that they are made from are too large to be published", ids)
        unmatched = poorer(made, source)  # addresses hold what tells data from any others, which is not known of what is not here
        data = ", or they are on data that are not on this machine ('flatproof data list')" if build.editions else ""
        rebuilt.without(f"this version asks for other runs{data}", sorted(unmatched))
        made = [artifact for artifact in made if artifact.id not in unmatched]
        artifacts = [replace(artifact, provenance={"command": build.asked.command} | artifact.provenance) for artifact in made]
        rebuilt.made.append((replace(new, artifacts=build.artifacts), artifacts))


def _as_noted(folder: Path, source: Path, id: str, noted: str) -> bool | None:
    """Whether the artifact beside a file of outcomes is what it was published for, or there is none; None: its descriptor is damaged."""
    from flatproof.verify.report.descriptors import DamagedDescriptor, descriptor, stem
    from flatproof.verify.report.outcomes import origin

    try:
        entry = descriptor(folder / f"{stem(folder, id, {}).name}.json", source)
    except DamagedDescriptor:
        return None
    return entry is None or origin(entry) == noted
