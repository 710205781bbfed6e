"""The options that every benchmark has: `--smoke` for a run of seconds, and `--json FILE` for its figures."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def parser_of(documentation: str) -> argparse.ArgumentParser:
    """A parser that shows a benchmark's docstring as its help."""
    return argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)


def parsed(parser: argparse.ArgumentParser, **smaller: Any) -> argparse.Namespace:
    """Read the command line.

    Args:
        parser: knows the benchmark's own options.
        smaller: values that take the place of defaults under `--smoke`; what is given still counts.
    """
    values = ", ".join(f"{name.replace('_', '-')} {value}" for name, value in smaller.items())
    parser.add_argument("--smoke", action="store_true", help=f"see in seconds that it runs ({values})")
    parser.add_argument("--json", metavar="FILE", help="write the figures there; - for standard output")
    if parser.parse_known_args()[0].smoke:
        parser.set_defaults(**smaller)
    return parser.parse_args()


def write(figures: object, file: str | None) -> None:
    """Write figures as JSON to a file, or to standard output for `-`; nothing for None."""
    if file is not None:
        text = json.dumps(figures, indent=1) + "\n"
        sys.stdout.write(text) if file == "-" else Path(file).write_text(text, encoding="utf-8")
