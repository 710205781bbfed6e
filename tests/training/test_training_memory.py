"""What a training takes in memory, beside what torch's own profiler sees of its allocator."""

from itertools import islice

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from lastbit.training.catalogue import load_recipe
from lastbit.training.loop import recipe_stepper
from lastbit.training.memory import HeldTensors, training_memory
from lastbit.training.task import prepare


def recipe(*changes):
    return load_recipe("demo", changes=("data.train=192", "data.test=50", "batch_size=64", *changes))


def by_profiler(chosen, task):
    """The peak of the sum of all allocations, from the events of torch's profiler."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        stepper = recipe_stepper(chosen, task)
        for batch in islice(task.batches(0), 3):
            stepper.take(batch)
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = torch.tensor([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]).cumsum(0)
    return int(held.max())


def test_it_is_what_torchs_allocator_holds_at_most():
    for change in ("remedy={}", "remedy.average=0.9"):
        chosen = recipe(change)
        task = prepare(chosen)
        assert training_memory(chosen, task) == pytest.approx(by_profiler(chosen, task), rel=1e-3)


def test_more_is_held_where_there_is_more():
    task = prepare(recipe())
    plain, averaged, larger = (
        training_memory(chosen, prepare(chosen))
        for chosen in (recipe(), recipe("remedy.average=0.9"), recipe("batch_size=128"))
    )
    weights = sum(4 * weight.numel() for weight in recipe_stepper(recipe(), task).model.parameters())
    assert averaged - plain == pytest.approx(weights, rel=0.05)  # a second copy of the weights, and of buffers
    assert 1.5 < larger / plain < 2


def test_what_is_given_back_or_only_seen_otherwise_counts_no_more():
    with HeldTensors() as held:
        first = torch.zeros(1000)
        view = first.view(10, 100)
        second = first + 1
        assert (held.now, held.most) == (8000, 8000)
        del first
        assert held.now == 8000
        del view
        assert held.now == 4000
        second.add_(1)
        assert (held.now, held.most) == (4000, 8000)
