"""A training that was killed goes on from its checkpoint to the bits of one that was not."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_run import RecordedRun

from lastbit.noise import Operations, Order, Rounding, Scale, Ulp
from lastbit.storage.checkpoint import read_checkpoint, write_checkpoint
from lastbit.training.catalogue import load_recipe
from lastbit.training.recipe_training import RecipeTraining

TINY = ("data.train=150", "data.test=50", "batch_size=50", "epochs=5", "schedule.milestones=[2,4]")
NETWORK = ("measure.fluctuation_epochs=2", "measure.fluctuation_batches=2")
NOISES = (Scale(1), Scale(3), Rounding(0.2, 1), Ulp(1), Order(2), Operations(1, 0.2))


class KilledError(Exception):
    pass


class KilledRun(RecordedRun):
    """Ends by an exception at its so-manieth checkpoint, which is kept on disk."""

    def __init__(self, place, lives, **options):
        super().__init__(**options)
        self.place, self.lives = place, lives

    def save_checkpoint(self, step, state):
        write_checkpoint(self.place, step, state, extra={"rows": len(self.rows)})
        self.lives -= 1
        if not self.lives:
            raise KilledError

    def load_checkpoint(self):
        found = read_checkpoint(self.place)
        return found and found[0]


def recipe(optimizer, augment):
    changes = [*TINY, *NETWORK, f"data.augment={augment}", f"optimizer.name={optimizer}"]
    if optimizer != "sgd":
        changes += ["optimizer.momentum=0.0", "optimizer.nesterov=false", "optimizer.lr=0.01"]
    return load_recipe("demo", scale="smoke", changes=tuple(changes))


@settings(max_examples=8, deadline=None)
@given(
    noise=st.sampled_from(NOISES),
    optimizer=st.sampled_from(["sgd", "adam"]),
    augment=st.sampled_from(["true", "false"]),
    every=st.integers(1, 3),
    lives=st.integers(1, 2),
    seed=st.integers(1, 3),
)
def test_a_killed_training_ends_in_the_same_bits(tmp_path_factory, noise, optimizer, augment, every, lives, seed):
    place = tmp_path_factory.mktemp("checkpoint")
    whole = RecordedRun(seed=seed, noise=noise)
    train = RecipeTraining(recipe(optimizer, augment), checkpoint_every=every)
    RecipeTraining(train.recipe)(whole)
    killed = KilledRun(place, min(lives, 4 // every), seed=seed, noise=noise)
    with pytest.raises(KilledError):
        train(killed)
    resumed = KilledRun(place, 0, seed=seed, noise=noise)
    train(resumed)
    assert 0 < len(killed.rows) < len(whole.rows)
    assert killed.rows + resumed.rows == whole.rows
    kept = killed.weights | resumed.weights
    assert kept.keys() == whole.weights.keys()
    assert all(torch.equal(kept[step][name], w) for step, ws in whole.weights.items() for name, w in ws.items())
    assert torch.equal(resumed.predictions, whole.predictions)


def test_the_interval_of_checkpoints_decides_nothing_else(tmp_path):
    """It is no part of what identifies a trial: a study may change it when it goes on."""
    train = RecipeTraining(recipe("sgd", "false"))
    assert RecipeTraining(train.recipe, checkpoint_every=2).settings == train.settings


def test_less_than_an_epoch_is_refused():
    with pytest.raises(ValueError, match="checkpoint_every = 0: at least 1 epoch"):
        RecipeTraining(recipe("sgd", "false"), checkpoint_every=0)


def test_a_checkpoint_with_the_schedule_of_an_earlier_version_is_read(tmp_path):
    """It counted epochs where the schedule counts updates now; the learning rate is the optimizer's."""

    class Earlier(KilledRun):
        def save_checkpoint(self, step, state):
            super().save_checkpoint(step, state | {"schedule": {"last_epoch": step // 3, "milestones": {2: 1, 4: 1}}})

    train, whole = RecipeTraining(recipe("sgd", "false"), checkpoint_every=1), RecordedRun()
    RecipeTraining(train.recipe)(whole)
    with pytest.raises(KilledError):
        train(Earlier(tmp_path, 3))
    resumed = KilledRun(tmp_path, 0)
    train(resumed)
    assert resumed.rows == whole.rows[3:]
    assert [row["lr"] for row in resumed.rows] == pytest.approx([0.01, 0.001])
