import copy
import io
import pickle
import re
from collections.abc import Callable

import pytest
import torch
from stepping import Course, everything, same_bits, walk
from torch.optim import lr_scheduler as schedulers

from lastbit.noise import Scale, perturb

OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "adam": (torch.optim.Adam, {"lr": 0.1, "weight_decay": 0.01, "amsgrad": True}),
    "adamw": (torch.optim.AdamW, {"lr": 0.1}),
}
COURSE = Course(steps=6)


@pytest.fixture(params=OPTIMIZERS)
def make(request) -> Callable[[], tuple[torch.optim.Optimizer, list[torch.nn.Parameter]]]:
    """Makes torch's optimizer and its parameters, the same each time."""
    cls, options = OPTIMIZERS[request.param]

    def made() -> tuple[torch.optim.Optimizer, list[torch.nn.Parameter]]:
        params = COURSE.params()
        return cls(COURSE.groups(params), **options), params

    return made


@pytest.fixture
def reference(make) -> list[torch.Tensor]:
    """What torch's optimizer reaches at the end of the course."""
    optimizer, params = make()
    return walk(COURSE, optimizer, params)


def half_way(make, k: int | None) -> tuple[torch.optim.Optimizer, list[torch.nn.Parameter]]:
    optimizer, params = make()
    optimizer = optimizer if k is None else perturb(optimizer, Scale(k))
    walk(COURSE, optimizer, params, stop=3)
    return optimizer, params


def test_result_is_an_ordinary_optimizer_that_shows_its_noise(make):
    optimizer, _ = make()
    perturbed = perturb(optimizer, Scale(3))
    assert perturbed is not optimizer
    assert isinstance(perturbed, type(optimizer))
    assert type(perturbed).__name__ == f"Perturbed{type(optimizer).__name__}"
    assert perturbed.noise == Scale(3)
    first, second, *rest = repr(perturbed).splitlines()
    assert (first, second) == (f"{type(perturbed).__name__} (", "Noise: k=3")
    assert rest == repr(optimizer).splitlines()[1:]


def test_groups_and_loaded_state_carry_over(make, reference):
    optimizer, params = half_way(make, None)
    perturbed = perturb(optimizer, Scale(2))
    assert perturbed.state is optimizer.state
    assert perturbed.param_groups is optimizer.param_groups
    assert same_bits(walk(COURSE, perturbed, params, start=3), reference)


@pytest.mark.parametrize("ours_first", [True, False])
def test_state_dicts_go_both_ways(make, reference, ours_first):
    first, params = half_way(make, 2 if ours_first else None)
    saved = io.BytesIO()
    torch.save(first.state_dict(), saved)
    saved.seek(0)
    second, other_params = make()
    second = second if ours_first else perturb(second, Scale(2))
    second.load_state_dict(torch.load(saved, weights_only=True))
    for param, other in zip(params, other_params, strict=True):
        other.data = param.data
    assert same_bits(walk(COURSE, second, other_params, start=3), reference)


def test_state_dict_is_torchs(make):
    ours, theirs = half_way(make, 3)[0].state_dict(), half_way(make, None)[0].state_dict()
    assert ours["param_groups"] == theirs["param_groups"]
    assert [list(state) for state in ours["state"].values()] == [list(state) for state in theirs["state"].values()]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_and_pickles_go_on_alike_and_alone(make, copied):
    original, params = half_way(make, 3)
    twin, twin_params = copied((original, params))
    assert twin.noise == Scale(3)
    before = [tensor.clone() for tensor in everything(original, params)]
    after = walk(COURSE, twin, twin_params, start=3)
    assert same_bits(everything(original, params), before)
    assert same_bits(walk(COURSE, original, params, start=3), after)


