"""Weights moved with a probability, against the binomial distribution of what is drawn."""

import copy
from itertools import accumulate

import pytest
import torch
from all_optimizers import ALL, Course
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, chisquare
from stepping import same_bits

from lastbit.noise import Noise, Rounding, Unperturbed, install, noise_from_json
from lastbit.noise import rounding as bernoulli
from lastbit.noise.rounding import successes, successes_by_part

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def ways(moved, plain):
    """+1 where a weight is the next number above the plain one, -1 for below, 0 for equal, 9 for anything else."""
    above, below = (torch.nextafter(plain, torch.full_like(plain, limit)) for limit in (torch.inf, -torch.inf))
    found = torch.full(plain.shape, 9)
    found[moved == below] = -1
    found[moved == above] = 1
    found[moved == plain] = 0
    return found


def one_step(noise, weight, grad, **options):
    param = torch.nn.Parameter(weight.clone(memory_format=torch.preserve_format))
    optimizer = torch.optim.SGD([param], lr=0.1, **options)
    if noise is not None:
        install(optimizer, noise)
    param.grad = grad
    optimizer.step()
    return param.detach()


@settings(max_examples=40)
@given(
    p=st.floats(0.001, 1),
    seed=st.integers(0, 2**63 - 1),
    dtype=st.sampled_from(DTYPES),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
)
def test_a_binomial_share_of_weights_moves_by_one_unit_either_way(p, seed, dtype, layout):
    generator = torch.Generator().manual_seed(seed % 1000)
    weight, grad = (torch.rand((40, 5, 5, 5), generator=generator) + 1 for _ in range(2))
    weight, grad = (each.to(dtype).contiguous(memory_format=layout) for each in (weight, grad))
    found = ways(one_step(Rounding(p, seed), weight, grad), one_step(None, weight, grad))
    assert set(found.unique().tolist()) <= {-1, 0, 1}
    moved = int((found != 0).sum())
    low, high = binom.interval(1 - 1e-9, weight.numel(), p)
    assert low <= moved <= high
    low, high = binom.interval(1 - 1e-9, moved, 0.5) if moved else (0, 0)
    assert low <= int((found == 1).sum()) <= high


@pytest.mark.parametrize("cls", ALL)
def test_every_step_of_every_optimizer_rounds_its_own_result(cls):
    course = Course(cls, Rounding(0.2, 1))
    shares = []
    for step in range(3):
        plain = Course(cls)
        for param, other in zip(plain.params, course.params, strict=True):
            param.data = other.detach().clone()
        state = copy.deepcopy(course.optimizer.state_dict())
        plain.optimizer.load_state_dict(state)
        found = [ways(*pair) for pair in zip(course.walk(step, step + 1), plain.walk(step, step + 1), strict=True)]
        assert all(each.abs().max() <= 1 for each in found)
        shares.append(torch.cat([each.flatten() for each in found]))
    low, high = binom.interval(1 - 1e-9, 3 * len(shares[0]), 0.2)
    assert low <= sum(int((share != 0).sum()) for share in shares) <= high
    assert not torch.equal(shares[0], shares[1]), "another step must choose other weights"


def test_weights_that_the_update_left_as_they_were_do_not_move():
    weight = torch.linspace(1, 2, 1000)
    grad = (torch.arange(1000) % 3 == 0).float()
    grad[:9] = 1e-9  # below half a unit of the weight
    found = ways(one_step(Rounding(1, 1), weight, grad), one_step(None, weight, grad))
    assert torch.equal(found != 0, grad == 1)


def test_zero_subnormal_and_not_finite_results_do_not_move():
    weight = torch.tensor([0.1, 1e-40, torch.inf, 1.0, torch.nan, 1.0])
    grad = torch.tensor([1.0, 1e-40, 1.0, torch.inf, 1.0, 1.0])
    plain, moved = one_step(None, weight, grad), one_step(Rounding(1, 1), weight, grad)
    assert plain[0] == 0
    assert same_bits([moved[:5]], [plain[:5]])
    assert moved[5] != plain[5]


