"""What Ulp and Rounding share: any optimizer, with all that torch's optimizers offer."""

import copy
import io
import pickle

import pytest
import torch
from all_optimizers import ALL, FUSED, Course, walked
from stepping import same_bits
from torch.optim import lr_scheduler

from lastbit.noise import Rounding, Ulp, install, perturb

NOISES = [Ulp(1), Rounding(0.3, 1)]
NULLS = [Ulp(None), Rounding(0, 1)]
each_noise = pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.label)


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("null", NULLS, ids=lambda noise: noise.label)
def test_a_null_noise_changes_no_bit_of_any_optimizer(cls, null):
    assert same_bits(walked(cls, null), walked(cls))


def traced(cls, noise=None, **options):
    """The weights after each step of a course: a later step may round the last bit of one away, as RMSprop's does."""
    course = Course(cls, noise, options=options)
    return [weight for step in range(4) for weight in course.walk(step, step + 1)]


@pytest.mark.parametrize("cls", ALL)
@each_noise
def test_a_noise_repeats_and_moves_every_optimizer(cls, noise):
    once = traced(cls, noise)
    assert same_bits(once, traced(cls, noise))
    assert not same_bits(once, traced(cls))
    other = Ulp(2) if isinstance(noise, Ulp) else Rounding(0.3, 2)
    assert not same_bits(once, traced(cls, other))


@pytest.mark.parametrize("cls", ALL)
def test_an_ulp_moves_one_weight_by_one_ulp_at_the_first_step_of_every_optimizer(cls):
    moved, plain = (Course(cls, noise).walk(stop=1) for noise in (Ulp(1), None))
    pairs = [(one.flatten(), other.flatten()) for one, other in zip(moved, plain, strict=True)]
    changed = [(one[i], other[i]) for one, other in pairs for i in (one != other).nonzero().flatten()]
    assert len(changed) == 1
    assert torch.nextafter(changed[0][1], changed[0][0]) == changed[0][0]


@pytest.mark.parametrize("cls", [cls for cls in ALL if cls not in (torch.optim.LBFGS, torch.optim.SparseAdam)])
@pytest.mark.parametrize("noise", [*NOISES, *NULLS], ids=lambda noise: noise.label)
def test_any_choice_of_kernels(cls, noise):
    choices = [{"foreach": True}, {"foreach": False}] if cls is not torch.optim.Muon else []
    choices += [{"fused": True}] if cls in FUSED else []
    for choice in choices:
        same = same_bits(traced(cls, noise, **choice), traced(cls, **choice))
        assert same == noise.is_exact


@each_noise
def test_the_global_generator_is_not_moved(noise):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    walked(torch.optim.Adam, noise)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("cls", [torch.optim.SGD, torch.optim.RMSprop, torch.optim.AdamW])
@each_noise
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_and_pickles_go_on_alike(cls, noise, copied):
    course = Course(cls, noise)
    course.walk(stop=2)
    twin = copy.copy(course)
    twin.optimizer, twin.params = copied((course.optimizer, course.params))
    assert type(twin.optimizer) is type(course.optimizer)
    assert twin.optimizer.noise_steps == 2
    assert same_bits(twin.walk(2, 4), walked(cls, noise))
    assert same_bits(course.walk(2, 4), walked(cls, noise))


@pytest.mark.parametrize("cls", [torch.optim.SGD, torch.optim.RMSprop, torch.optim.AdamW])
@each_noise
def test_a_training_resumed_from_a_state_dict_is_the_uninterrupted_one(cls, noise):
    course, resumed = Course(cls, noise), Course(cls, noise)
    weights = course.walk(stop=2)
    file = io.BytesIO()
    torch.save(course.optimizer.state_dict(), file)
    file.seek(0)
    for param, weight in zip(resumed.params, weights, strict=True):
        param.data = weight
    resumed.optimizer.load_state_dict(torch.load(file, weights_only=True))
    assert same_bits(resumed.walk(2, 4), walked(cls, noise))


@each_noise
def test_state_dicts_go_to_torchs_optimizers_and_come_from_them(noise):
    disturbed, plain = Course(torch.optim.Adam, noise), Course(torch.optim.Adam)
    disturbed.walk()
    saved = disturbed.optimizer.state_dict()
    assert set(saved) == {"state", "param_groups", "noise_steps"}
    plain.optimizer.load_state_dict(saved)
    assert set(plain.optimizer.state_dict()) == {"state", "param_groups"}
    disturbed.optimizer.load_state_dict(plain.optimizer.state_dict())
    assert disturbed.optimizer.noise_steps == 4


