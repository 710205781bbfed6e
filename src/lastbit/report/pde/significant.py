"""Numbers in significant digits."""


def significant(value: float, digits: int = 4) -> str:
    """A number in so many significant digits at most: `225`, `0.07`, `1.296e7`."""
    mantissa, exponent_mark, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent_mark else mantissa
