"""Owns BERT's uncased tokenizer: text to word pieces of a vocabulary, pairs of texts to one sequence of numbers."""

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flatproof.verify.realdata.samples import Damaged

PAD, UNKNOWN, FIRST, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
LONGEST = 100  # characters of a word; a longer one is unknown
IDEOGRAPHS = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2CEAF), (0x2F800, 0x2FA1F))


def words(text: str) -> list[str]:
    """Lower-case words without accents; each mark of punctuation and each ideograph is a word."""
    pieces = []
    for character in unicodedata.normalize("NFD", text.lower()):
        kind = unicodedata.category(character)
        if kind == "Mn" or character in "\x00\ufffd" or (kind.startswith("C") and character not in "\t\n\r"):
            continue
        code = ord(character)
        alone = (character.isascii() and character.isprintable() and not character.isalnum() and character != " ") or kind[
            0
        ] == "P"
        alone = alone or any(low <= code <= high for low, high in IDEOGRAPHS)
        pieces.append(f" {character} " if alone else " " if character.isspace() else character)
    return "".join(pieces).split()


class WordPieces:
    """A vocabulary: the longest piece that begins a word, then the longest "##" piece of the rest, and so on.

    Args:
        vocabulary: pieces, whose places are their numbers.
        name: where it comes from, for messages.

    Raises:
        Damaged: for one that lacks a special piece, or holds a piece twice.
    """

    def __init__(self, vocabulary: Sequence[str], name: str = "vocabulary") -> None:
        self.numbers = {piece: i for i, piece in enumerate(vocabulary)}
        absent = [piece for piece in (PAD, UNKNOWN, FIRST, END) if piece not in self.numbers]
        if absent:
            raise Damaged(f"{name} has no {absent[0]}; expected a vocabulary of BERT, a piece a line")
        if len(self.numbers) != len(vocabulary):
            raise Damaged(f"{name} holds {len(vocabulary)} pieces, {len(self.numbers)} of them different; expected each once")

    @classmethod
    def read(cls, path: Path) -> "WordPieces":
        """The vocabulary of a file, a piece a line. Raises Damaged."""
        try:
            return cls(path.read_text(encoding="utf-8").removesuffix("\n").split("\n"), str(path))
        except UnicodeDecodeError as error:
            raise Damaged(f"{path} is not a text file: byte {error.start} is not UTF-8") from None

    def pieces(self, text: str) -> list[str]:
        """The word pieces of a text."""
        return [piece for word in words(text) for piece in self._split(word)]

    def _split(self, word: str) -> list[str]:
        if len(word) > LONGEST:
            return [UNKNOWN]
        pieces, start = [], 0
        while start < len(word):
            prefix = "##" if start else ""
            end = next((end for end in range(len(word), start, -1) if prefix + word[start:end] in self.numbers), None)
            if end is None:
                return [UNKNOWN]
            pieces.append(prefix + word[start:end])
            start = end
        return pieces

    def encode(self, pairs: Iterable[tuple[str, str]], length: int) -> NDArray[np.int64]:
        """Pairs as "[CLS] first [SEP] second [SEP]", cut at the longer of the two, filled up with [PAD].

        Args:
            pairs: two texts each; an empty second text stands for none.
            length: of a sequence, at most; the result is as long as its longest sequence.

        Returns:
            (n, 2, longest): numbers of word pieces; 0 up to the first [SEP] and in the filling, 1 in the second text.

        Raises:
            ValueError: for a length that holds no pair.
        """
        if length < 5:
            raise ValueError(f"length must be at least 5, two pieces and three marks, got {length}")
        rows = []
        for first, second in pairs:
            a, b = self.pieces(first), self.pieces(second)
            while len(a) + len(b) > length - 2 - bool(b):
                (a if len(a) > len(b) else b).pop()
            row = [FIRST, *a, END]
            segments = [0] * len(row) + [1] * (len(b) + bool(b))
            row += [*b, END] if b else []
            rows.append(([self.numbers[piece] for piece in row], segments))
        longest = max((len(numbers) for numbers, _ in rows), default=0)
        encoded = np.zeros((len(rows), 2, longest), dtype=np.int64)
        encoded[:, 0] = self.numbers[PAD]
        for i, (numbers, segments) in enumerate(rows):
            encoded[i, 0, : len(numbers)], encoded[i, 1, : len(segments)] = numbers, segments
        return encoded
