"""Owns ids in short: the end of an id stands for the whole where no other id ends so."""

from collections.abc import Iterable


def whole_id(name: str, known: Iterable[str]) -> str:
    """The id that a name stands for.

    Args:
        name: an id, or its end from after a / or - on, whatever the case of its letters: "theorem-3.2", "3.2".
        known: all ids.

    Returns:
        The id; the name itself where none ends so.

    Raises:
        ValueError: several ids end so; names them.
    """
    ids = list(dict.fromkeys(known))
    if name in ids or not name:
        return name
    for before in ("/", "-"):
        ending = before + name.lower()
        meant = [id for id in ids if id.lower() == name.lower() or id.lower().endswith(ending)]
        if len(meant) > 1:
            raise ValueError(f"{name!r} is the end of several ids; expected one of: {', '.join(meant)}")
        if meant:
            return meant[0]
    return name
