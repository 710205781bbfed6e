"""Results of operations moved by one unit in the last place, against torch.nextafter and the undisturbed results."""

import gc
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from torch import nn
from torch.nn import functional

import lastbit as lb
from lastbit.noise import Noise, Unperturbed, install, noise_from_json
from lastbit.noise.one_ulp import OneUlpMoves
from lastbit.storage.checkpoint import read_checkpoint, write_checkpoint

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def moved(values, p=1.0, seed=0):
    result = values.clone(memory_format=torch.preserve_format)
    OneUlpMoves(p, torch.Generator().manual_seed(seed)).move(result)
    return result


@settings(max_examples=60, deadline=None)
@given(
    p=st.sampled_from([0.003, 0.03, 0.2, 0.7, 1.0]),
    seed=st.integers(0, 2**32),
    dtype=st.sampled_from(DTYPES),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
)
def test_a_binomial_share_moves_to_a_neighbour_up_or_down(p, seed, dtype, layout):
    values = torch.randn((50, 4, 5, 5), generator=torch.Generator().manual_seed(seed % 99)).to(dtype)
    values = values.contiguous(memory_format=layout)
    after = moved(values, p, seed)
    up, down = (torch.nextafter(values, torch.full_like(values, limit)) for limit in (torch.inf, -torch.inf))
    assert (after == values).logical_or(after == up).logical_or(after == down).all()
    count = int((after != values).sum())
    normal = values.abs() >= torch.finfo(dtype).smallest_normal
    low, high = binom.interval(1 - 1e-9, int(normal.sum()), p)
    assert low <= count <= high
    low, high = binom.interval(1 - 1e-9, count, 0.5) if count else (0, 0)
    assert low <= int((after == up).sum()) <= high


def directions(moves, values):
    """Move a tensor; 1 where an element went up, -1 where down."""
    after = values.clone()
    moves.move(after)
    return (after - values).sign().double()


@pytest.mark.parametrize("p", [0.03, 0.3, 1.0])
def test_elements_move_independently_of_each_other(p):
    count = 3 * (1 << 17) + 5  # more than are drawn for at a time
    signs = directions(OneUlpMoves(p, torch.Generator().manual_seed(3)), torch.full((count,), 1.5))
    for sample in (signs, signs.abs() - p):
        if sample.any():  # at p = 1 all move
            spectrum = torch.fft.rfft(sample, 1 << 20)
            products = torch.fft.irfft(spectrum.abs().square())[:count]
            assert products[1:].abs().max() < 6 * products[0] / count**0.5


@pytest.mark.parametrize("p", [1e-12, 0.0005, 0.03, 0.3, 1.0])
def test_how_elements_are_spread_over_tensors_does_not_count(p):
    values = torch.full((300_000,), 1.5)
    whole = directions(OneUlpMoves(p, torch.Generator().manual_seed(1)), values)
    moves = OneUlpMoves(p, torch.Generator().manual_seed(1))
    sizes = [1, 0, 70_000, 5, 150_000, 79_994]
    assert torch.equal(torch.cat([directions(moves, part) for part in values.split(sizes)]), whole)
    assert whole.any() == (p > 1e-9)


@pytest.mark.parametrize(
    ("dtype", "like"), [(torch.float32, np.float32), (torch.float64, np.float64), (torch.float16, np.float16)]
)
def test_the_bits_are_numpys(dtype, like):
    values = torch.randn(999, generator=torch.Generator().manual_seed(1)).to(dtype)
    after, before = moved(values).numpy(), values.numpy()
    ways = np.where(after > before, np.inf, -np.inf).astype(like)
    assert after.tobytes() == np.nextafter(before, ways).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_subnormal_and_not_finite_results_stay(dtype):
    info = torch.finfo(dtype)
    stays = [0.0, -0.0, torch.inf, -torch.inf, torch.nan, info.smallest_normal / 2, -info.smallest_normal / 2]
    values = torch.tensor(stays, dtype=torch.float64).to(dtype)
    for seed in range(5):
        assert moved(values, seed=seed).view(torch.uint8).equal(values.view(torch.uint8))
        ends = torch.tensor([info.max, -info.max, info.smallest_normal], dtype=dtype)
        assert moved(ends, seed=seed).isfinite().all()
        assert (moved(ends, seed=seed).abs() >= info.smallest_normal).all()


