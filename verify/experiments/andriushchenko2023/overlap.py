"""Owns lexical-overlap templates of our own: pairs without a word in the hypothesis that the premise lacks, labelled by their form.

After the idea of HANS (a model that counts shared words answers "entailed" to all of them); vocabulary, templates and sampling are ours.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from flatproof.verify.realdata.pairs import Pair

PEOPLE = (
    *("artist", "baker", "banker", "dancer", "doctor", "driver", "farmer", "judge", "lawyer", "manager", "nurse", "pilot"),
    *("player", "sailor", "singer", "soldier", "student", "teacher", "tourist", "writer"),
)
# Regular verbs, so that the past is the participle too, and none that holds both ways round (who meets a doctor is met by the doctor).
VERBS = (
    "admired",
    "advised",
    "amused",
    "avoided",
    "blamed",
    "followed",
    "helped",
    "ignored",
    "mentioned",
    "paid",
    "thanked",
    "warned",
)
PLACES = ("near", "behind", "beside", "opposite")
ENTAILED, NOT_ENTAILED = 0, 1  # as the labels of HANS


class Words(NamedTuple):
    """What a template is filled with: three people, two verbs, a preposition; all different."""

    a: str
    b: str
    c: str
    verb: str
    other: str
    place: str


class Template(NamedTuple):
    """A form of pairs: its name, whether the premise entails the hypothesis, and both texts."""

    name: str
    label: int
    premise: Callable[[Words], str]
    hypothesis: Callable[[Words], str]


def _active(w: Words) -> str:
    return f"The {w.a} {w.verb} the {w.b}."


def _passive(w: Words) -> str:
    return f"The {w.b} was {w.verb} by the {w.a}."


def _beside(w: Words) -> str:
    return f"The {w.a} {w.place} the {w.c} {w.verb} the {w.b}."


def _relative(w: Words) -> str:
    return f"The {w.a} who the {w.c} {w.other} {w.verb} the {w.b}."


def _two_subjects(w: Words) -> str:
    return f"The {w.a} and the {w.c} {w.verb} the {w.b}."


def _two_objects(w: Words) -> str:
    return f"The {w.a} {w.verb} the {w.b} and the {w.c}."


TEMPLATES = (
    Template("passive", ENTAILED, _passive, _active),
    Template("prepositional phrase", ENTAILED, _beside, _active),
    Template("relative clause", ENTAILED, _relative, _active),
    Template("two subjects", ENTAILED, _two_subjects, _active),
    Template("two objects", ENTAILED, _two_objects, lambda w: f"The {w.a} {w.verb} the {w.c}."),
    Template("swap", NOT_ENTAILED, _active, lambda w: f"The {w.b} {w.verb} the {w.a}."),
    Template("passive, swap", NOT_ENTAILED, _passive, lambda w: f"The {w.b} {w.verb} the {w.a}."),
    Template("prepositional phrase, its noun", NOT_ENTAILED, _beside, lambda w: f"The {w.c} {w.verb} the {w.b}."),
    Template("relative clause, its noun", NOT_ENTAILED, _relative, lambda w: f"The {w.c} {w.verb} the {w.b}."),
    Template("two subjects, one by the other", NOT_ENTAILED, _two_subjects, lambda w: f"The {w.a} {w.verb} the {w.c}."),
)


def overlap_pairs(count: int, seed: int = 2023) -> list[Pair]:
    """Pairs of every template, no pair twice.

    Args:
        count: pairs a template.
        seed: of the words.

    Returns:
        As many pairs of each template, in the order of TEMPLATES; `subset` is the template's name.

    Raises:
        ValueError: for more than a template has.
    """
    most = len(PEOPLE) * (len(PEOPLE) - 1) * len(VERBS) // 2  # half of what the smallest template has: drawing ends soon
    if not 1 <= count <= most:
        raise ValueError(f"count must be from 1 to {most}, got {count}")
    stream = np.random.default_rng([seed, 16])
    pairs = []
    for template in TEMPLATES:
        drawn: dict[tuple[str, str], None] = {}
        while len(drawn) < count:
            a, b, c = (PEOPLE[i] for i in stream.choice(len(PEOPLE), 3, replace=False))
            verb, other = (VERBS[i] for i in stream.choice(len(VERBS), 2, replace=False))
            filled = Words(a, b, c, verb, other, PLACES[stream.integers(len(PLACES))])
            drawn[template.premise(filled), template.hypothesis(filled)] = None
        pairs += [Pair(premise, hypothesis, template.label, template.name) for premise, hypothesis in drawn]
    return pairs


def vocabulary() -> list[str]:
    """The words of all templates and BERT's special pieces: a vocabulary for a network without a pretrained one."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return [*special, "the", "was", "by", "and", "who", ".", *PLACES, *PEOPLE, *VERBS]
