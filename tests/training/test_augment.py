import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from lastbit.training.task import PADDING, crop_and_flip


def draws(seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.randint(0, 2 * PADDING + 1, (2, count, 1), generator=generator)
    return corners, torch.rand(count, generator=generator) < 0.5


@given(seed=st.integers(0, 1000), count=st.integers(1, 5), channels=st.sampled_from([1, 3]), size=st.integers(2, 9))
@settings(max_examples=50)
def test_crops_and_mirrors_each_image_by_itself(seed, count, channels, size):
    images = torch.arange(count * channels * size * (size + 1)).view(count, channels, size, size + 1)
    found = crop_and_flip(images, torch.Generator().manual_seed(seed))
    corners, mirrored = draws(seed, count)
    for i in range(count):
        top, left = int(corners[0, i]), int(corners[1, i])
        expected = functional.pad(images[i], (PADDING,) * 4)[:, top : top + size, left : left + size + 1]
        assert torch.equal(found[i], expected.flip(-1) if mirrored[i] else expected)


def test_keeps_dtype_and_draws_from_its_own_generator_only():
    state = torch.random.get_rng_state()
    images = torch.randint(0, 256, (200, 3, 8, 8), dtype=torch.uint8)
    torch.random.set_rng_state(state)
    found = crop_and_flip(images, torch.Generator().manual_seed(0))
    assert found.dtype == torch.uint8
    assert found.is_contiguous()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_reaches_every_crop_and_both_mirrorings():
    pixel = torch.zeros(4000, 1, 1, 3)
    pixel[..., 0] = 1
    found = crop_and_flip(pixel, torch.Generator().manual_seed(0))
    places = {tuple(image.flatten().tolist()) for image in found}
    assert places == {(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)}
