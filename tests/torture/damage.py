"""Owns scenarios of damaged files: bits, pages and ends of everything that is read, the store above all."""

import importlib.util
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.torture.commands import Ended, altered_artifacts, files_below, forked, judged, lines_at_fault
from tests.torture.scenario import FIGURE, TABLE, Scenario, Selection

PAGE = 4096


def flip(data: bytearray, rng: random.Random) -> str:
    """Flip a bit."""
    at, bit = rng.randrange(len(data)), rng.randrange(8)
    data[at] ^= 1 << bit
    return f"bit {bit} of byte {at} of {len(data)} flipped"


def truncate(data: bytearray, rng: random.Random) -> str:
    """Cut the end off."""
    whole, kept = len(data), rng.choice([rng.randrange(len(data)), len(data) // PAGE // 2 * PAGE, len(data) - 1, 0])
    del data[kept:]
    return f"cut to {kept} of {whole} bytes"


def blank(data: bytearray, rng: random.Random) -> str:
    """Fill a page with zeros."""
    at = rng.randrange(-(-len(data) // PAGE)) * PAGE
    data[at : at + PAGE] = bytes(len(data[at : at + PAGE]))
    return f"page at {at} of {len(data)} zeroed"


def swap(data: bytearray, rng: random.Random) -> str:
    """Exchange two pages."""
    pages = len(data) // PAGE
    if pages < 2:
        return flip(data, rng)
    a, b = (at * PAGE for at in rng.sample(range(pages), 2))
    data[a : a + PAGE], data[b : b + PAGE] = data[b : b + PAGE], data[a : a + PAGE]
    return f"pages at {a} and {b} of {len(data)} exchanged"


def damaged(path: Path, rng: random.Random, kinds: Sequence[Callable[[bytearray, random.Random], str]]) -> str:
    """Damage a file in one of these ways; says how."""
    data = bytearray(path.read_bytes())
    how = rng.choice(kinds)(data, rng)
    path.write_bytes(data)
    return f"{path.name}: {how}"


def can_check_stores() -> bool:
    """Whether there is `flatproof store check`."""
    return importlib.util.find_spec("flatproof.verify.cli.store") is not None


class Store(Scenario):
    """A damaged store."""

    name = "store"
    what = "a flipped bit (4 of 5), a missing end, a zeroed page or exchanged pages of the store, then `report`"
    share = 5.0
    least = 3
    most = 520

    chosen = Selection(TABLE, 8)  # about 300 kB

    def case(self, number: int, rng: random.Random, folder: Path) -> Sequence[str]:
        """No artifact differs from the reference; and what `report` refuses, `store check` does not call sound."""
        store = folder / "s.sqlite"
        shutil.copy(self.reference.folder / "s.sqlite", store)
        how = damaged(store, rng, [truncate, blank, swap] if number % 5 == 4 else [flip])
        content = store.read_bytes()
        ended = forked(self.selection.report(), folder)
        wrong = judged(ended, folder / "again", self.reference.artifacts, most=20)
        if can_check_stores():
            store.write_bytes(content)
            checked = forked(["store", "check", "--store", "s.sqlite"], folder)
            if checked.status == 0 and ended.status != 0:
                wrong.append(f"report ends with status {ended.status} ({ended.err.strip()[:200]}), store check calls it sound")
            if checked.status != 0 and not (checked.status == 1 and checked.out.startswith("damaged: ") and not checked.err):
                wrong += [f"store check: {what}" for what in lines_at_fault(checked)]
            if checked.status != 0 and number % 10 == 0:
                wrong += self._mended(folder)
        return [f"{how}: {what}" for what in wrong]

    def _mended(self, folder: Path) -> list[str]:
        """What is wrong with running anew what is damaged."""
        ended = forked([*self.selection.sweep(), "--rerun-damaged"], folder)
        if ended.status != 0:
            return [f"reproduce --rerun-damaged: status {ended.status}: {ended.err.strip()[-300:]}"]
        return [
            f"reproduce --rerun-damaged: {what}" for what in altered_artifacts(folder / "out", self.reference.artifacts, True)
        ]


class Descriptors(Scenario):
    """A damaged descriptor in the output folder, from which the page is made."""

    name = "descriptors"
    what = "a damaged descriptor (.json) in the output folder, then `report` of all or of one artifact"
    share = 1.0
    least = 1
    most = 120
    chosen = Selection(TABLE + FIGURE, 1)
    part = Selection(TABLE, 1)

    def prepare(self) -> str | None:
        """The artifacts after a report of a part of them: each names the command that it is made by."""
        folder = self.place("part")
        self._copy(folder)
        ended = forked(self.part.report("out"), folder)
        self.wanted = [files_below(folder / "out"), self.reference.artifacts]
        return None if ended.status == 0 else f"report of a part fails: {ended.err}"

    def _copy(self, folder: Path) -> None:
        shutil.copy(self.reference.folder / "s.sqlite", folder)
        shutil.copytree(self.reference.folder / "out", folder / "out")

    def case(self, number: int, rng: random.Random, folder: Path) -> Sequence[str]:
        """The page is as it was, or a line says what is wrong."""
        self._copy(folder)
        descriptor = rng.choice(sorted((folder / "out").rglob("*.json")))
        how = damaged(descriptor, rng, [flip, flip, flip, truncate, blank])
        ended = forked((self.selection if number % 2 else self.part).report("out"), folder)
        name = str(descriptor.relative_to(folder / "out"))
        wrong = lines_at_fault(ended, most=5) if ended.status != 0 else []
        spoken = any(word in ended.out + ended.err for word in (descriptor.name, "kept"))
        if ended.status == 0 and not spoken:
            now = files_below(folder / "out")
            wrong = [
                f"{other} differs and nothing is said (status 0)"
                for other, content in self.wanted[number % 2].items()
                if other != name and now.get(other) != content
            ]
        return [f"{how}, report of {'all' if number % 2 else 'one'}: {what}" for what in wrong]


class Networks(Scenario):
    """Damaged files of a network in training."""

    name = "networks"
    what = "a damaged file of weights (.pt) that a training left beside the store"
    share = 0.3
    least = 0
    most = 300

    def prepare(self) -> str | None:
        """Write one."""
        import torch

        from flatproof.verify.deep import checkpoints
        from flatproof.verify.jobs.workspace import working_in

        generator = torch.Generator().manual_seed(self.seed)
        shapes = {"0.weight": (20, 30), "0.bias": (20,), "2.weight": (10, 20)}
        weights = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
        self.content = {"model": weights, "epoch": 3, "curve": [0.5, 0.25, 0.125]}
        self.files = self.place("files")
        with working_in(self.files):
            checkpoints.write(_Training(), checkpoints.FINAL, self.content)
        return None

    def case(self, number: int, rng: random.Random, folder: Path) -> Sequence[str]:
        """What is read is what was written, or one line says that it cannot be read."""
        from flatproof.verify.deep import checkpoints
        from flatproof.verify.jobs.workspace import working_in
        from flatproof.verify.utils.errors import UserError

        shutil.copytree(self.files, folder / "files")
        path = folder / "files" / _Training.key / f"{checkpoints.FINAL}.pt"
        if not path.exists():
            (path,) = (folder / "files").rglob("*.pt")
        how = damaged(path, rng, [flip] * 4 + [truncate, blank])

        def run(_: Sequence[str]) -> int:
            with working_in(folder / "files"):
                try:
                    content = checkpoints.read(_Training(), checkpoints.FINAL)
                except UserError as error:
                    print(f"error: {error}", file=__import__("sys").stderr)
                    return 2
            return 0 if _same(content, self.content) else 9

        ended = forked([], folder, run=run)
        if ended.status == 9:
            return [f"{how}: other weights are read, and nothing is said"]
        return [f"{how}: {what}" for what in (lines_at_fault(ended) if ended.status != 0 else [])]


class _Training:
    key = "0" * 64


def _same(a: object, b: object) -> bool:
    import torch

    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[name], b[name]) for name in a)
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    return type(a) is type(b) and a == b


class Certificates(Scenario):
    """A damaged certificate."""

    name = "certificates"
    what = "a damaged certificate, then theory/check_certificate.py with the points"
    share = 1.0
    least = 2
    most = 300

    def prepare(self) -> str | None:
        """Have one written."""
        self.files = self.place("files")
        (self.files / "points.csv").write_text("1,1,1\n1,-1,-1\n-1,1,-1\n-1,-1,1\n")
        (self.files / "fresh.csv").write_text("0.5,0.25,1\n")
        command = ["certify", "points.csv", "--architecture", "no-bias", "--test", "fresh.csv"]
        ended = forked(command, self.files, limit=300)
        if ended.status != 0:
            raise RuntimeError(f"no certificate was written: {ended.err}")
        self.said = self._checked(self.files)
        if self.said.status != 0:
            raise RuntimeError(f"the certificate itself is not accepted: {self.said.out}{self.said.err}")
        return None

    def case(self, number: int, rng: random.Random, folder: Path) -> Sequence[str]:
        """Refused in one line, or the same is proved: a statement that is no stronger than the one written."""
        shutil.copytree(self.files, folder, dirs_exist_ok=True)
        path = folder / "points.no-bias.certificate.json"
        how = damaged(path, rng, [flip] * 5 + [truncate])
        ended = self._checked(folder)
        if ended.status is None or "Traceback" in ended.out + ended.err:
            return [f"{how}: {ended.err.strip().splitlines()[-1:] or 'it did not end in time'}"]
        if ended.status == 0:
            return (
                []
                if ended.out == self.said.out
                else [f"{how}: accepted, and says another thing: {_difference(self.said, ended)}"]
            )
        lines = ended.out.splitlines()
        return [] if len(lines) == 1 and lines[0].startswith("INVALID: ") else [f"{how}: {ended.out[:300]!r}"]

    def _checked(self, folder: Path) -> Ended:
        def run(_: Sequence[str]) -> int:
            from flatproof.theory import check_certificate

            return check_certificate.main(["--data", "points.csv", "points.no-bias.certificate.json"])

        return forked([], folder, run=run)


def _difference(before: Ended, now: Ended) -> str:
    pairs = zip(before.out.splitlines(), now.out.splitlines(), strict=False)
    return next((f"{b!r} for {a!r}" for a, b in pairs if a != b), f"{len(now.out.splitlines())} lines")


class Points(Scenario):
    """A damaged table of points."""

    name = "points"
    what = "a damaged CSV of points, then certify or train"
    share = 1.0
    least = 2
    most = 60

    def case(self, number: int, rng: random.Random, folder: Path) -> Sequence[str]:
        """Other points are other points; but the command ends well or in one line."""
        rows = [[rng.choice([-1, 1]) for _ in range(3)] for _ in range(4)]
        (folder / "points.csv").write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")
        how = damaged(folder / "points.csv", rng, [flip] * 5 + [truncate, blank])
        certify = ["certify", "points.csv", "--limit", "2000"]
        train = ["train", "--architecture", "bias", "--data", "points.csv", "--epochs", "20", "--width", "10"]
        ended = forked(certify if number % 2 else train, folder, limit=60)
        return [f"{how}: {what}" for what in (lines_at_fault(ended) if ended.status != 0 else [])]


class RealData(Scenario):
    """Damaged files of real data."""

    name = "real-data"
    what = "a damaged file of a data set in its official format, then loading it"
    share = 0.5
    least = 2
    most = 180

    def case(self, number: int, rng: random.Random, folder: Path) -> Sequence[str]:
        """The true images and labels, or one line that says what is damaged."""
        import numpy as np

        from tests.unit.realdata.tiny import KINDS, Tiny

        tiny = Tiny(KINDS[number % len(KINDS)], folder)
        path = rng.choice(tiny.paths())
        how = damaged(path, rng, [flip] * 4 + [truncate, blank])

        def run(_: Sequence[str]) -> int:
            from flatproof.verify.realdata.samples import NotAvailable

            for split in ("train", "test"):
                try:
                    images = tiny.load(split)
                except (NotAvailable, ValueError) as error:
                    print(f"error: {error}", file=__import__("sys").stderr)
                    return 2
                if not (np.array_equal(images.x, tiny.x[split]) and np.array_equal(images.y, tiny.y[split])):
                    return 9
            return 0

        ended = forked([], folder, run=run)
        what = f"{tiny.kind}/{how}"
        if ended.status == 9:
            return [f"{what}: other images or labels are read, and nothing is said"]
        return [f"{what}: {wrong}" for wrong in (lines_at_fault(ended) if ended.status != 0 else [])]
