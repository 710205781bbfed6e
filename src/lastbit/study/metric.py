"""The metric that a study compares, and how its values are written."""

import re
from dataclasses import dataclass
from math import floor, log10
from typing import Any

import numpy as np

from lastbit.statistics.spread import Table

_MOST_DECIMALS = 300
# Only the whole name counts, since a word of it also stands in `val_ms_ssim`, `wind_speed_mae` and `memory_accuracy`.
_WHERE = (
    "train|training|val|valid|validation|test|eval|evaluation|epoch|step|batch|iter|iteration|perf|system|sys|total|mean|"
    "avg|average|median|max|min|peak|gpu|cuda|cpu|host|device|process|data|forward|backward|load|loading|inference|run"
)
_PIECES = "samples?|tokens?|images?|examples?|steps?|batch|batches|iters?|iterations?|it|items|words|epochs?|updates?"
_SECONDS = "s|secs?|seconds?|ms|msecs?|milliseconds?|us|ns|mins?|minutes?|h|hrs?|hours?"
_MEASURES_THE_MACHINE = re.compile(
    f"(?:train_|training_)?speed|(?:(?:{_WHERE})_)*(?:"
    "fps|ips|throughput|timestamp|started(?:_at)?|ended(?:_at)?|(?:start|end)_time|"
    f"(?:wall|wall_?time|wall_?clock|wall_?clock_time|time|elapsed|elapsed_time|duration|runtime|latency)"
    f"(?:_(?:total|elapsed|mean|avg|max))?(?:_(?:{_SECONDS}))?|"
    "seconds?|secs?|ms|milliseconds|minutes?|mins?|hours?|"
    f"(?:time|{_SECONDS})_per_(?:{_PIECES})|(?:{_PIECES})_(?:per_)?(?:s|secs?|seconds?|minutes?|hours?)|"
    "(?:memory|mem|rss|vram|ram)(?:_(?:allocated|reserved|used|usage|peak|max))*(?:_(?:b|bytes|[kmg]i?b))?"
    ")",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Metric:
    """The final number of each run that a study compares."""

    name: str  # under which it was logged
    label: str  # for people, as in the middle of a sentence
    is_percentage: bool = False  # then differences are percentage points

    @property
    def unit(self) -> str:
        """The unit of a difference, with the space before it."""
        return " points" if self.is_percentage else ""

    @property
    def has_test_set(self) -> bool:
        """Whether it is measured on test examples, by its unit or its name; that alone makes it no accuracy."""
        return self.is_percentage or "acc" in self.name.lower()

    def as_json(self, table: Table) -> dict[str, Any]:
        """As the results of a study hold it.

        Args:
            table: its values, shape (noises, seeds).
        """
        unit = "percent" if self.is_percentage else None
        return {"name": self.name, "label": self.label, "unit": unit, "decimals": self.decimals(table)}

    def decimals(self, table: Table) -> int:
        """Decimals that show what varies: two of a percentage, else as many as give the values' STD two digits.

        Where nothing varies, as many as give the largest value four.

        Args:
            table: the values, shape (noises, seeds); NaN for a missing one.
        """
        if self.is_percentage:
            return 2
        from lastbit.runs.numbers import LARGEST  # only here: a worker needs none of what reads tables

        present = table[np.abs(table) <= LARGEST]
        # The mean of equal values may round to another value, although they do not vary.
        std = float(np.std(present - present[0], ddof=1)) if len(present) > 1 else 0.0
        scale, digits = (std, 2) if std > 0 else (float(np.abs(present).max(initial=0)), 4)
        return min(_MOST_DECIMALS, max(0, digits - 1 - floor(log10(scale)))) if scale > 0 else 1


TEST_ACCURACY = Metric("test_accuracy", "test accuracy", is_percentage=True)


def measures_the_machine(name: str) -> bool:
    """Whether a metric's name is that of a time or of memory, which no two runs share."""
    words = re.sub(r"[\W_]+", "_", name).strip("_")  # `train/epoch time` is `train_epoch_time`
    return _MEASURES_THE_MACHINE.fullmatch(words) is not None
