"""The end of an id in place of the whole."""

import pytest

from flatproof.verify.experiments import examine, select
from flatproof.verify.utils.ids import whole_id

IDS = ["a/theorem-3.2", "a/lemma-A.5", "b/theorem-13.2", "b/table-1", "a/table-1", "c/1", "table-9"]


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("a/theorem-3.2", "a/theorem-3.2"),
        ("theorem-3.2", "a/theorem-3.2"),
        ("Theorem-3.2", "a/theorem-3.2"),
        ("3.2", "a/theorem-3.2"),
        ("a.5", "a/lemma-A.5"),
        ("c/1", "c/1"),
        ("1", "c/1"),
        ("table-9", "table-9"),
        ("eorem-3.2", "eorem-3.2"),
        ("2", "2"),
        ("", ""),
    ],
)
def test_unique_ends(name: str, id: str) -> None:
    assert whole_id(name, IDS) == id


def test_an_end_of_several_names_them() -> None:
    with pytest.raises(ValueError, match=r"'table-1' is the end of several ids; expected one of: b/table-1, a/table-1$"):
        whole_id("table-1", IDS)


def test_artifacts_and_statements_by_their_ends() -> None:
    assert select(["figure-9b"]) == {"wen2023": ["wen2023/figure-9b"]}
    assert select(["figure-10"]) == {"wen2023": ["wen2023/figure-10a", "wen2023/figure-10b"]}
    with pytest.raises(ValueError, match="'table-1' is the end of several ids"):
        select(["table-1"])
    assert [claim.id for claim in examine(["theorem-3.2"], None)] == ["wen2023/theorem-3.2"]
