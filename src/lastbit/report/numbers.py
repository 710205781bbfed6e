"""Numbers in words, as every page, chart and table writes them."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from math import floor, isfinite, log10
from typing import TypeVar

_Item = TypeVar("_Item")

MISSING = "–"
_FEW = 8  # digits before the point that are written though they say nothing
_KNOWN = 15  # digits behind the first that a float64 knows
_MORE = 3  # decimals that keep an interval apart from 0
_LONG = 12  # digits behind or before the point that nobody counts


def number(value: float | None, decimals: int) -> str:
    """A number with so many decimals: `93.36`; where that takes too many digits, with a power of ten: `9.34e-31`.

    Args:
        value: finite; None is a dash.
        decimals: below 0, the last digits before the point do not count.
    """
    if value is None:
        return MISSING
    if 0 <= decimals <= _LONG and abs(value) < 10.0**_LONG:
        return f"{value:.{decimals}f}"
    if abs(value) < 0.5 * 10.0**-decimals:
        return "0"
    digits = max(0, floor(log10(abs(value))) + decimals)
    return without_zeros(f"{value:.{digits if digits <= _KNOWN else 3}e}")


def signed(value: float | None, decimals: int) -> str:
    """The same with its sign, plus too, as differences have it: `+0.31`."""
    text = number(value, decimals)
    if value is None:
        return text
    if text.startswith("-") and not text.strip("-0."):
        text = text[1:]  # what rounds to nothing has no sign of its own
    return text if text.startswith("-") else f"+{text}"


def dimensions(shape: Iterable[int]) -> str:
    """A tensor's shape in words: `64 x 3`, or `scalar`."""
    return " x ".join(map(str, shape)) or "scalar"


def axis_format(decimals: int) -> str:
    """How Vega writes the same numbers at an axis and in tooltips."""
    return f",.{decimals}f" if 0 <= decimals <= _LONG else ".3~g"


def spread(value: float | None, decimals: int) -> str:
    """A spread with so many decimals, and `<0.01` where these would hide that it is not zero."""
    least = 10.0**-decimals
    return f"<{number(least, decimals)}" if value is not None and 0 < value < least / 2 else number(value, decimals)


def difference_decimals(error: float, *, in_points: bool, intervals: Iterable[tuple[float, float]] = ()) -> int:
    """Decimals of a difference: two in percentage points; otherwise, or where that hides its error, two digits of it.

    They are below 0 for errors of more than a billion, whose last digits before the point say nothing. There are up to
    three more where an interval that excludes 0 would be written as if it began or ended there.

    Args:
        error: the standard error of the difference, or where it has none the size of the difference itself.
        in_points: whether the difference is in percentage points.
        intervals: that are written with these decimals.
    """
    if error == 0 or not isfinite(error) or (in_points and error >= 0.01):
        decimals = 2
    else:
        decimals = min(300, 1 - floor(log10(error)))
        decimals = max(0, decimals) if decimals >= -_FEW else decimals
    nearest = min((min(abs(low), abs(high)) for low, high in intervals if low * high > 0), default=1.0)
    more = next((more for more in range(_MORE + 1) if nearest >= 0.5 * 10.0 ** -(decimals + more)), 0)
    return decimals + more


def points(value: float | None) -> str:
    """A percentage, or a spread of one in percentage points, with two decimals."""
    return spread(value, 2)


def percent(share: float) -> str:
    """A share in whole percent: `38 %`, and `<1 %` where that would hide that it is not zero."""
    whole = f"{100 * share:.0f} %"
    return "<1 %" if whole == "0 %" and share > 0 else whole


def scientific(value: float) -> str:
    """Two significant digits, as Vega writes them in axes and tooltips: `2.4e-1`; zero is `0`.

    Powers are not set in superscript, which many a font for PNG and SVG lacks.
    """
    return "0" if value == 0 else without_zeros(f"{value:.1e}")


def significant(value: float | None, digits: int = 4) -> str:
    """A number in so many significant digits at most: `225`, `0.07`, `1.296e7`."""
    if value is None:
        return MISSING
    mantissa, mark, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if mark else mantissa


def without_zeros(text: str) -> str:
    """Scientific notation without the zeros and the plus that Python pads an exponent with: `1e-9` for `1e-09`."""
    mantissa, exponent = text.split("e")
    return f"{mantissa}e{int(exponent)}"


def scientific_range(values: Iterable[float]) -> str:
    """The smallest and the largest of them: `between 1.2e-1 and 2.4e-1`, or one number where they agree."""
    present = list(values)
    low, high = scientific(min(present)), scientific(max(present))
    return low if low == high else f"between {low} and {high}"


def count_range(counts: Iterable[int]) -> str:
    """The smallest and the largest of them: `24 to 1,024`, or one number where they agree."""
    present = list(counts)
    low, high = min(present), max(present)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def plain(value: object) -> str:
    """A setting's value as people write it."""
    if value is None or value == "":
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _shortest(value)
    return ", ".join(map(plain, value)) if isinstance(value, list | tuple) else str(value)


def joined(words: Iterable[str], last: str = "and") -> str:
    """`a, b and c`; empty for no word."""
    *first, final = list(words) or [""]
    return f"{', '.join(first)} {last} {final}" if first else final


def some(words: Sequence[str], most: int) -> str:
    """The first of several words as in a sentence, and how many more there are: `a, b and 3 more`."""
    return joined([*words[:most], *([f"{len(words) - most} more"] if len(words) > most else [])])


def capital(words: str) -> str:
    """Words at the beginning of a sentence."""
    return words[:1].upper() + words[1:]


def duration(seconds: float) -> str:
    """A duration in the unit that people would say: `0.4 s`, `25 s`, `4 min`, `2.5 h`, `3 days`."""
    minute, hour, day = 60.0, 3600.0, 86_400.0
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 1.5 * minute:
        return f"{seconds:.0f} s"
    if seconds < 1.5 * hour:
        return f"{seconds / minute:.0f} min"
    return f"{seconds / hour:.1f} h" if seconds < 2 * day else f"{seconds / day:.0f} days"


def thin(items: Sequence[_Item], most: int) -> list[_Item]:
    """At most so many of the items (at least two), evenly chosen by their place, first and last among them."""
    if len(items) <= max(2, most):
        return list(items)
    gaps = max(2, most) - 1
    return [items[round(place * (len(items) - 1) / gaps)] for place in range(gaps + 1)]


def _shortest(value: float) -> str:
    # `0.0005` reads better than Python's `5e-04`, and `1e-08` better than eight zeros.
    return f"{Decimal(repr(value)):f}" if 1e-5 <= abs(value) < 1e6 or value == 0 else repr(value)


def p_in_words(p: float | None) -> str:
    """A p value with three decimals."""
    return MISSING if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"