def test_nothing_is_moved_where_nothing_is_chosen():
    values = torch.ones(3)
    assert torch.equal(moved(values, 1e-12), values)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(64, 3)

    def forward(self, x):
        return self.head(functional.max_pool2d(self.norm(self.conv(x)).relu(), 3).flatten(1))


class Course:
    """A small network and its optimizer, a noise on it or not, and steps on made-up data."""

    def __init__(self, noise=None, dtype=torch.float32):
        self.net = Net().to(dtype)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for weight in self.net.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=0.01)
        if noise is not None:
            self.optimizer = lb.perturb(self.optimizer, noise)
        self.dtype = dtype

    def state(self):
        return {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}

    def loss(self, step):
        generator = torch.Generator().manual_seed(step)
        inputs = torch.randn(8, 1, 14, 14, generator=generator).to(self.dtype)
        return functional.cross_entropy(self.net(inputs), torch.randint(3, (8,), generator=generator))

    def walk(self, start=0, stop=4, between=lambda: None):
        for step in range(start, stop):
            self.optimizer.zero_grad()
            self.loss(step).backward()
            self.optimizer.step()
            between()
        return torch.cat([weight.detach().flatten() for weight in self.net.parameters()])


@pytest.mark.parametrize("p", [0.03, 1.0])
def test_a_seed_repeats_and_another_does_not(p):
    once = Course(lb.Operations(1, p)).walk()
    assert torch.equal(once, Course(lb.Operations(1, p)).walk())
    assert not torch.equal(once, Course(lb.Operations(2, p)).walk())
    plain = Course().walk()
    assert not torch.equal(once, plain)
    assert torch.allclose(once, plain, atol=0.03)  # no more than an update of Adam's here and there


@pytest.mark.parametrize("dtype", DTYPES[:3])
def test_p_0_is_no_noise_bit_for_bit(dtype):
    state = torch.get_rng_state()
    assert torch.equal(Course(lb.Operations(1, 0.0), dtype).walk(), Course(dtype=dtype).walk())
    assert torch.equal(Course(lb.Operations(1, 0.5), dtype).walk(), Course(lb.Operations(1, 0.5), dtype).walk())
    torch.set_rng_state(state)


def test_forward_loss_and_gradients_are_disturbed_by_what_one_operation_allows():
    plain, course = Course(), Course(lb.Operations(3, 1.0, ("convolution",)))
    inputs = torch.randn(2, 1, 14, 14)
    before, after = plain.net.conv(inputs), course.net.conv(inputs)
    neighbours = [torch.nextafter(before, torch.full_like(before, limit)) for limit in (torch.inf, -torch.inf)]
    assert (after == neighbours[0]).logical_or(after == neighbours[1]).all()
    assert torch.equal(plain.net.head.weight, course.net.head.weight)
    backward = Course(lb.Operations(3, 1.0, ("convolution_backward",)))
    for each in (plain, backward):
        each.loss(0).backward()
    one, other = plain.net.conv.weight.grad, backward.net.conv.weight.grad
    assert one.any()
    assert torch.equal(one != other, one != 0)
    assert torch.allclose(one, other, rtol=3e-7, atol=0)
    assert torch.equal(plain.net.head.weight.grad, backward.net.head.weight.grad)


def test_the_global_generator_is_not_moved():
    course = Course(lb.Operations(1, 0.5))
    state = torch.get_rng_state()
    course.walk()
    assert torch.equal(torch.get_rng_state(), state)


def test_a_resumed_training_is_the_uninterrupted_one(tmp_path):
    noise = lb.Operations(1, 0.3)
    course = Course(noise)
    course.walk(stop=2)
    write_checkpoint(tmp_path, 2, course.state(), extra={})
    resumed, kept = Course(noise), read_checkpoint(tmp_path)[0].state
    resumed.net.load_state_dict(kept["net"])
    resumed.optimizer.load_state_dict(kept["optimizer"])
    whole = Course(noise).walk()
    assert torch.equal(resumed.walk(2, 4), whole)
    net, optimizer = pickle.loads(pickle.dumps((course.net, course.optimizer)))
    course.net, course.optimizer = net, optimizer
    assert torch.equal(course.walk(2, 4), whole)


