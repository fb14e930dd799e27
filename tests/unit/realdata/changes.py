"""Owns what is done to a file, as hypothesis draws it."""

from hypothesis import strategies as st


class Change:
    """One thing done to a file, as hypothesis draws it."""

    @staticmethod
    def truncate(data: bytes, at: int, _: int) -> bytes:
        return data[: at % len(data)]

    @staticmethod
    def flip(data: bytes, at: int, bit: int) -> bytes:
        changed = bytearray(data)
        changed[at % len(data)] ^= 1 << bit % 8
        return bytes(changed)

    @staticmethod
    def extend(data: bytes, at: int, byte: int) -> bytes:
        return data + bytes([byte]) * (1 + at % 20)

    @staticmethod
    def erase(data: bytes, at: int, length: int) -> bytes:
        start = at % len(data)
        return data[:start] + bytes(min(1 + length, len(data) - start)) + data[start + 1 + length :]

    @staticmethod
    def drop(data: bytes, at: int, length: int) -> bytes:
        start = at % len(data)
        return data[:start] + data[start + 1 + length :]


CHANGES = [Change.truncate, Change.flip, Change.extend, Change.erase, Change.drop]


positions = st.one_of(st.integers(0, 200), st.integers(0, 10**6))  # headers are short and matter most
