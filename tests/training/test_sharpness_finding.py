import math

import pytest

from lastbit.curvature.sharpness import SharpnessRow, diverged_row
from lastbit.training.sharpness import series_finding


def row(step, normalised, upper):
    value = 20 * normalised
    return SharpnessRow(step=step, loss=1.0, values=(value,), residuals=(0.0,), uppers=(value * upper,), edges=(40.0,))


def rows(*values, upper=1.0, diverged=None):
    found = [row(10 * i, math.nan if value is None else value, upper) for i, value in enumerate(values)]
    return found if diverged is None else [*found, diverged_row(1, edges=(40.0,), step=diverged, loss=math.nan)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (rows(0.4, 1.2, 0.9), "Sharpness stays below the edge: at most 1.2, at step 10, where 2 is the edge"),
        (
            rows(0.4, 1.9995, upper=1.001),
            "Sharpness comes up to the edge, within its error bound: at most 2, at step 10, where 2 is the edge",
        ),
        (
            rows(0.4, 2.0, 1.8, 2.3, 2.1),
            "Sharpness reaches the edge at step 10 and then moves between 1.8 and 2.3, where 2 is the edge",
        ),
        (rows(1.0, 2.5), "Sharpness reaches the edge at step 10, at 2.5 where 2 is the edge"),
        (rows(1.0, 2.5, 1.5), "Sharpness reaches the edge at step 10, and is at 1.5 at the end, where 2 is the edge"),
        (
            rows(3.0, 1.0, None, 2.5),
            "Sharpness is beyond the edge at step 0 and then moves between 1 and 2.5, where 2 is the edge",
        ),
        (
            rows(1.0, diverged=1234),
            "Sharpness stays below the edge: at most 1, at step 0, where 2 is the edge; training diverges at step "
            "1,234",
        ),
        (rows(diverged=0), "Nothing could be measured; training diverges at step 0"),
        ([], "Nothing could be measured"),
    ],
)
def test_says_where_the_edge_is_reached_and_where_the_sharpness_stays_then(given, said):
    assert series_finding(given) == said
