"""Owns labelled pairs of sentences in their official formats, read from the user's folder.

    root/MNLI/multinli_1.0_train.jsonl, multinli_1.0_dev_matched.jsonl     the release of MultiNLI 1.0
    root/MNLI/train.tsv, dev_matched.tsv                                   the same pairs as GLUE has them
    root/SICK/SICK_train.txt, SICK_test_annotated.txt                      SemEval 2014, task 1
    root/HANS/heuristics_evaluation_set.txt                                HANS; test only

Labels are the places in `CLASSES`; HANS, which knows entailment alone, has 0 for it and 1 for everything else. A pair of MultiNLI on which
its annotators did not agree (label "-") is left out, as its authors do. None of these files has a published checksum that is verified.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flatproof.verify.realdata.files import data_root, digest
from flatproof.verify.realdata.samples import Content, Damaged, NotAvailable, Split, check_limit

CLASSES = ("entailment", "neutral", "contradiction")
LABELS = {name: i for i, name in enumerate(CLASSES)}
HANS_LABELS = {"entailment": 0, "non-entailment": 1}
UNDECIDED = "-"


class Pair(NamedTuple):
    """Premise, hypothesis, label, and the subset that a set of its own divides pairs into ("" where it does not)."""

    premise: str
    hypothesis: str
    label: int
    subset: str = ""


@dataclass(frozen=True)
class Pairs:
    """Pairs of a split: where they come from, and a checksum of the file."""

    pairs: tuple[Pair, ...]
    source: str
    checksum: str

    @property
    def labels(self) -> NDArray[np.int64]:
        """Labels (n,)."""
        return np.array([pair.label for pair in self.pairs], dtype=np.int64)


class Form(NamedTuple):
    """A file's columns: premise, hypothesis, label, the subset ("" for none), and how labels are written."""

    premise: str
    hypothesis: str
    label: str
    subset: str
    labels: Mapping[str, int]


MNLI = Form("sentence1", "sentence2", "gold_label", "genre", LABELS)
SICK = Form("sentence_A", "sentence_B", "entailment_judgment", "", {name.upper(): i for name, i in LABELS.items()})
HANS = Form("sentence1", "sentence2", "gold_label", "heuristic", HANS_LABELS)
PLACES: Mapping[str, Mapping[Split, tuple[tuple[str, Form], ...]]] = {  # the first file that is there is read
    "mnli": {
        "train": (("MNLI/multinli_1.0_train.jsonl", MNLI), ("MNLI/train.tsv", MNLI)),
        "test": (("MNLI/multinli_1.0_dev_matched.jsonl", MNLI), ("MNLI/dev_matched.tsv", MNLI)),
    },
    "sick": {"train": (("SICK/SICK_train.txt", SICK),), "test": (("SICK/SICK_test_annotated.txt", SICK),)},
    "hans": {"test": (("HANS/heuristics_evaluation_set.txt", HANS),)},
}


def load_pairs(name: str, split: Split = "train", limit: int | None = None, root: str | Path | None = None) -> Pairs:
    """A split of a set of labelled pairs.

    Args:
        name: mnli, sick or hans.
        split: train or test; of MNLI the matched development set is the test set.
        limit: the first so many pairs; all for None.
        root: the folder of all data; default $FLATPROOF_DATA or ~/.cache/flatproof.

    Raises:
        NotAvailable: without the file.
        Damaged: for one of another format, or cut short.
        ValueError: for an argument.
    """
    path, form = _place(name, split, data_root(root))
    content = Content(str(path), path.read_bytes())
    pairs = tuple(_jsonl(content, form) if path.suffix == ".jsonl" else _table(content, form))
    if not pairs:
        raise Damaged(f"{path} holds no labelled pair, expected some")
    check_limit(limit, len(pairs))
    return Pairs(pairs[:limit], f"{name}, {split}: {path}", digest(content.data))


def pairs_available(name: str, split: Split = "train", root: str | Path | None = None) -> bool:
    """Whether the file of a split is there, whole or not. Raises ValueError for an unknown name or split."""
    try:
        _place(name, split, data_root(root))
    except NotAvailable:
        return False
    return True


def pairs_edition(name: str, split: Split, root: str | Path | None = None) -> str:
    """A checksum of a split's file. Raises NotAvailable."""
    return digest(_place(name, split, data_root(root))[0].read_bytes())


def _place(name: str, split: Split, root: Path) -> tuple[Path, Form]:
    if name not in PLACES:
        raise ValueError(f"pairs must be one of {', '.join(PLACES)}, got {name!r}")
    if split not in PLACES[name]:
        raise ValueError(f"{name} has no {split} split; expected {', '.join(PLACES[name])}")
    places = PLACES[name][split]
    found = next(((root / path, form) for path, form in places if (root / path).is_file()), None)
    if found is None:
        expected = " or ".join(str(root / path) for path, _ in places)
        raise NotAvailable(f"{name}, {split}: looked for {expected}; put the published file there")
    return found


def _text(content: Content) -> str:
    try:
        return content.data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Damaged(f"{content.path} is not a text file: byte {error.start} is not UTF-8") from None


def _jsonl(content: Content, form: Form) -> Iterator[Pair]:
    """A pair a line, each an object of JSON."""
    for number, line in enumerate(_text(content).splitlines(), 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            raise Damaged(f"{content.path}, line {number} is not JSON; expected an object a line") from None
        if not isinstance(row, dict):
            raise Damaged(f"{content.path}, line {number} is {type(row).__name__}; expected an object")
        yield from _pair(row, form, f"{content.path}, line {number}")


def _table(content: Content, form: Form) -> Iterator[Pair]:
    """A pair a line, its columns separated by tabs and named in the first line; quotation marks are part of the text."""
    rows = csv.reader(io.StringIO(_text(content), newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    header: Sequence[str] = next(rows, [])
    absent = [name for name in (form.premise, form.hypothesis, form.label) if name not in header]
    if absent:
        raise Damaged(f"{content.path} has no column {absent[0]}; its first line names {', '.join(header)[:200] or 'nothing'}")
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise Damaged(f"{content.path}, line {number} has {len(row)} columns, expected {len(header)}")
        yield from _pair(dict(zip(header, row, strict=True)), form, f"{content.path}, line {number}")


def _pair(row: Mapping[str, object], form: Form, at: str) -> Iterator[Pair]:
    """The pair of a row; nothing for one that annotators did not agree on."""
    premise, hypothesis, label = (row.get(name) for name in (form.premise, form.hypothesis, form.label))
    if label == UNDECIDED:
        return
    if label not in form.labels:
        raise Damaged(f"{at}: {form.label} is {label!r}, expected one of {', '.join(form.labels)}")
    for name, text in ((form.premise, premise), (form.hypothesis, hypothesis)):
        if not isinstance(text, str) or not text.strip():
            raise Damaged(f"{at}: {name} is {text!r}, expected a sentence")
    yield Pair(str(premise), str(hypothesis), form.labels[str(label)], str(row.get(form.subset, "")))
