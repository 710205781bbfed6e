"""A study's results on the terminal."""

from rich.console import Console
from rich.table import Table

from lastbit.study import Results
from lastbit.study.results import ACCURACY


def show(results: Results, console: Console) -> None:
    """Print the paper's Table 1 for a study, what its controls said, and the verdict."""
    console.print(_table(results))
    console.print(_controls(results))
    console.print(results.verdict, style="bold")


def _table(results: Results) -> Table:
    frame = results.grid.frame(ACCURACY)
    table = Table(title=f"{results.name}: test accuracy in percent, STD with ddof 1", title_justify="left")
    for name in frame.columns:
        table.add_column(name, justify="left" if name == "noise" else "right")
    for row in frame.iter_rows():
        table.add_row(*(_cell(value) for value in row), end_section=row is not None and row[0] != "STD")
    return table


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _controls(results: Results) -> str:
    if results.controls is None:
        return "controls: not run"
    agree = ", ".join(
        f"{name} {'bit-identical' if same else 'DIFFERS'}" for name, same in results.controls.agree.items()
    )
    return f"controls: {agree}"