@each_noise
def test_hooks_run_once_around_update_and_noise(noise):
    course, seen = Course(torch.optim.SGD), []
    course.optimizer.register_step_pre_hook(lambda *_: seen.append(course.weights()))
    install(course.optimizer, noise)
    course.optimizer.register_step_post_hook(lambda *_: seen.append(course.weights()))
    start = course.weights()
    end = course.walk(stop=1)
    assert len(seen) == 2
    assert same_bits(seen[0], start)
    assert same_bits(seen[1], end)
    assert not same_bits(end, Course(torch.optim.SGD).walk(stop=1))


class OwnSGD(torch.optim.SGD):
    """Calls the step of its parent, which torch wraps in calls of the hooks too."""

    @torch.no_grad()
    def step(self, closure=None):
        return super().step(closure)


class Reassigning(torch.optim.Optimizer):
    """A plain optimizer of a user's, which gives its weights new memory at each step."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    def step(self, closure=None):
        for group in self.param_groups:
            for param in group["params"]:
                param.data = param.data - group["lr"] * param.grad


class Borrowing(torch.optim.SGD):
    """Has a step that is wrapped once more around torch's wrapper."""

    step = torch.no_grad()(torch.optim.Optimizer.profile_hook_step(torch.optim.SGD.step))


@pytest.mark.parametrize("cls", [OwnSGD, Reassigning, Borrowing])
def test_users_optimizers(cls):
    assert same_bits(walked(cls, Rounding(0, 1)), walked(cls))
    moved = Course(cls, Rounding(1, 1))
    plain = Course(cls)
    changed = [one != other for one, other in zip(moved.walk(stop=1), plain.walk(stop=1), strict=True)]
    assert all(each.all() for each in changed)
    assert moved.optimizer.noise_steps == 1
    assert type(moved.optimizer).__name__ == f"Perturbed{cls.__name__}"


@each_noise
def test_perturb_leaves_the_original_alone(noise):
    course = Course(torch.optim.RMSprop)
    perturbed = perturb(course.optimizer, noise)
    assert type(course.optimizer) is torch.optim.RMSprop
    assert isinstance(perturbed, torch.optim.RMSprop)
    assert perturbed.state is course.optimizer.state
    assert f"Noise: {noise.label}" in repr(perturbed)
    with pytest.raises(ValueError, match="perturbed already, by "):
        perturb(perturbed, noise)


@each_noise
def test_lr_schedulers_and_gradient_scalers(noise):
    course, expected = Course(torch.optim.SGD, noise), Course(torch.optim.SGD, noise)
    schedule = lr_scheduler.ExponentialLR(course.optimizer, 0.5)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for step in range(3):
        course._closure(step)()
        loss = sum((param * param.grad).sum() for param in course.params)
        course.optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(course.optimizer)
        scaler.update()
        schedule.step()
        expected._closure(step)()
        loss = sum((param * param.grad).sum() for param in expected.params)
        expected.optimizer.zero_grad()
        loss.backward()
        expected.optimizer.step()
        expected.optimizer.param_groups[0]["lr"] *= 0.5
    assert same_bits(course.weights(), expected.weights())


def test_a_step_that_a_fused_scaler_skips_rounds_nothing():
    course = Course(torch.optim.SGD, Rounding(1, 1), options={"fused": True})
    before = course.weights()
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    loss = sum(param.sum() for param in course.params) * torch.inf
    scaler.scale(loss).backward()
    scaler.step(course.optimizer)
    assert same_bits(course.weights(), before)


def test_a_step_that_raises_is_no_step():
    course = Course(torch.optim.SGD, Rounding(0.3, 1))

    def fails():
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        course.optimizer.step(fails)
    assert course.optimizer.noise_steps == 0
    assert same_bits(course.walk(), walked(torch.optim.SGD, Rounding(0.3, 1)))


def test_a_closures_loss_comes_back():
    course = Course(torch.optim.Adam, Ulp(1))
    assert course.optimizer.step(lambda: 2.5) == 2.5


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
@each_noise
def test_a_compiled_step_is_followed_by_the_noise(noise):
    course = Course(torch.optim.SGD, noise)
    course._closure(0)()
    torch.compile(course.optimizer.step, backend="eager")()
    assert same_bits(course.weights(), Course(torch.optim.SGD, noise).walk(stop=1))
    assert course.optimizer.noise_steps == 1


class Wrapper(torch.optim.Optimizer):
    """As frameworks wrap an optimizer: none of its own, everything handed on."""

    def __init__(self, inner):
        self.inner = inner


@each_noise
def test_wrappers_and_sparse_weights_are_refused(noise):
    course = Course(torch.optim.SGD)
    with pytest.raises(ValueError, match="Wrapper wraps an optimizer: put the noise on the optimizer inside"):
        install(Wrapper(course.optimizer), noise)
    sparse = torch.optim.SGD([torch.nn.Parameter(torch.eye(2).to_sparse())])
    with pytest.raises(ValueError, match="only plain dense tensors"):
        install(sparse, noise)
    assert type(sparse) is torch.optim.SGD
