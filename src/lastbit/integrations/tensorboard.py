"""Measurements in TensorBoard."""

from os import PathLike
from types import TracebackType
from typing import Any, Self

from lastbit.curvature import SharpnessRow
from lastbit.machine import missing


class TensorBoard:
    """A sink that adds each row's scalars, and its note, as `sharpness/...`, flushed at once.

    Args:
        writer: a `torch.utils.tensorboard.SummaryWriter`, which stays open, or a log directory to make one for, which
            the end of a `with` block or `close()` closes.

    Raises:
        ModuleNotFoundError: a directory is given and TensorBoard is not installed.
    """

    def __init__(self, writer: Any) -> None:
        self._own = isinstance(writer, str | PathLike)
        self._writer: Any = _summary_writer(writer) if self._own else writer

    def __call__(self, row: SharpnessRow) -> None:
        """Add a row; a diverged one shows as NaN."""
        for name, value in row.scalars().items():
            self._writer.add_scalar(f"sharpness/{name}", value, global_step=row.step)
        if row.note:
            self._writer.add_text("sharpness/note", row.note, global_step=row.step)
        self._writer.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the writer, unless it was given."""
        if self._own:
            self._writer.close()


def _summary_writer(directory: str | PathLike[str]) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise missing(error, "tensorboard") from None
    return SummaryWriter(str(directory))
