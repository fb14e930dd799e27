"""Owns the scenario of odd command lines: every command with random options, valid and invalid mixed."""

import random
import resource
from collections.abc import Sequence
from pathlib import Path

from tests.torture.commands import forked, lines_at_fault
from tests.torture.scenario import Scenario

WORDS = (
    *("", " ", "-", "--", "ü/β", "\u2028", "a\nb", "\t", "~", "*", "%s%n", "[red]bold[/red]", "'; DROP TABLE jobs; --"),
    *("𝔸" * 40, "x" * 5000),
)
NUMBERS = (
    *("0", "-1", "-0", "1", "2", "3", "1.5", "1e3", "0x10", "１２", "", "two", "9" * 30, "-" + "9" * 30),
    *("nan", "inf", "-inf", "1e-320", "1e309"),
)
PATHS = (
    "",
    ".",
    "..",
    "/",
    "/dev/null",
    "/proc/self/mem",
    "absent",
    "folder",
    "points.csv",
    "points.csv/under",
    "empty.csv",
    "binary.csv",
    "unreadable",
    "loop",
    "ü β/γ.csv",
    "x" * 300,
    "a" * 250 + "/b",
    "two\nlines",
    "-leading",
    "\udcff",
)
NUL = "a\0b"  # no shell can give it; a program that calls `main` can
ARCHITECTURES = ("no-bias", "bias", "sim-bn", "sim-ln", "BIAS", "mlp", "")
MODELS = ("os:getcwd", "absent:make", "a.b.c", ":", "", "json:loads", "points.csv")
IDS = ("wen2023/figure-6a", "wen2023/table-1", "wen2023/table-99", "nobody2020", "wen2023/", "/", "theorem-3.1", "../..")

# of each command: the arguments it may be given, and the values that its options take; small ones where they are valid
SMALL = ("1", "2", "3", "5")
COMMANDS: dict[tuple[str, ...], tuple[Sequence[str], dict[str, Sequence[str] | None]]] = {
    ("reproduce",): (
        IDS,
        {
            "--only": IDS,
            "--scale": ("smoke", "smoke", "SMOKE", "huge"),
            "--seeds": ("1", "2", *NUMBERS[:3], *NUMBERS[6:]),
            "--workers": ("1", "0", "-1", "1.5", ""),
            "--store": PATHS,
            "--out": PATHS,
            "--tensorboard": PATHS,
            "--data-root": PATHS,
            "--force": None,
        },
    ),
    ("report",): (
        IDS,
        {"--scale": ("smoke", "quick", "paper", "huge"), "--seeds": NUMBERS, "--store": PATHS, "--out": PATHS, "--force": None},
    ),
    ("claims",): (("lemma-A.13", "theorem-99", "β", ""), {"--json": None, "--store": PATHS}),
    ("certify",): (
        PATHS,
        {
            "--architecture": ARCHITECTURES,
            "--kinks": ("differentiable", "relu'(0)=0", "relu"),
            "--test": PATHS,
            "--within": NUMBERS,
            "--labels": ("auto", "classes", "real", "sign"),
            "--limit": NUMBERS,
            "--bracket": ("0", "-1", "0.2", "nan", "inf", ""),
            "--out": PATHS,
            "--json": None,
        },
    ),
    ("train",): (
        WORDS,
        {
            "--architecture": ARCHITECTURES,
            "--lr": NUMBERS,
            "--rho": NUMBERS,
            "--epochs": SMALL + NUMBERS,
            "--batch-size": NUMBERS,
            "--weight-decay": NUMBERS,
            "--label-noise": NUMBERS,
            "--first-layer-norm": NUMBERS,
            "--trace-penalty": NUMBERS,
            "--smoothing": ("0.1", *NUMBERS),
            "--activation": ("relu", "softplus", "tanh"),
            "--depth": ("2", "3", "4"),
            "--width": SMALL + NUMBERS,
            "--seed": NUMBERS,
            "--d": SMALL + NUMBERS,
            "--n": SMALL + NUMBERS,
            "--data": PATHS,
            "--test": PATHS,
            "--labels": ("auto", "classes", "real", "sign"),
            "--engine": ("fused", "reference", "gpu"),
            "--dtype": ("float32", "float64", "float16"),
            "--json": None,
        },
    ),
    ("sharpness",): (
        WORDS,
        {
            "--model": MODELS,
            "--data": PATHS,
            "--weights": PATHS,
            "--loss": ("mse", "cross-entropy", "os:getcwd", ""),
            "--measures": WORDS,
            "--samples": NUMBERS,
            "--m": NUMBERS,
            "--set": ("trace.probes=3", "=", "a=b", ""),
            "--seed": NUMBERS,
            "--json": None,
        },
    ),
    ("correlate",): (
        WORDS,
        {
            "--checkpoints": PATHS,
            "--errors": PATHS,
            "--model": ("os:getcwd", "absent:make", "timm:x", ":", "", "points.csv"),
            "--data": PATHS,
            "--measures": WORDS,
            "--set": ("trace.probes=3", "=", "a=b", ""),
            "--workers": NUMBERS,
            "--store": PATHS,
            "--skip-broken": None,
            "--json": None,
        },
    ),
    ("landscape",): (
        WORDS,
        {
            "--model": MODELS,
            "--data": PATHS,
            "--weights": PATHS,
            "--checkpoints": PATHS,
            "--dimensions": ("1", "2", *NUMBERS),
            "--reach": NUMBERS,
            "--points": NUMBERS,
            "--scaling": ("filter", "parameter", "none", ""),
            "--beyond": NUMBERS,
            "--out": PATHS,
            "--name": (*WORDS, *PATHS),
        },
    ),
    ("density",): (
        WORDS,
        {"--model": MODELS, "--data": PATHS, "--steps": NUMBERS, "--width": NUMBERS, "--out": PATHS, "--name": (*WORDS, *PATHS)},
    ),
    ("draw",): (
        PATHS,
        {
            "--architecture": ARCHITECTURES,
            "--within": NUMBERS,
            "--points": ("2", "3", "0", "-1", "two", ""),
            "--labels": ("auto", "classes", "real", "sign"),
            "--limit": NUMBERS,
            "--out": PATHS,
            "--no-ranges": None,
        },
    ),
    ("data", "list"): (WORDS, {"--root": PATHS, "--json": None}),
    ("data", "verify"): (("mnist", "nobody", ""), {"--root": PATHS}),
    ("data", "fetch"): (("nobody", "", "ü"), {"--root": PATHS}),
    ("bench", "train"): (WORDS, {"--repeats": ("0", "-1", "x", "")}),
    ("bench", "hvp"): (WORDS, {"--workload": WORDS, "--repeats": ("0", "-1", "x", "")}),
    ("store", "check"): (WORDS, {"--store": PATHS, "--json": None}),
    ("store", "mend"): (WORDS, {"--store": PATHS}),
    (): (("nothing", *WORDS), {"--version": None, "--help": None, "--nothing": WORDS}),
}