SCHEDULERS = {
    "step": lambda o: schedulers.StepLR(o, 2),
    "multi_step": lambda o: schedulers.MultiStepLR(o, [1, 3]),
    "constant": lambda o: schedulers.ConstantLR(o, 0.3, 3),
    "linear": lambda o: schedulers.LinearLR(o, 0.3),
    "exponential": lambda o: schedulers.ExponentialLR(o, 0.7),
    "polynomial": lambda o: schedulers.PolynomialLR(o, 6),
    "cosine": lambda o: schedulers.CosineAnnealingLR(o, 6),
    "warm_restarts": lambda o: schedulers.CosineAnnealingWarmRestarts(o, 2),
    "lambda": lambda o: schedulers.LambdaLR(o, lambda step: 1 / (1 + step)),
    "multiplicative": lambda o: schedulers.MultiplicativeLR(o, lambda _: 0.7),
    "one_cycle": lambda o: schedulers.OneCycleLR(o, 0.3, total_steps=10),
    "cyclic": lambda o: schedulers.CyclicLR(o, 0.01, 0.3, step_size_up=2),
    "chained": lambda o: schedulers.ChainedScheduler([schedulers.StepLR(o, 2), schedulers.ExponentialLR(o, 0.7)]),
    "sequential": lambda o: schedulers.SequentialLR(
        o, [schedulers.ConstantLR(o, 0.3), schedulers.ExponentialLR(o, 0.7)], [2]
    ),
    "swa": lambda o: torch.optim.swa_utils.SWALR(o, 0.01, anneal_epochs=3),
}


def scheduled(make, k: int | None, scheduler: Callable) -> tuple[list[torch.Tensor], list[tuple]]:
    """What is reached under a scheduler, and what it set on the way."""
    optimizer, params = make()
    optimizer = optimizer if k is None else perturb(optimizer, Scale(k))
    schedule = scheduler(optimizer)
    seen = []
    for step in range(COURSE.steps):
        for param, grad in zip(params, COURSE.grads(step), strict=True):
            param.grad = grad
        optimizer.step()
        schedule.step()
        seen += [(group["lr"], group.get("momentum"), group.get("betas")) for group in optimizer.param_groups]
    return everything(optimizer, params), seen


@pytest.mark.parametrize("scheduler", SCHEDULERS.values(), ids=SCHEDULERS.keys())
def test_lr_schedulers(make, scheduler):
    theirs, their_rates = scheduled(make, None, scheduler)
    ours, our_rates = scheduled(make, 2, scheduler)
    assert same_bits(ours, theirs)
    assert our_rates == their_rates
    assert len(set(our_rates)) > 1
    assert not same_bits(scheduled(make, 3, scheduler)[0], theirs)


def test_plateau_scheduler_lowers_the_rate(make):
    perturbed = perturb(make()[0], Scale(3))
    schedule = schedulers.ReduceLROnPlateau(perturbed, patience=0)
    for loss in (1.0, 1.0, 1.0):
        schedule.step(loss)
    assert perturbed.param_groups[0]["lr"] == pytest.approx(0.1 * 0.1**2)


@pytest.mark.parametrize("k", [None, 2])
def test_closure_is_called_once_with_gradients_on_and_its_loss_returned(make, k):
    optimizer, params = make()
    optimizer = optimizer if k is None else perturb(optimizer, Scale(k))
    calls = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        assert all(param.grad is None for param in params)
        loss = sum(param.square().sum() for param in params)
        loss.backward()
        calls.append(loss)
        return loss

    before = [param.detach().clone() for param in params]
    assert optimizer.step(closure) is calls[0]
    assert len(calls) == 1
    assert all(torch.equal(param.grad, 2 * old) for param, old in zip(params, before, strict=True))
    assert torch.is_grad_enabled()
    assert optimizer.step() is None


def test_hooks_registered_before_and_after_are_called(make):
    optimizer, _ = make()
    calls = []
    optimizer.register_step_pre_hook(lambda *_: calls.append("pre"))
    optimizer.register_state_dict_post_hook(lambda _, saved: calls.append("saved"))
    perturbed = perturb(optimizer, Scale(3))
    handle = perturbed.register_step_post_hook(lambda stepped, *_: calls.append(stepped))
    perturbed.step()
    perturbed.state_dict()
    assert calls == ["pre", perturbed, "saved"]
    handle.remove()
    perturbed.step()
    assert calls == ["pre", perturbed, "saved", "pre"]