def test_parameters_of_several_precisions_and_of_none():
    params = [torch.nn.Parameter(torch.ones(500, dtype=dtype)) for dtype in (*DTYPES, torch.complex64)]
    params += [torch.nn.Parameter(torch.ones(0)), torch.nn.Parameter(torch.ones(3))]
    optimizer = torch.optim.SGD(params, lr=0.5)
    install(optimizer, Rounding(0.5, 1))
    for param in params[:-1]:
        param.grad = torch.ones_like(param)
    optimizer.step()
    moved = [(torch.view_as_real(p)[:, 0] if p.is_complex() else p).detach() != 0.5 for p in params[:-2]]
    assert all(150 < int(each.sum()) < 350 for each in moved)
    assert len({tuple(each.tolist()) for each in moved}) == len(moved), "each is to draw for itself"
    assert torch.equal(params[-1], torch.ones(3))


def test_few_or_no_weights_chosen():
    weight, grad = torch.ones(3), torch.ones(3)
    assert same_bits([one_step(Rounding(1e-12, 1), weight, grad)], [one_step(None, weight, grad)])


def test_is_a_noise_with_a_label_controls_and_json():
    noise = Rounding(0.03, 2)
    assert isinstance(noise, Noise)
    assert (noise.label, Rounding(0, 2).label, Rounding(1, 0).label) == ("p=0.03 #2", "p=0", "p=1 #0")
    assert (noise.is_exact, Rounding(0, 2).is_exact) == (False, True)
    assert noise.source == "last-bit noise"
    assert noise.baseline() == Rounding(0, 0)
    assert noise.controls() == {"repeat": (noise, noise), "null": (Rounding(0, 0), Unperturbed())}
    assert noise_from_json(noise.as_json()) == noise
    batch = object()
    assert noise.arrange(batch, 0) is batch


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), "0.5", None, True])
def test_wrong_probabilities(p):
    with pytest.raises(ValueError, match="a number from 0 to 1; got "):
        Rounding(p, 1)


@pytest.mark.parametrize("seed", [-1, None, 2**63])
def test_wrong_seeds_of_the_draws(seed):
    with pytest.raises(ValueError, match="the seed of a noise is a whole number"):
        Rounding(0.1, seed)


PROBABILITIES = st.floats(1e-4, 1) | st.just(1.0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@given(trials=st.integers(1, 5000), p=PROBABILITIES, seed=st.integers(0, 2**32))
def test_successes_are_distinct_trials_and_as_many_as_binomial(trials, p, seed):
    found = successes(trials, p, generator(seed))
    assert found.dtype == torch.int64
    assert (found.diff() > 0).all()
    assert len(found) == 0 or (found[0] >= 0 and found[-1] < trials)
    low, high = binom.interval(1 - 1e-12, trials, p)
    assert low <= len(found) <= high


@pytest.mark.parametrize("p", [0.01, 0.3, 0.9])
def test_every_trial_and_every_pair_of_neighbours_has_its_probability(p):
    trials, rounds = 40, 1500
    counts, pairs, stream = torch.zeros(trials), 0, generator()
    for _ in range(rounds):
        found = successes(trials, p, stream)
        counts[found] += 1
        pairs += int((found.diff() == 1).sum())
    assert chisquare(counts, counts.mean().expand(trials)).pvalue > 1e-6
    low, high = binom.interval(1 - 1e-9, rounds * trials, p)
    assert low <= counts.sum() <= high
    # Neighbouring pairs overlap, so their number spreads a little more than binomially.
    expected = rounds * (trials - 1) * p**2
    assert abs(pairs - expected) < 6 * (3 * expected) ** 0.5 + 6


def test_more_is_drawn_where_the_first_draw_does_not_reach_the_end(monkeypatch):
    monkeypatch.setattr(bernoulli, "sqrt", lambda _: -100)
    trials, p = 100_000, 0.02
    found = successes(trials, p, generator())
    assert (found.diff() > 0).all()
    low, high = binom.interval(1 - 1e-9, trials, p)
    assert low <= len(found) <= high
    assert found[-1] > trials - 2000


def test_the_ends_of_p():
    assert torch.equal(successes(7, 1, generator()), torch.arange(7))
    assert len(successes(10**12, 1e-300, generator())) == 0


@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=8), p=PROBABILITIES, seed=st.integers(0, 1000))
def test_parts_are_the_whole_cut(sizes, p, seed):
    parts = successes_by_part(sizes, p, generator(seed))
    starts = [0, *accumulate(sizes)]
    assert len(parts) == len(sizes)
    assert all(((part >= 0) & (part < size)).all() for part, size in zip(parts, sizes, strict=True))
    joined = torch.cat([part + start for part, start in zip(parts, starts, strict=False)])
    assert torch.equal(joined, successes(sum(sizes), p, generator(seed)))