class Options(Scenario):
    """Random command lines."""

    name = "options"
    what = "a random command line: every command, valid and invalid values mixed"
    share = 2.0
    least = 4
    most = 400

    def case(self, number: int, rng: random.Random, folder: Path) -> Sequence[str]:
        """Status 0, 1 or 2; where it is not 0, one line; no traceback; in time."""
        self._furnish(folder)
        command = list(COMMANDS)[number % len(COMMANDS)]
        arguments = [*command, *self._chosen(command, rng)]
        ended = forked(arguments, folder, limits={resource.RLIMIT_AS: 12 * 2**30}, limit=60)
        wrong = lines_at_fault(ended) if ended.status != 0 else []
        if "Traceback" in ended.out + ended.err:
            wrong = [*wrong, "a traceback"] if ended.status == 0 else wrong
        said = " ".join(ascii(word) if len(word) < 60 else f"{word[:20]!a}*{len(word)}" for word in arguments)
        return [f"flatproof {said}: {what}" for what in wrong]

    @staticmethod
    def _chosen(command: tuple[str, ...], rng: random.Random) -> list[str]:
        """Some arguments and options of a command, each now and then with a value meant for another."""
        positional, options = COMMANDS[command]
        chosen = [rng.choice(positional) for _ in range(rng.choice([0, 1, 1, 2] if command != ("train",) else [0, 0, 0, 1]))]
        needed = {
            "train": ["--architecture"],
            "sharpness": ["--model", "--data"],
            "correlate": ["--checkpoints", "--errors", "--model", "--data"],
            "landscape": ["--model", "--data"],
            "density": ["--model", "--data"],
        }
        required = needed.get(" ".join(command), [])
        names = [name for name in required if rng.random() < 0.9]
        names += rng.sample([*options], rng.randint(0, min(3, len(options))))
        for name in names:
            values = options[name]
            chosen.append(name)
            if values is not None:
                odd = rng.random() < 0.1
                chosen.append(rng.choice([*WORDS, NUL] if odd else values))
        if command == ("reproduce",) and "--scale" not in chosen:
            chosen += ["--scale", "smoke"]
        if command == ("reproduce",) and not any(id in IDS for id in chosen):
            chosen.append(IDS[0])
        if command == ("claims",) and not any(word in positional for word in chosen):
            chosen.append("theorem-99")
        if command[:1] == ("bench",) and "--repeats" not in chosen:
            chosen += ["--repeats", "0"]
        if command[:1] == ("train",):
            chosen += [word for name in ("--epochs", "--width") if name not in chosen for word in (name, "5")]
        return chosen

    @staticmethod
    def _furnish(folder: Path) -> None:
        """Files to be named."""
        (folder / "folder").mkdir()
        (folder / "points.csv").write_text("1,1,1\n1,-1,-1\n-1,1,-1\n-1,-1,1\n")
        (folder / "empty.csv").touch()
        (folder / "binary.csv").write_bytes(bytes(range(256)))
        (folder / "unreadable").write_text("1,2\n")
        (folder / "unreadable").chmod(0)
        (folder / "loop").symlink_to("loop")
        (folder / "ü β").mkdir()
        (folder / "ü β/γ.csv").write_text("1,1\n-1,-1\n")
