"""Numbers as the page writes them."""

from collections.abc import Iterable
from decimal import Decimal

MISSING = "–"


def number(value: float | None, decimals: int) -> str:
    """A number with so many decimals: `93.36`."""
    return MISSING if value is None else f"{value:.{decimals}f}"


def spread(value: float | None, decimals: int) -> str:
    """A spread with so many decimals, and `<0.01` where these would hide that it is not zero."""
    least = 10.0**-decimals
    return f"<{least:.{decimals}f}" if value is not None and 0 < value < least / 2 else number(value, decimals)


def points(value: float | None) -> str:
    """A percentage, or a spread of one in percentage points, with two decimals."""
    return spread(value, 2)


def percent(share: float) -> str:
    """A share in whole percent: `38 %`, and `<1 %` where that would hide that it is not zero."""
    return "<1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def scientific(value: float) -> str:
    """Two significant digits, as Vega writes them in axes and tooltips: `2.4e-1`; zero is `0`.

    Powers are not set in superscript, which many a font for PNG and SVG lacks.
    """
    return "0" if value == 0 else without_zeros(f"{value:.1e}")


def without_zeros(text: str) -> str:
    """Scientific notation without the zeros and the plus that Python pads an exponent with: `1e-9` for `1e-09`."""
    mantissa, exponent = text.split("e")
    return f"{mantissa}e{int(exponent)}"


def scientific_range(values: Iterable[float]) -> str:
    """The smallest and the largest of them: `between 1.2e-1 and 2.4e-1`, or one number where they agree."""
    present = list(values)
    low, high = scientific(min(present)), scientific(max(present))
    return low if low == high else f"between {low} and {high}"


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


def _shortest(value: float) -> str:
    # `0.0005` reads better than Python's `5e-04`, and `1e-08` better than eight zeros.
    return f"{Decimal(repr(value)):f}" if 1e-5 <= abs(value) < 1e6 or value == 0 else repr(value)
