"""Labelled pairs of sentences in their official formats, whole and damaged."""

import json
from pathlib import Path

import pytest

from flatproof.verify.realdata.files import put
from flatproof.verify.realdata.pairs import Pair, load_pairs, pairs_available, pairs_edition
from flatproof.verify.realdata.samples import Damaged, NotAvailable

PARSE = "( ( The man ) sleeps )"
MNLI_ROWS = [
    {"gold_label": "neutral", "sentence1": "A man sleeps.", "sentence2": 'He said "no".', "genre": "fiction", "pairID": "1n"},
    {"gold_label": "-", "sentence1": "A man sleeps.", "sentence2": "He is well.", "genre": "fiction", "pairID": "2"},
    {"gold_label": "contradiction", "sentence1": "Une fête.", "sentence2": "No party.", "genre": "travel", "pairID": "3c"},
]
PARSES = [f"sentence{i}_{kind}parse" for kind in ("binary_", "") for i in (1, 2)]
GLUE_HEADER = ["index", "promptID", "pairID", "genre", *PARSES, "sentence1", "sentence2", "label1", "gold_label"]
SICK = (
    "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"
    "1\tA man is asleep\tA man sleeps\t4.9\tENTAILMENT\r\n"
    "2\tA man is asleep\tNo man sleeps\t3.9\tCONTRADICTION\n"
)
HANS = (
    "gold_label\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse\tsentence1\tsentence2\tpairID\t"
    "heuristic\tsubcase\ttemplate\n"
    f"non-entailment\t{PARSE}\t{PARSE}\t{PARSE}\t{PARSE}\tThe judge paid the pilot .\tThe pilot paid the judge .\tex0\t"
    "lexical_overlap\tln_subject/object_swap\ttemp1\n"
)


def glue() -> str:
    cells = ["0", "7", "7n", "fiction", *[PARSE] * 4, "A man sleeps.", 'He said "no".', "neutral", "neutral"]
    return "\n".join("\t".join(row) for row in (GLUE_HEADER, cells)) + "\n"


def test_multinli_as_released(tmp_path: Path) -> None:
    put(tmp_path / "MNLI/multinli_1.0_train.jsonl", "\n".join(json.dumps(row) for row in MNLI_ROWS).encode())
    found = load_pairs("mnli", root=tmp_path)
    assert found.pairs == (
        Pair("A man sleeps.", 'He said "no".', 1, "fiction"),
        Pair("Une fête.", "No party.", 2, "travel"),
    )
    assert found.labels.tolist() == [1, 2]
    assert load_pairs("mnli", limit=1, root=tmp_path).pairs == found.pairs[:1]
    assert pairs_edition("mnli", "train", tmp_path) == found.checksum


def test_the_other_formats(tmp_path: Path) -> None:
    put(tmp_path / "MNLI/dev_matched.tsv", glue().encode())
    put(tmp_path / "SICK/SICK_train.txt", SICK.encode())
    put(tmp_path / "HANS/heuristics_evaluation_set.txt", HANS.encode())
    assert load_pairs("mnli", "test", root=tmp_path).pairs == (Pair("A man sleeps.", 'He said "no".', 1, "fiction"),)
    assert [pair.label for pair in load_pairs("sick", root=tmp_path).pairs] == [0, 2]
    assert load_pairs("hans", "test", root=tmp_path).pairs == (
        Pair("The judge paid the pilot .", "The pilot paid the judge .", 1, "lexical_overlap"),
    )


def test_what_is_not_there(tmp_path: Path) -> None:
    assert not pairs_available("sick", root=tmp_path)
    with pytest.raises(NotAvailable, match=r"sick, test: looked for .*SICK_test_annotated.txt; put the published file there"):
        load_pairs("sick", "test", root=tmp_path)
    with pytest.raises(ValueError, match="hans has no train split; expected test"):
        load_pairs("hans", root=tmp_path)
    with pytest.raises(ValueError, match="pairs must be one of mnli, sick, hans, got 'snli'"):
        load_pairs("snli", root=tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (SICK.replace("ENTAILMENT\r", "MAYBE\r"), "line 2: entailment_judgment is 'MAYBE', expected one of ENTAILMENT"),
        (SICK[:-20], "line 3 has 3 columns, expected 5"),
        (SICK.replace("A man sleeps", ""), "line 2: sentence_B is '', expected a sentence"),
        (SICK.replace("sentence_A", "premise"), "no column sentence_A; its first line names pair_ID, premise"),
        (SICK[: SICK.index("1\tA")], "holds no labelled pair"),
        ("", "no column sentence_A; its first line names nothing"),
    ],
)
def test_damaged_tables_say_where(tmp_path: Path, content: str, words: str) -> None:
    put(tmp_path / "SICK/SICK_train.txt", content.encode())
    with pytest.raises(Damaged, match=words) as raised:
        load_pairs("sick", root=tmp_path)
    assert "\n" not in str(raised.value)
    assert "SICK_train.txt" in str(raised.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (json.dumps(MNLI_ROWS[0])[:-5].encode(), "line 1 is not JSON"),
        (b"[1]", "line 1 is list; expected an object"),
        (json.dumps({**MNLI_ROWS[0], "sentence2": None}).encode(), "line 1: sentence2 is None, expected a sentence"),
        (b"\xff\xfe", "byte 0 is not UTF-8"),
        (json.dumps({"sentence1": "a"}).encode(), "line 1: gold_label is None"),
    ],
)
def test_damaged_lines_say_where(tmp_path: Path, content: bytes, words: str) -> None:
    put(tmp_path / "MNLI/multinli_1.0_train.jsonl", content)
    with pytest.raises(Damaged, match=words):
        load_pairs("mnli", root=tmp_path)
