"""`flatproof train`: what it refuses, what it prints."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--architecture", "mlp"], "architecture must be one of no-bias, bias, sim-bn, sim-ln, got 'mlp'"),
        (["train", "--architecture", "bias", "--smoothing", "0.7"], "smoothing must be a number above 0 and below 0.5"),
        (["train", "--architecture", "sim-bn", "--activation", "softplus"], "'softplus' is for 'no-bias' and 'bias'"),
        (["train", "--architecture", "bias", "--depth", "4"], "depth must be 2 or 3, got 4"),
        (["train", "--architecture", "bias", "--smoothing", "0.2", "--data", "good.csv"], "entry 0 is 3; expected 'mse'"),
        (["train", "--architecture", "bias", "--n", "0"], "n must be a whole number of at least 1, got 0"),
        (["train", "--architecture", "bias", "--d", "-1"], "d must be a whole number of at least 1, got -1"),
        (["train", "--architecture", "bias", "--width", "0"], "width must be a whole number of at least 1, got 0"),
        (["train", "--architecture", "bias", "--seed", "-1"], "seed must be a whole number of at least 0"),
        (["train", "--architecture", "bias", "--lr", "nan"], "lr must be a finite number above 0"),
        (["train", "--architecture", "bias", "--data", "nan.csv"], "nan.csv, line 4, column 1 must be a finite number"),
        (
            ["train", "--architecture", "bias", "--data", "ragged.csv"],
            "ragged.csv, line 2 must hold 3 numbers like the first row, got 4",
        ),
        (
            ["train", "--architecture", "bias", "--data", "one.csv"],
            "one.csv, line 1 must hold at least two numbers, the label last",
        ),
        (
            ["train", "--architecture", "bias", "--data", "first_nan.csv"],
            "first_nan.csv, line 1, column 1 must be a finite number",
        ),
        (["train", "--architecture", "bias", "--data", "packed.gz"], "packed.gz is not a text table"),
        (
            ["train", "--architecture", "bias", "--data", "huge.csv"],
            "error: huge.csv, line 1 holds 1e+200; expected numbers of a size up to 1e+18, whose squares float32 holds\n",
        ),
        (
            ["train", "--architecture", "bias", "--data", "huge.csv", "--dtype", "float64"],
            "error: huge.csv, line 1 holds 1e+200; expected numbers of a size up to 1e+150, whose squares float64 holds\n",
        ),
        (
            ["train", "--architecture", "bias", "--data", "good.csv", "--test", "large.csv"],
            "error: large.csv, line 2 holds -2e+19; expected numbers of a size up to 1e+18, whose squares float32 holds\n",
        ),
        (
            ["train", "--architecture", "bias", "--epochs", "1000000000000000000000000000000"],
            "epochs must be a whole number of at most",
        ),
        (["train", "--architecture", "bias", "--data", "absent.csv"], "absent.csv"),
        (["train", "--architecture", "bias", "--data", "good.csv", "--test", "wide.csv"], "wide.csv must have 3 columns"),
        (["train", "--architecture", "bias", "--test", "good.csv"], "--test needs --data"),
        (
            ["train", "--architecture", "bias", "--data", "good.csv", "--d", "7"],
            "--d is of the parity data; expected --data or it",
        ),
        (
            ["train", "--architecture", "bias", "--data", "good.csv", "--n", "9"],
            "--n is of the parity data; expected --data or it",
        ),
        (["train", "--architecture", "bias", "--labels", "classes"], "--labels says what the labels of --data are"),
        (["train", "--architecture", "bias", "--data", "codes.csv"], "y holds 0 and 1, which look like codes of classes"),
        (["train", "--architecture", "bias", "--data", "codes.csv", "--labels", "sign"], "labels must be auto, classes or real"),
        (
            ["train", "--architecture", "bias", "--data", "signs.csv", "--test", "codes.csv"],
            "test_y must hold nothing but -1 and 1",
        ),
        (["train"], "Missing option"),
    ],
)
def test_bad_input_is_one_line(refusal: Callable[[list[str]], str], arguments: list[str], words: str) -> None:
    assert words in refusal(arguments)


def test_train_on_own_points(command: Callable[..., Any], tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((20, 3))
    frame = pd.DataFrame(np.column_stack([x, np.sign(x[:, 0])]), columns=["a", "b", "c", "label"])
    frame.to_csv(tmp_path / "mine.csv", index=False)
    done = command("train", "--architecture", "bias", "--data", "mine.csv", "--test", "mine.csv", "--epochs", "200", "--json")
    assert done.status == 0, done.err
    printed = json.loads(done.out)
    assert printed["status"] == "finished"
    assert printed["curve"]["test_accuracy"][-1] > 0.9
    alone = command("train", "--architecture", "bias", "--data", "mine.csv", "--epochs", "5")
    assert alone.status == 0, alone.err
    assert "test" not in alone.out  # no test set, no test error
    frame["label"] = (frame["label"] + 1) / 2
    frame.to_csv(tmp_path / "codes.csv", index=False)
    arguments = ["--data", "codes.csv", "--test", "codes.csv", "--epochs", "200", "--json"]
    for labels, curve in (("classes", printed["curve"]), ("real", None)):
        made = command("train", "--architecture", "bias", *arguments, "--labels", labels)
        assert made.status == 0, made.err
        found = json.loads(made.out)
        assert ("test_accuracy" in found["curve"]) == (curve is not None)
        assert curve in (None, found["curve"])
    text = command("train", "--architecture", "sim-ln", "--d", "4", "--n", "8", "--width", "8", "--epochs", "5")
    assert "lower bound" in text.out
    soft = ("train", "--architecture", "bias", "--activation", "softplus", "--smoothing", "0.2", "--d", "4", "--epochs", "2")
    assert json.loads(command(*soft, "--json").out)["lower_bound"] is None
    assert "lower bound –" in command(*soft).out


def test_a_run_that_diverges_ends_with_a_line_and_status_1(command: Callable[..., Any]) -> None:
    diverging = ("train", "--architecture", "no-bias", "--d", "4", "--n", "8", "--width", "8", "--epochs", "50", "--lr", "1e3")
    done = command(*diverging)
    assert done.status == 1
    assert done.err.startswith("error: training diverged in step ")
    assert done.err.count("\n") == 1
    told = command(*diverging, "--json")
    assert told.status == 1
    assert json.loads(told.out)["status"] == "diverged"
