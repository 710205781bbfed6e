"""Fenced blocks of a Markdown page that are run when the site is built, with their real output put below them.

What is to be done with a block stands behind its language:

    ```python run              in the page's own Python, where earlier blocks' names live on
    ```sh run                  in bash, in the page's own empty directory; `fails=2` expects that exit status
    ```python file=train.py    is written to that directory
    ```sh skip="needs SLURM"   is not run, and the page says why

`hide` beside one of them leaves the block itself out of the page, such as one that makes a model for the next to use.
After `run`, `says="a pattern"` must be found in the output, or the build fails; `picture=FILE alt="..."` shows a file
that the block has drawn, and `page=FILE` links to one.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_FENCE = re.compile(r"^```(?P<language>\w+)(?P<orders>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_ORDERS = frozenset({"run", "file", "skip", "hide", "fails", "says", "picture", "alt", "page"})


class BlockError(Exception):
    """A block of a page failed, or its output is not what the page says."""


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    language: str
    code: str
    orders: dict[str, str]  # by name; "" where an order has no value
    start: int  # characters from the page's beginning
    end: int

    @property
    def runs(self) -> bool:
        """Whether it is run when the page is built."""
        return "run" in self.orders


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order.

    Raises:
        BlockError: an order is unknown.
    """
    for found in _FENCE.finditer(text):
        orders = dict(part.partition("=")[::2] for part in shlex.split(found["orders"]))
        if unknown := orders.keys() - _ORDERS:
            raise BlockError(f"{found[0].splitlines()[0]}: unknown {', '.join(sorted(unknown))}")
        yield Block(found["language"], found["code"], orders, *found.span())


@dataclass
class Session:
    """What a page's blocks share: a directory, and the names of its Python blocks."""

    directory: Path
    names: dict[str, object] = field(default_factory=lambda: {"__name__": "__page__"})
    ran: int = 0

    def output(self, block: Block) -> str:
        """Run a block and return what it wrote, without the directory's own name.

        Raises:
            BlockError: it failed, or did not write what it `says`.
        """
        self.ran += 1
        written = self._python(block.code) if block.language == "python" else self._shell(block)
        written = written.replace(f"{self.directory}/", "")
        if not re.search(block.orders.get("says", ""), " ".join(written.split())):
            raise BlockError(f"no {block.orders['says']!r} in the output of\n{block.code}\n{written}")
        return written

    def _python(self, code: str) -> str:
        written = io.StringIO()
        try:
            with contextlib.chdir(self.directory), contextlib.redirect_stdout(written):
                exec(compile(code, "<block>", "exec"), self.names)
        except Exception as error:
            raise BlockError(f"{type(error).__name__}: {error}, in\n{code}") from error
        return written.getvalue()

    def _shell(self, block: Block) -> str:
        tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        # As wide as the page, without colours, and with the lines in the order in which they were written.
        surroundings = os.environ | {"PATH": tools, "COLUMNS": "84", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.code],
            cwd=self.directory,
            env=surroundings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != int(block.orders.get("fails", 0)):
            raise BlockError(f"exit status {done.returncode} of\n{block.code}\n{done.stdout}")
        return done.stdout


def run_page(text: str, session: Session, attached: Path) -> str:
    """Run a page's blocks and return it with what they wrote.

    Args:
        text: the page, in Markdown.
        session: with an empty directory.
        attached: where pictures and pages that the blocks made are put; the page is to lie beside it.

    Raises:
        BlockError: a block failed.
    """
    parts, at = [], 0
    for block in blocks(text):
        parts += [text[at : block.start], _shown(block)]
        if "file" in block.orders:
            (session.directory / block.orders["file"]).write_text(block.code)
        if block.runs:
            parts.append(_output(session.output(block)))
            parts += [_attached(block, session.directory, attached, order) for order in ("picture", "page")]
        at = block.end
    return "".join([*parts, text[at:]])


def _shown(block: Block) -> str:
    if "hide" in block.orders:
        return ""
    title = block.orders.get("file", "")
    shown = f"```{block.language}" + (f' title="{title}"' if title else "") + f"\n{block.code}```\n"
    if "skip" in block.orders:
        shown += f"\n*Not run when this page was built: {block.orders['skip']}.*\n"
    return shown


def _output(written: str) -> str:
    return f'\n```text title="Output"\n{written.rstrip()}\n```\n' if written.strip() else ""


def _attached(block: Block, directory: Path, attached: Path, order: str) -> str:
    if order not in block.orders:
        return ""
    made = directory / block.orders[order]
    if not made.is_file():
        raise BlockError(f"there is no {block.orders[order]} after\n{block.code}")
    attached.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(made, attached / made.name)
    place = f"{attached.name}/{made.name}"
    if order == "picture":
        return f"\n![{block.orders.get('alt', '')}]({place})\n"
    return f"\n[The page that this made]({place})\n"
