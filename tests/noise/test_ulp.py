import pytest
import torch
from all_optimizers import ALL, Course
from scipy.stats import chisquare
from stepping import INTEGERS, same_bits

from lastbit.noise import Noise, Ulp, Unperturbed, install, noise_from_json

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def differences(one, other):
    """Indices at which two lists of tensors differ."""
    return [(i, *index.tolist()) for i, pair in enumerate(zip(one, other, strict=True)) for index in differing(*pair)]


def differing(one, other):
    bits = INTEGERS[one.dtype]
    return (one.view(bits) != other.view(bits)).nonzero()


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_first_step_differs_in_one_weight_by_one_unit(cls, seed):
    moved, plain = (Course(cls, noise).walk(stop=1) for noise in (Ulp(seed), None))
    ((tensor, *place),) = differences(moved, plain)
    before, after = plain[tensor][tuple(place)], moved[tensor][tuple(place)]
    assert after == torch.nextafter(before, torch.where(after > before, torch.inf, -torch.inf))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_precision(dtype):
    moved, plain = (Course(torch.optim.SGD, noise, dtype).walk(stop=1) for noise in (Ulp(1), None))
    ((tensor, *place),) = differences(moved, plain)
    before, after = plain[tensor][tuple(place)], moved[tensor][tuple(place)]
    up = torch.tensor(torch.inf if after > before else -torch.inf, dtype=dtype)
    assert after == torch.nextafter(before, up)


def test_no_later_step_moves_a_weight():
    moved, plain = (Course(torch.optim.SGD, noise, options={"lr": 0.0}).walk() for noise in (Ulp(1), None))
    assert len(differences(moved, plain)) == 1


def stepped(values, seed):
    """Weights in two tensors after a first step that leaves them as they are."""
    params = [torch.nn.Parameter(part) for part in torch.tensor(values).split([1, len(values) - 1])]
    optimizer = torch.optim.SGD(params, lr=0.1)
    install(optimizer, Ulp(seed))
    for param in params:
        param.grad = torch.zeros_like(param)
    optimizer.step()
    return torch.cat([param.detach() for param in params])


def test_every_weight_and_both_ways_are_equally_likely_and_some_values_stay():
    values = [1.5, 0.0, -2.5, torch.inf, 3.0, torch.nan, 1e-42, -0.7, -torch.inf]
    counts = torch.zeros(2, len(values))
    start = torch.tensor(values)
    for seed in range(800):
        end = stepped(values, seed)
        (place,) = differing(end, start).flatten().tolist()
        counts[int(end[place] > start[place]), place] += 1
    usual = [0, 2, 4, 7]
    assert counts[:, usual].sum() == 800
    assert chisquare(counts[:, usual].flatten()).pvalue > 1e-6


def test_without_a_normal_weight_none_moves():
    values = [0.0, -0.0, torch.nan, torch.inf]
    assert same_bits([stepped(values, 1)], [torch.tensor(values)])


def test_the_weight_does_not_depend_on_the_layout_in_memory():
    def moved(layout):
        weight = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)).to(memory_format=layout)
        param = torch.nn.Parameter(weight.clone())
        optimizer = torch.optim.SGD([param], lr=0.0)
        install(optimizer, Ulp(5))
        param.grad = torch.zeros_like(param)
        optimizer.step()
        assert param.is_contiguous(memory_format=layout)
        return differing(param.detach(), weight).tolist()

    assert moved(torch.contiguous_format) == moved(torch.channels_last) != []


def test_complex_weights():
    param = torch.nn.Parameter(torch.full((3,), 1 + 2j))
    optimizer = torch.optim.SGD([param], lr=0.0)
    install(optimizer, Ulp(1))
    param.grad = torch.zeros_like(param)
    optimizer.step()
    assert len(differing(torch.view_as_real(param.detach()), torch.tensor([[1.0, 2.0]] * 3))) == 1


def test_is_a_noise_with_a_label_controls_and_json():
    noise = Ulp(3)
    assert isinstance(noise, Noise)
    assert (noise.label, Ulp(None).label) == ("ulp #3", "no ulp")
    assert (noise.is_exact, Ulp(None).is_exact) == (False, True)
    assert noise.source == "last-bit noise"
    assert noise.baseline() == Ulp(None)
    assert noise.controls() == {"repeat": (noise, noise), "null": (Ulp(None), Unperturbed())}
    for each in (noise, Ulp(None)):
        assert noise_from_json(each.as_json()) == each
    batch = object()
    assert noise.arrange(batch, 0) is batch


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, True, "1"])
def test_wrong_seeds(seed):
    with pytest.raises(ValueError, match=r"a whole number from 0 to 2\*\*63 - 1; got "):
        Ulp(seed)
