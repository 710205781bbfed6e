"""Lists of whole numbers on the command line: `1,3,5` and `1-6`."""

from lastbit.errors import LastbitError

LARGEST = 2**63 - 1  # that 64 bits hold, as torch counts and seeds
LARGEST_SEED = 2**32 - 1  # of numpy's older generator, which the paper's kernels are drawn from
MOST_WORKERS = 10_000
MOST_PIXELS = 2**16  # of a side
_MOST_DIGITS = 18  # all of these fit the 64 bits of a seed
_MOST_NUMBERS = 100_000


def parse_numbers(text: str, option: str) -> list[int]:
    """Parse comma-separated whole numbers and ranges `FIRST-LAST`, in the order given.

    Args:
        text: such as `1,3,7-9`.
        option: the option's name, for the message.

    Raises:
        LastbitError: the text is something else, or a range runs backwards.
    """
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise LastbitError(f"{option} {text!r}: write whole numbers and ranges, such as 1,3,5 or 1-6")
        if max(len(first), len(last)) > _MOST_DIGITS:
            raise LastbitError(
                f"{option}: a number of {max(len(first), len(last))} digits; at most {_MOST_DIGITS} are read"
            )
        if dash and int(last) < int(first):
            raise LastbitError(f"{option} {text!r}: the range {part.strip()} runs backwards, write {last}-{first}")
        if len(numbers) + int(last or first) - int(first) >= _MOST_NUMBERS:
            raise LastbitError(f"{option} {text:.100}: at most {_MOST_NUMBERS:,} numbers are read")
        numbers.extend(range(int(first), int(last or first) + 1))
    return numbers
