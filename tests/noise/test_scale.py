import dataclasses
import re

import numpy as np
import pytest
import torch

from lastbit.noise import Scale


@pytest.mark.parametrize("k", [1, 3, 2**24, np.int64(7), np.uint8(9)])
def test_whole_numbers_are_taken_as_int(k):
    scale = Scale(k)
    assert type(scale.k) is int
    assert scale == Scale(int(k))
    assert hash(scale) == hash(Scale(int(k)))


@pytest.mark.parametrize("k", [0, -3, 2**24 + 1, 10**400, 3.0, 2.5, True, "3", None, np.float32(3), np.True_])
def test_anything_else_is_refused_with_what_k_means(k):
    with pytest.raises(
        ValueError, match="divides the optimizer's direction and multiplies its learning rate"
    ) as raised:
        Scale(k)
    message = str(raised.value)
    assert "whole number from 1 (no noise) to 16777216" in message
    assert message.endswith(f"got {k!r}")
    assert "\n" not in message


def test_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Scale(3).k = 5


def test_label_and_json():
    assert Scale(3).label == "k=3"
    assert Scale(3).as_json() == {"kind": "scale", "k": 3}


def test_exactly_the_powers_of_two_are_exact():
    assert [k for k in range(1, 70) if Scale(k).is_exact] == [1, 2, 4, 8, 16, 32, 64]


def test_controls_are_pairs_of_exact_noises():
    scale = Scale(7)
    assert scale.baseline() == Scale(1)
    assert scale.controls() == {"repeat": (Scale(1), Scale(1)), "power_of_two": (Scale(2), Scale(1))}
    assert all(noise.is_exact for pair in scale.controls().values() for noise in pair)


class OwnSGD(torch.optim.SGD):
    pass


@pytest.mark.parametrize("cls", [torch.optim.Adadelta, torch.optim.RAdam, OwnSGD])
def test_other_optimizers_and_subclasses_are_refused_by_name(cls):
    optimizer = cls([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    name = re.escape(f"{cls.__module__}.{cls.__qualname__}")
    with pytest.raises(
        TypeError, match=f"torch.optim's Adagrad, Adam, AdamW, Muon, NAdam, RMSprop and SGD themselves, not {name}"
    ):
        Scale(3).attach(optimizer)