def test_added_groups_are_stepped(make):
    def added(k: int | None) -> list[torch.Tensor]:
        optimizer, params = half_way(make, k)
        late = torch.nn.Parameter(torch.ones(5))
        late.grad = torch.linspace(0.1, 0.5, 5)
        optimizer.add_param_group({"params": [late], "lr": 0.3})
        return [*walk(COURSE, optimizer, params, start=3), late.detach()]

    ours, theirs = added(2), added(None)
    assert same_bits(ours, theirs)
    assert not torch.equal(ours[-1], torch.ones(5))


def test_gradient_scaler(make, reference):
    optimizer, params = make()
    perturbed = perturb(optimizer, Scale(2))
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    for step in range(COURSE.steps):
        grads = COURSE.grads(step)
        perturbed.zero_grad()
        used = [(param, grad) for param, grad in zip(params, grads, strict=True) if grad is not None]
        scaler.scale(sum((param * grad).sum() for param, grad in used)).backward()
        scaler.step(perturbed)
        scaler.update()
    assert same_bits(everything(perturbed, params), reference)


def test_step_without_gradients_changes_nothing(make):
    optimizer, params = make()
    before = [param.detach().clone() for param in params]
    perturb(optimizer, Scale(3)).step()
    assert same_bits(everything(optimizer, params), before)


def one_weight() -> list[torch.nn.Parameter]:
    return [torch.nn.Parameter(torch.ones(1))]


def test_twice_is_refused(make):
    perturbed = perturb(make()[0], Scale(3))
    with pytest.raises(ValueError, match="perturbed already, by k=3"):
        perturb(perturbed, Scale(5))


def test_after_an_lr_scheduler_is_refused(make):
    optimizer, _ = make()
    schedulers.StepLR(optimizer, 1)
    with pytest.raises(ValueError, match="perturb the optimizer before making its lr scheduler"):
        perturb(optimizer, Scale(3))


@pytest.mark.parametrize("cls", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("option", ["fused", "differentiable"])
def test_unsupported_options_are_refused(cls, option):
    optimizer = cls(one_weight(), lr=0.1, **{option: True})
    with pytest.raises(ValueError, match=f"build the optimizer with {option}=False"):
        perturb(optimizer, Scale(3))


def test_capturable_is_refused():
    optimizer = torch.optim.Adam(one_weight(), capturable=True)
    with pytest.raises(ValueError, match="build the optimizer with capturable=False"):
        perturb(optimizer, Scale(3))


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (torch.optim.SGD, {"lr": torch.tensor(0.1, requires_grad=True)}, "lr tensor that requires grad"),
        (torch.optim.SGD, {"weight_decay": torch.tensor(0.1)}, "give weight_decay as plain numbers"),
        (torch.optim.Adam, {"betas": (torch.tensor(0.9), torch.tensor(0.99))}, "give betas as plain numbers"),
    ],
)
def test_tensor_options_are_refused(cls, options, message):
    with pytest.raises(ValueError, match=message):
        perturb(cls(one_weight(), **options), Scale(3))


def test_unsupported_options_that_a_state_dict_brings_are_refused_at_the_step():
    perturbed = perturb(torch.optim.SGD(one_weight()), Scale(3))
    perturbed.load_state_dict(torch.optim.SGD(one_weight(), fused=True).state_dict())
    with pytest.raises(ValueError, match="fused=True cannot be perturbed"):
        perturbed.step()


@pytest.mark.parametrize("thing", [None, torch.nn.Linear(1, 1), torch.optim.SGD])
def test_only_optimizers_are_perturbed(thing):
    with pytest.raises(TypeError, match=r"put on a torch\.optim\.Optimizer, got "):
        perturb(thing, Scale(3))


@pytest.mark.parametrize("noise", [3, "k=3", None])
def test_only_noises_perturb(noise):
    with pytest.raises(TypeError, match=re.escape(f"is a noise such as Scale(k=3), got {noise!r}")):
        perturb(torch.optim.SGD(one_weight()), noise)
