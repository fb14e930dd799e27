"""Owns the registry of experiments, one module or package a paper or question; a new one is a line in `HERE`.

An installed package adds its own by the entry-point group `flatproof.experiments`: the name is the experiment's ID, the value
"module:object" an `Experiment`. One of a user's own file is named "module:object" wherever an id is (`study` has the usual kind), one of
its artifacts "module:object/table". What comes from outside runs only when it is named.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import cache, cached_property
from importlib import import_module

from flatproof.theory.claims import Claim, registered_by, statements
from flatproof.verify.experiments.vocabulary import SCALES, Experiment, coverage
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.about import About
from flatproof.verify.report.artifacts import Artifact
from flatproof.verify.utils.errors import UserError
from flatproof.verify.utils.ids import whole_id
from flatproof.verify.utils.plugins import addresses, named_object, users_module, users_object

__all__ = ["EXPERIMENTS", "SCALES", "Experiment", "Registry", "abouts", "are_papers", "build", "check_scale", "examine", "select"]

HERE = (  # each has its EXPERIMENT
    "wen2023",
    "readings",
    "scaling",
    "minimizers",
    "tuning",
    "selection",
    "keskar2017",
    "kaur2023",
    "andriushchenko2023",
    "imagenet",
    "certified",
    "atlas",
    "beyond",
    "curvature",
)
GROUP = "flatproof.experiments"


class Registry(Mapping[str, Experiment]):
    """Experiments by ID, those of the project first; each is imported when it is first asked for."""

    def __init__(self) -> None:
        self._loaded: dict[str, Experiment] = {}
        self._adopted: list[str] = []

    @cached_property
    def outside(self) -> dict[str, str]:
        """The addresses of what installed packages add. Errors: UserError for an ID that is the project's."""
        added = addresses(GROUP)
        if taken := sorted({*added} & {*HERE}):
            raise UserError(f"{_described(taken[0], added[taken[0]])}: the ID is taken; expected another than {', '.join(HERE)}")
        return added

    def __getitem__(self, id: str) -> Experiment:
        if id not in self._loaded:
            if id in HERE:
                self._loaded[id] = import_module(f"{__name__}.{id}").EXPERIMENT
            else:
                self._loaded[id] = _outsider(id, self.outside[id])
        return self._loaded[id]

    def __iter__(self) -> Iterator[str]:
        return iter([*HERE, *self.outside, *self._adopted])

    def __len__(self) -> int:
        return len(HERE) + len(self.outside) + len(self._adopted)

    def adopt(self, address: str) -> Experiment:
        """The experiment of a user's own file, "module:object", known by its ID from then on.

        Raises:
            ValueError: there is none, or its ID is that of another.
        """
        experiment = users_object(address, "experiment")
        if not isinstance(experiment, Experiment):
            raise ValueError(f"{address} is of the type {type(experiment).__name__}; expected a Study or another Experiment")
        id = experiment.ID
        if strays := [name for name in experiment.ARTIFACTS if not name.startswith(f"{id}/")]:
            raise ValueError(f"{address} has the id {strays[0]!r}; expected one that starts with '{id}/'")
        if id in self and self[id] is not experiment:
            raise ValueError(f"{address} has the ID {id!r}, which is taken; expected another than {', '.join(self)}")
        if id not in self:
            self._loaded[id] = experiment
            self._adopted.append(id)
        return experiment

    def on_request(self, id: str) -> bool:
        """Whether an experiment runs only when it is named."""
        return id not in HERE or self[id].ON_REQUEST


def _described(id: str, address: str) -> str:
    return f"experiment {id} = {address} of the entry points {GROUP}"


def _outsider(id: str, address: str) -> Experiment:
    """What an entry point names. Errors: UserError, naming the entry point, if that is no experiment of its ID."""
    entry = _described(id, address)
    try:
        experiment = named_object(address)
    except Exception as error:  # another's code: whatever it raises, the line names the entry point
        raise UserError(f"{entry} cannot be loaded: {type(error).__name__}: {error}; expected 'module:object'") from error
    if not isinstance(experiment, Experiment):
        raise UserError(f"{entry} is of the type {type(experiment).__name__}; expected an Experiment")
    if strays := [name for name in (f"{experiment.ID}/", *experiment.ARTIFACTS) if not name.startswith(f"{id}/")]:
        raise UserError(f"{entry} has the id {strays[0]!r}; expected one that starts with '{id}/'")
    return experiment


EXPERIMENTS = Registry()


def select(ids: Sequence[str]) -> dict[str, list[str]]:
    """The artifacts that ids name, by experiment.

    Args:
        ids: an experiment's ID stands for all of its artifacts, "paper/figure-5" for 5a and 5b, the end of an id for the whole where no
            other ends so, "module:object" for an experiment of the user's own; none for everything but what runs only on request.

    Raises:
        ValueError: naming the unknown id and the known ones, or the ids that end so.
    """
    wanted = list(ids) or [id for id in EXPERIMENTS if not EXPERIMENTS.on_request(id)]
    chosen: dict[str, list[str]] = {}
    for name in map(_by_id, wanted):
        paper = name.split("/")[0]
        known = EXPERIMENTS[paper].ARTIFACTS if paper in EXPERIMENTS else ()
        named = known if name == paper else tuple(id for id in known if id == name or _panel(id, name))
        if not named:
            everything = (
                [*EXPERIMENTS, *known] if known else [name for id, e in EXPERIMENTS.items() for name in (id, *e.ARTIFACTS)]
            )
            near = get_close_matches(name, everything, n=4, cutoff=0.4) or list(EXPERIMENTS)[:4]
            raise ValueError(f"unknown id {name!r}; expected one such as {', '.join(near)}; 'flatproof ids' lists all")
        chosen.setdefault(paper, []).extend(id for id in named if id not in chosen.get(paper, []))
    return chosen


