import copy
import pickle

import pytest
import torch
from stepping import Course, everything, same_bits, walk, walked
from torch.optim import lr_scheduler

from lastbit.noise import Scale, install

OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    "adam": (torch.optim.Adam, {"lr": 0.1, "amsgrad": True}),
    "adamw": (torch.optim.AdamW, {"lr": 0.1, "weight_decay": 0.1}),
}
COURSE = Course(steps=6)


@pytest.fixture(params=OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def kind(request):
    return request.param


def made(kind):
    cls, options = kind
    params = COURSE.params()
    return cls(COURSE.groups(params), **options), params


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_object_itself_steps_as_its_perturbed_copy_would(kind, k):
    optimizer, params = made(kind)
    assert install(optimizer, Scale(k)) is None
    assert isinstance(optimizer, kind[0])
    assert optimizer.noise == Scale(k)
    assert same_bits(walk(COURSE, optimizer, params), walked(COURSE, kind[0], k, **kind[1]))


def test_half_way_it_goes_on_from_where_it_is(kind):
    optimizer, params = made(kind)
    walk(COURSE, optimizer, params, stop=3)
    install(optimizer, Scale(4))
    assert same_bits(walk(COURSE, optimizer, params, start=3), walked(COURSE, *kind[:1], **kind[1]))


def test_hooks_and_references_stay(kind):
    optimizer, _ = made(kind)
    step, groups, state, calls = optimizer.step, optimizer.param_groups, optimizer.state, []
    optimizer.register_step_pre_hook(lambda *_: calls.append("pre"))
    install(optimizer, Scale(3))
    optimizer.register_step_post_hook(lambda stepped, *_: calls.append(stepped))
    optimizer.step()
    assert calls == ["pre", optimizer]
    assert optimizer.param_groups is groups
    assert optimizer.state is state
    assert step.__self__ is optimizer


def test_later_schedulers_and_gradient_scalers_keep_the_noise(kind):
    optimizer, params = made(kind)
    install(optimizer, Scale(3))
    schedule = lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    expected, expected_params = made(kind)
    install(expected, Scale(3))
    for step in range(COURSE.steps):
        optimizer.zero_grad()
        pairs = [pair for pair in zip(params, COURSE.grads(step), strict=True) if pair[1] is not None]
        scaler.scale(sum((param * grad).sum() for param, grad in pairs)).backward()
        scaler.step(optimizer)
        scaler.update()
        schedule.step()
        walk(COURSE, expected, expected_params, start=step, stop=step + 1)
        for group in expected.param_groups:
            group["lr"] *= 0.5
    assert same_bits(everything(optimizer, params), everything(expected, expected_params))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_and_pickles_keep_the_noise(kind, copied):
    optimizer, params = made(kind)
    install(optimizer, Scale(3))
    walk(COURSE, optimizer, params, stop=3)
    twin, twin_params = copied((optimizer, params))
    assert (type(twin), twin.noise) == (type(optimizer), Scale(3))
    assert same_bits(walk(COURSE, twin, twin_params, start=3), walk(COURSE, optimizer, params, start=3))


def test_a_refusal_leaves_the_optimizer_as_it_was(kind):
    optimizer = kind[0]([torch.nn.Parameter(torch.ones(1))], fused=True)
    before = dict(vars(optimizer))
    with pytest.raises(ValueError, match="fused=True cannot be perturbed"):
        install(optimizer, Scale(3))
    assert type(optimizer) is kind[0]
    assert vars(optimizer) == before


def test_twice_and_after_a_scheduler_are_refused(kind):
    optimizer, _ = made(kind)
    lr_scheduler.StepLR(optimizer, 1)
    with pytest.raises(ValueError, match="before making its lr scheduler"):
        install(optimizer, Scale(3))
    optimizer, _ = made(kind)
    install(optimizer, Scale(3))
    with pytest.raises(ValueError, match="perturbed already, by k=3"):
        install(optimizer, Scale(3))
