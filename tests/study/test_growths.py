"""Growth of a study's pairs against the series it was made from."""

import pytest

from lastbit.divergence import RelL1, growth
from lastbit.study.distances import Distance, pair_growths

STEPS = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64)


def series(noise, seed, leap):
    return [
        Distance(noise, seed, step, RelL1(value, {"calm": 1e-8 * step, "wild": value}))
        for step in STEPS
        for value in [1e-8 * step * (1e4 if step > leap else 1)]
    ]


def test_each_pair_has_its_growth_and_its_jumps_their_tensor():
    shuffled = [*series(2, 0, 99), *reversed(series(1, 0, 16)), *series(1, 1, 8)]
    found = pair_growths(shuffled)
    assert [(pair.noise, pair.seed) for pair in found] == [(1, 0), (1, 1), (2, 0)]
    assert found[0].growth == growth([d.rel_l1.value for d in series(1, 0, 16)], STEPS)
    content = found[0].as_json()
    assert content["jumps"] == [{"before": 16, "step": 23, "factor": pytest.approx(1e4 * 23 / 16), "layer": "wild"}]
    assert found[1].as_json()["jumps"][0]["step"] == 11
    assert found[2].layers == ()
    assert pair_growths([]) == []