def _by_id(name: str) -> str:
    """The id of what is named: "module:object" is adopted, the end of an id stands for the whole."""
    module, colon, rest = name.rpartition(":")
    if not colon and name.split("/")[0] in EXPERIMENTS:
        return name
    if not colon:
        known = [id for experiment in EXPERIMENTS.values() for id in experiment.ARTIFACTS]
        return whole_id(name, [*known, *(id[:-1] for id in known if _panel(id, id[:-1]))])
    attribute, slash, part = rest.partition("/")
    return EXPERIMENTS.adopt(f"{module}:{attribute}").ID + slash + part


def _panel(id: str, figure: str) -> bool:
    """Whether an id is that of a figure's panel: 5a of 5."""
    return figure[-1:].isdigit() and id[:-1] == figure and id[-1].isalpha()


def build(experiment: Experiment, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
    """Artifacts from the store alone, each with its scale and with how much is stored of its rows.

    An artifact without rows of its own is of no scale, except that at 'smoke' everything is.

    Args:
        experiment: whose they are.
        only: their ids.
        scale: one of SCALES.
        seeds: how many are asked for.
        store: what they are made from.
    """
    made, keys = [], store.keys()
    for artifact in experiment.build(only, scale, seeds, store):
        rows = coverage(experiment.grid([artifact.id], scale, seeds), keys)
        own = {"scale": scale} if rows or scale == "smoke" else {}
        made.append(replace(artifact, provenance=own | artifact.provenance, coverage=artifact.coverage or rows))
    return made


def abouts(chosen: Iterable[Experiment]) -> dict[str, About]:
    """What the pages say of experiments, by ID, each with its place in the registry."""
    places = {id: place for place, id in enumerate(EXPERIMENTS)}
    return {e.ID: replace(e.ABOUT, place=places[e.ID]) if e.ID in places else e.ABOUT for e in chosen}


def examine(ids: Sequence[str], store: Store | None) -> Iterator[Claim]:
    """The ledger: statements of `theory.claims` and the papers' empirical claims, examined as they are asked for.

    Args:
        ids: of the statements or their ends where no other id ends so, none for all. A paper's name stands for all of its statements,
            "module:object" for those that a function of the user's own examines, or those of an experiment, "module:" for all that
            importing a module registers.
        store: where the runs are that empirical claims are judged by; None: they stay open.

    Raises:
        ValueError: naming an unknown id and those that resemble it, or the ids that end so.
    """
    ids = [id for name in ids for id in _claims_of(name)]
    if ids:
        every = _all_claims()
        ids = [id for name in ids for id in ([c for c in every if c.startswith(f"{name}/")] or [whole_id(name, every)])]
    known: dict[str, Callable[[], Claim]] = {id: statement.claim for id, statement in statements().items()}
    for experiment in EXPERIMENTS.values():
        known |= _of_paper(experiment, ids, store)
    for id in ids:
        if id not in known:
            near = get_close_matches(id, known, n=3, cutoff=0.3) or list(known)[:3]
            raise ValueError(f"unknown statement {id!r}; expected an id of the ledger, such as {', '.join(near)}")
    return (known[id]() for id in (ids or known))


def are_papers(names: Sequence[str]) -> bool:
    """Whether each name is that of a paper in the ledger, and so stands for all of its statements."""
    return {*names} <= {id.split("/")[0] for id in _all_claims()}


def _all_claims() -> list[str]:
    """The ids of all statements and of the papers' empirical claims."""
    return [*statements(), *(id for experiment in EXPERIMENTS.values() for id in experiment.claim_ids())]


def _claims_of(name: str) -> list[str]:
    """The ids that a name stands for. Errors: ValueError for something of a user's own that registers no statement."""
    if ":" not in name:
        return [name]
    if name.endswith(":"):
        before = {*statements()}
        module = users_module(name[:-1], "claims")
        added = [id for id in statements() if id not in before or statements()[id].examine.__module__ == module.__name__]
    else:
        named = users_object(name, "claims")
        added = EXPERIMENTS.adopt(name).claim_ids() if isinstance(named, Experiment) else registered_by(named)
    if not added:
        raise ValueError(f"{name} registers no statement; expected functions with @claim or an Experiment with PUBLISHED")
    return added


def _of_paper(experiment: Experiment, ids: Sequence[str], store: Store | None) -> dict[str, Callable[[], Claim]]:
    """A paper's empirical claims; those among `ids` (all if empty) are judged together, when the first of them is asked for."""

    @cache
    def judged() -> dict[str, Claim]:
        own = [id for id in experiment.claim_ids() if not ids or id in ids]
        return {claim.id: claim for claim in experiment.claims(own, store)}

    return {id: lambda id=id: judged()[id] for id in experiment.claim_ids()}  # type: ignore[misc]


def check_scale(scale: str) -> str:
    """The scale itself; ValueError naming the known ones otherwise."""
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}, got {scale!r}")
    return scale