def test_measuring_draws_nothing_and_is_not_disturbed():
    noise = lb.Operations(1, 0.3)
    course, plain = Course(noise), Course()
    batch = torch.randn(8, 1, 14, 14), torch.arange(8) % 3
    seen = []

    def measure():
        with torch.no_grad():
            seen.append(course.net.conv(batch[0]))
        course.net.norm.eval()
        seen.append(lb.SharpnessTracker(course.net, functional.cross_entropy, batch).measure().sharpness)
        course.net.norm.train()

    assert torch.equal(course.walk(between=measure), Course(noise).walk())
    assert len(seen) == 8
    plain.net.load_state_dict(course.net.state_dict())
    plain.net.norm.eval()
    course.net.norm.eval()
    with torch.no_grad():
        assert torch.equal(course.net(batch[0]), plain.net(batch[0]))
    trackers = (lb.SharpnessTracker(each.net, functional.cross_entropy, batch) for each in (course, plain))
    assert len({tracker.measure().sharpness for tracker in trackers}) == 1


def test_accumulated_gradients_draw_anew_for_each_batch():
    noise, courses = lb.Operations(1, 0.5), []
    for _ in range(2):
        course = Course(noise)
        first, second = (torch.autograd.grad(course.loss(0), course.net.head.weight)[0] for _ in range(2))
        courses.append((first, second))
    assert not torch.equal(*courses[0])
    assert all(torch.equal(one, other) for one, other in zip(*courses, strict=True))


def test_the_noise_ends_with_its_optimizer():
    course, inputs = Course(lb.Operations(1, 1.0)), torch.randn(8, 1, 14, 14)
    disturbed = course.net(inputs)
    del course.optimizer
    gc.collect()
    assert not torch.equal(course.net(inputs), disturbed)
    assert torch.equal(course.net(inputs), Course().net(inputs))


def test_in_place_and_autocast():
    def loss(noise):
        course = Course()
        if noise is not None:
            install(course.optimizer, noise)
        with torch.autocast("cpu", torch.bfloat16):
            return course.loss(0).detach()

    plain = loss(None)
    assert torch.equal(loss(lb.Operations(1, 0.0)), plain)
    assert 0 < abs(loss(lb.Operations(1, 1.0)) - plain) < 0.1


def test_is_a_noise_with_a_label_controls_and_json():
    noise, chosen = lb.Operations(2, 0.03), lb.Operations(1, 0.5, ["aten::mm", "addmm", "mm"])
    assert isinstance(noise, Noise)
    assert (noise.label, chosen.label) == ("operations p=0.03 #2", "mm+addmm p=0.5 #1")
    assert (noise.is_exact, lb.Operations(2, 0).is_exact) == (False, True)
    assert noise.baseline().label == "operations p=0"
    assert noise.controls() == {"repeat": (noise, noise), "null": (lb.Operations(0, 0.0), Unperturbed())}
    assert all(noise_from_json(each.as_json()) == each for each in (noise, chosen))
    assert chosen == lb.Operations(1, 0.5, ("mm", "addmm"))
    assert lb.Operations(1).p == 0.03


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"seed": 1, "p": 1.5}, "p is the probability of moving a result, a number from 0 to 1; got 1.5"),
        ({"seed": -1}, "the seed of a noise is a whole number"),
        ({"seed": 1, "names": ()}, "names are those of torch's operations"),
        ({"seed": 1, "names": ("a b",)}, "names are those of torch's operations"),
    ],
)
def test_wrong_settings(settings, complaint):
    with pytest.raises(lb.LastbitError, match=complaint):
        lb.Operations(**settings)


def test_an_unknown_operation_is_refused_with_the_nearest_names_and_the_optimizer_left_as_it_was():
    course = Course()
    with pytest.raises(lb.LastbitError, match=r"torch has no operation 'conv_olution'; did you mean convolution"):
        install(course.optimizer, lb.Operations(1, 0.5, ("conv_olution",)))
    assert type(course.optimizer) is torch.optim.Adam
