"""`flatproof reproduce` and `report`: what they refuse."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["reproduce", "--only", "wen2024"], "unknown id 'wen2024'; expected one such as wen2023"),
        (["reproduce", "wen2023/figure-0"], "unknown id 'wen2023/figure-0'"),
        (["reproduce", "--scale", "huge"], "scale must be one of smoke, quick, paper, got 'huge'"),
        (["reproduce", "--seeds", "0"], "--seeds must be a whole number of at least 1, got 0"),
        (["reproduce", "--seeds", "many"], "Invalid value for '--seeds'"),
        (["reproduce", "--workers", "-2"], "--workers must be a whole number of at least 1, got -2"),
        (["reproduce", "--workers", "0"], "--workers must be a whole number of at least 1, got 0"),
        (["reproduce", "--out", "/proc/nowhere"], "cannot use /proc/nowhere"),
        (["reproduce", "--data-root", "nowhere"], "--data-root must be a folder, nowhere is none"),
        (["reproduce", "--store", "text.txt"], "store text.txt is not a flatproof store"),
        (["reproduce", "--store", "newer.sqlite"], "has format 99, this version reads format"),
        (["reproduce", "--seeds", "100000000"], "--seeds must be a whole number of at most 100000"),
        (["report", "--store", "absent.sqlite"], "store absent.sqlite does not exist"),
        (["report", "--store", "damaged.sqlite"], "store damaged.sqlite is damaged: no such table: runs"),
    ],
)
def test_bad_input_is_one_line(refusal: Callable[[list[str]], str], arguments: list[str], words: str) -> None:
    assert words in refusal(arguments)


def test_only_takes_several_ids(refusal: Callable[[list[str]], str]) -> None:
    assert "unknown id 'wen2024'" in refusal(["reproduce", "--only", "wen2023/figure-1a", "wen2024"])


def test_all_ids_are_listed_and_an_unknown_one_names_the_closest(
    command: Callable[..., Any], refusal: Callable[[list[str]], str]
) -> None:
    listed = command("ids").out.splitlines()
    assert {"wen2023", "wen2023/table-1", "keskar2017/claims"} <= {*listed}
    assert command("ids", "wen2023").out.splitlines() == [id for id in listed if id.split("/")[0] == "wen2023"]
    line = refusal(["reproduce", "keskar2017/claim"])
    assert "unknown id 'keskar2017/claim'; expected one such as keskar2017/claims" in line
    assert line.endswith("; 'flatproof ids' lists all\n")
    assert len(line) < 250
