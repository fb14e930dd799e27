"""Owns faults that are planted in the package to see that a run of the harness finds them; `--plant NAME` plants one."""

from unittest import mock


def _always(where: str, value: object) -> None:
    """Replace a function for good."""
    mock.patch(where, lambda *_, **__: value).start()


def unsealed() -> None:
    """Rows are read without a look at their seals."""
    _always("flatproof.verify.jobs.store.altered", None)


def mute() -> None:
    """Failures end the command without a word."""
    from flatproof.verify.cli import main

    def mute(_: str, status: int) -> None:
        raise SystemExit(status)

    mock.patch.object(main, "_fail", mute).start()


def talkative() -> None:
    """Failures end in a traceback."""
    from flatproof.verify.cli import main

    def failing(message: str, status: int) -> None:
        raise RuntimeError(message)

    mock.patch.object(main, "_fail", failing).start()


def partial() -> None:
    """Files are written in place instead of whole."""
    from flatproof.verify.report import write

    def in_place(path: object, content: bytes) -> object:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    mock.patch.object(write, "_replace", in_place).start()


def dated() -> None:
    """Artifacts depend on the time of day."""
    import time

    from flatproof.verify.report import write

    replace = write._replace

    def dated(path: object, content: bytes) -> object:
        return replace(path, content + (b"" if path.suffix in (".png", ".pdf") else str(int(time.time()) // 1000).encode()))

    mock.patch.object(write, "_replace", dated).start()


PLANTS = {plant.__name__: plant for plant in (unsealed, mute, talkative, partial, dated)}
