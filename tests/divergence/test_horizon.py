import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastbit.divergence import horizon


@given(st.lists(st.floats(0, 2), min_size=1), st.floats(0, 2))
def test_all_before_is_within_the_level_and_the_horizon_is_not(distances, level):
    steps = [3 * i for i in range(1, len(distances) + 1)]
    found = horizon(distances, steps, level=level)
    before = distances if found is None else distances[: steps.index(found)]
    assert all(distance <= level for distance in before)
    assert found is None or distances[steps.index(found)] > level


@pytest.mark.parametrize("gone", [math.nan, math.inf])
def test_what_diverged_has_parted(gone):
    assert horizon([0.0, gone, 0.1], [1, 2, 3], level=1.0) == 2


def test_a_distance_belongs_to_each_step():
    with pytest.raises(ValueError, match="there are 1 distances for 2 steps"):
        horizon([0.0], [1, 2], level=1.0)
