"""Owns the vectors of a Krylov space: rows in memory, and in a file beyond as many as there is room for.

A row in the file is what it is in memory, bit for bit: nothing that is proved of the space changes. The file lies in the system's temporary
folder (TMPDIR) without a name, so that it is gone when the process is, whatever ends it. Of vectors on a GPU, the rows beyond lie in the
machine's memory instead. Rows elsewhere are met a stretch at a time, twice a product and reorthogonalization.
"""

import math
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flatproof.verify.curvature.estimates import Floats
from flatproof.verify.utils.memory import available

ROWS = 8  # of a chunk, which is allocated at once and filled from the top: growing copies nothing
SEGMENT = 1 << 18  # numbers of a row that are read at a time
CONVERTED = 1 << 18  # numbers converted to float64 at a time, into the same memory: fresh pages would cost more than sums
LARGE = 1 << 28  # bytes of a chunk from which on the machine is asked for room


def segments(length: int) -> Iterator[slice]:
    """Consecutive stretches of a row."""
    return (slice(begin, min(begin + SEGMENT, length)) for begin in range(0, length, SEGMENT))


def inner_products(rows: Tensor, block: Tensor) -> Tensor:
    """rows @ block in float64, (r, P), (P, c) -> (r, c): float32 sums of ten million products may lose the second digit."""
    (count, length), columns = rows.shape, block.shape[1]
    device = torch.device("cpu") if rows.device.type == "mps" else rows.device
    if device.type == "cpu" and columns == 1 and length > CONVERTED:
        return _dots(rows, block[:, 0])
    stretch = max(CONVERTED // max(count, columns, 1), 1)
    if length <= stretch:
        return rows.to(device, torch.float64) @ block.to(device, torch.float64)
    total = torch.zeros(count, columns, dtype=torch.float64, device=device)
    held, met = total.new_empty(count * stretch), total.new_empty(stretch * columns)
    for begin in range(0, length, stretch):
        width = min(stretch, length - begin)
        left = held[: count * width].view(count, width).copy_(rows[:, begin : begin + width])
        right = met[: width * columns].view(width, columns).copy_(block[begin : begin + width])
        total.addmm_(left, right)
    return total


def _dots(rows: Tensor, vector: Tensor) -> Tensor:
    """The same with one vector, row by row: each thread sums what it has converted. A product with the whole stretch would divide the
    work in another way, and fetch half of it from another core's cache.
    """
    total = torch.zeros(len(rows), dtype=torch.float64, device="cpu")
    stretch = min(CONVERTED, math.ceil(len(vector) / 4))
    held, met = total.new_empty(stretch), total.new_empty(stretch)
    for begin in range(0, len(vector), stretch):
        width = min(stretch, len(vector) - begin)
        right = met[:width].copy_(vector[begin : begin + width])
        for place, row in enumerate(rows.unbind()):
            total[place] += torch.dot(held[:width].copy_(row[begin : begin + width]), right)
    return total[:, None]


def norm(vector: Tensor) -> float:
    """The length of a vector, its squares summed in float64."""
    flat = vector.reshape(1, -1)
    return math.sqrt(float(inner_products(flat, flat.T)))


class _Held:
    """Rows in memory, beside the vectors that they meet."""

    def __init__(self, capacity: int, like: Tensor) -> None:
        self.capacity = capacity
        self._rows = torch.empty(capacity, len(like), dtype=like.dtype, device=like.device)

    def put(self, place: int, row: Tensor) -> None:
        """Write a row, (P,)."""
        self._rows[place] = row

    def pieces(self, count: int, begin: int = 0) -> Iterator[tuple[slice, Tensor]]:
        """The rows from `begin` to `count`: all at once."""
        yield slice(0, self._rows.shape[1]), self._rows[begin:count]


class _Elsewhere:
    """Rows in the machine's memory for vectors on a GPU, in a file for vectors in memory."""

    def __init__(self, capacity: int, like: Tensor) -> None:
        self.capacity, self._length, self._dtype, self._device = capacity, len(like), like.dtype, like.device
        self._width = like.element_size()
        self._file: Any = None
        if like.device.type != "cpu":
            self._rows = torch.empty(capacity, self._length, dtype=like.dtype, device="cpu")
            return
        folder, needed = tempfile.gettempdir(), capacity * self._length * self._width
        if (free := shutil.disk_usage(folder).free) < needed:
            raise ValueError(
                f"{capacity} more vectors of {self._length:,} numbers take {needed / 1e9:.2g} GB of {folder}, {free / 1e9:.2g} GB are "
                "free: set TMPDIR to a folder with room, give a larger peak, or a larger tolerance"
            )
        self._file = tempfile.TemporaryFile(prefix="flatproof-", buffering=0)  # noqa: SIM115 closed with its chunk

    def put(self, place: int, row: Tensor) -> None:
        """Write a row, (P,)."""
        if self._file is None:
            self._rows[place] = row
            return
        self._file.seek(place * self._length * self._width)
        left = _bytes_of(row.contiguous())
        while left:  # a call writes 2 GB at most
            left = left[self._file.write(left) :]

    def pieces(self, count: int, begin: int = 0) -> Iterator[tuple[slice, Tensor]]:
        """The rows from `begin` to `count`, a stretch at a time, brought to where the vectors are."""
        for stretch in segments(self._length):
            inner = self._rows[begin:count, stretch].to(self._device) if self._file is None else self._read(count, begin, stretch)
            yield stretch, inner

    def _read(self, count: int, begin: int, stretch: slice) -> Tensor:
        rows = torch.empty(count - begin, stretch.stop - stretch.start, dtype=self._dtype, device="cpu")
        for place, row in enumerate(rows, begin):
            self._file.seek((place * self._length + stretch.start) * self._width)
            left = _bytes_of(row)
            while left:
                if not (count_read := self._file.readinto(left)):
                    raise OSError("the file of a Krylov space is shorter than what was written to it")
                left = left[count_read:]
        return rows


def _bytes_of(row: Tensor) -> memoryview:
    return row.detach().view(torch.uint8).numpy().data


class Basis:
    """Rows that are added one by one. What reads them says how many: spaces that share a basis may be of other sizes.

    Args:
        most: rows in memory at most; None: as many as the machine has room for.

    Attributes:
        size: rows so far.
        elsewhere: of them, those that are not beside the vectors they meet.
        length: P; 0 while there are none.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most, self.size, self.elsewhere, self.length = most, 0, 0, 0
        self._chunks: list[_Held | _Elsewhere] = []

    def append(self, row: Tensor) -> None:
        """One row more, (P,)."""
        self.length = len(row)
        capacity = sum(chunk.capacity for chunk in self._chunks)
        if self.size == capacity:
            self._chunks.append(self._chunk(row))
            capacity += self._chunks[-1].capacity
        last = self._chunks[-1]
        last.put(self.size - capacity + last.capacity, row)
        self.size += 1
        self.elsewhere += isinstance(last, _Elsewhere)

    def _chunk(self, like: Tensor) -> _Held | _Elsewhere:
        if self.most is not None:
            left = self.most - self.size
            return _Held(min(ROWS, left), like) if left > 0 else _Elsewhere(ROWS, like)
        size = ROWS * len(like) * like.element_size()
        free = available() if like.device.type == "cpu" and size >= LARGE else None
        return _Held(ROWS, like) if free is None or free > 2 * size else _Elsewhere(ROWS, like)

    def remove(self, block: Tensor, size: int, begin: int = 0) -> Floats:
        """Subtract from a block (P, c) the projection on its rows from `begin` to `size`; the coordinates, (size, c), 0 before."""
        coordinates = np.zeros((size, block.shape[1]))
        before = 0
        for count, chunk in self._filled(size):
            skipped = max(begin - before, 0)
            if skipped < count:
                part: Any = 0.0
                for stretch, rows in chunk.pieces(count, skipped):
                    part = part + inner_products(rows, block[stretch])
                weights = part.to(block.dtype).to(block.device)
                for stretch, rows in chunk.pieces(count, skipped):
                    block[stretch].addmm_(rows.T, weights, alpha=-1)
                coordinates[before + skipped : before + count] = part.cpu().numpy()
            before += count
        return coordinates

    def combine(self, weights: Floats, size: int) -> Tensor:
        """The combinations of the first `size` rows with the columns of `weights` (size, c), (P, c)."""
        total: Tensor | None = None
        done = 0
        for count, chunk in self._filled(size):
            for stretch, rows in chunk.pieces(count):
                part = torch.as_tensor(weights[done : done + count], dtype=rows.dtype, device=rows.device)
                total = rows.new_zeros(self.length, weights.shape[1]) if total is None else total
                total[stretch].addmm_(rows.T, part)
            done += count
        if total is None:
            raise ValueError("the Krylov space is empty; expected at least one product")
        return total

    def tensor(self, size: int) -> Tensor:
        """The first `size` rows in memory, (size, P)."""
        return torch.cat([torch.cat([rows for _, rows in chunk.pieces(count)], dim=1) for count, chunk in self._filled(size)])

    def row(self, place: int) -> Tensor:
        """One row, apart from the basis, (P,)."""
        for chunk in self._chunks:
            if place < chunk.capacity:
                return torch.cat([rows[place] for _, rows in chunk.pieces(place + 1)])
            place -= chunk.capacity
        raise IndexError(f"the basis has {self.size} rows")

    def copy(self, size: int) -> "Basis":
        """The first `size` rows, apart from these."""
        made = Basis(self.most)
        for place in range(size):
            made.append(self.row(place))
        return made

    def _filled(self, size: int) -> Iterator[tuple[int, _Held | _Elsewhere]]:
        """Each chunk and how many of its rows count."""
        for chunk in self._chunks:
            if size <= 0:
                return
            yield min(size, chunk.capacity), chunk
            size -= chunk.capacity
