from hypothesis import given
from hypothesis import strategies as st

from lastbit.training.measures import snapshot_steps


def test_the_demo_keeps_weights_often_at_first_then_each_epoch():
    assert sorted(snapshot_steps(32, 9)) == [1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 64, 96, 128, 160, 192, 224, 256, 288]


def test_long_runs_keep_weights_every_so_many_epochs():
    assert sorted(step for step in snapshot_steps(391, 200, 50) if step > 391) == [19550, 39100, 58650, 78200]


@given(st.integers(1, 1000), st.integers(1, 300), st.integers(1, 50))
def test_first_and_last_step_are_always_kept_and_none_beyond(steps_per_epoch, epochs, every):
    steps = snapshot_steps(steps_per_epoch, epochs, every)
    assert {1, steps_per_epoch, steps_per_epoch * epochs} <= steps
    assert min(steps) == 1
    assert max(steps) == steps_per_epoch * epochs
    assert all(step % steps_per_epoch == 0 for step in steps if step > steps_per_epoch)
