"""What a process writes to files, line by line while it writes."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_PAUSE = 0.1  # seconds between two looks

OnLine = Callable[[str], None]


@contextmanager
def followed(files: Sequence[Path], on_line: OnLine) -> Iterator[None]:
    """During the block, hand over each line that is written to the files, and at its end what is left of them.

    Of a line that was drawn over and over with carriage returns, as a progress bar is, only the last state is given.

    Args:
        files: that exist; each is read from its beginning.
        on_line: called from one thread, without the line's end.
    """
    over = threading.Event()
    thread = threading.Thread(target=_follow, args=([_File(path) for path in files], on_line, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class _File:
    """A file that grows, and how far it was read."""

    def __init__(self, path: Path) -> None:
        self._path, self._read, self._begun = path, 0, b""

    def lines(self, *, last: bool) -> Iterator[str]:
        """The lines completed since the last call; with `last`, also one without an end."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        *whole, self._begun = (self._begun + new).split(b"\n")
        yield from (_final(line) for line in whole)
        if last and self._begun:
            yield _final(self._begun)


def _follow(files: Sequence[_File], on_line: OnLine, over: threading.Event) -> None:
    ended = False
    while not ended:
        ended = over.wait(_PAUSE)
        for file in files:
            for line in file.lines(last=ended):
                on_line(line)


def _final(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r").rpartition("\r")[2]
