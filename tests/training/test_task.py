import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from lastbit.training.catalogue import RecipeError, load_recipe
from lastbit.training.data import load
from lastbit.training.task import PADDING, crop_and_flip, prepare


def make_task(*changes):
    return prepare(load_recipe("demo", changes=changes))


def test_takes_the_first_images_and_pads_them():
    data = load("fashion-mini")
    task = make_task("data.train=300", "data.test=20", "data.pad=2")
    assert task.train_images.shape == (300, 1, 32, 32)
    assert torch.equal(task.train_images[:, :, 2:-2, 2:-2], data.train_images[:300])
    assert not task.train_images[:, :, :2].any()
    assert torch.equal(task.test_labels, data.test_labels[:20])
    assert (task.shape, task.classes, task.steps_per_epoch) == ((1, 32, 32), 10, 3)


def test_normalises_pixels_to_the_recipes_mean_and_std():
    task = make_task()
    pixels = task.normalise(task.train_images)
    assert torch.allclose(pixels, (task.train_images / 255 - 0.286) / 0.353, atol=1e-6)
    assert float(pixels.mean()) == pytest.approx(0, abs=0.02)
    assert float(pixels.std()) == pytest.approx(1, abs=0.02)


def test_an_epoch_shows_each_image_once_in_an_order_that_the_seed_decides():
    task = make_task("data.train=300", "data.test=10")

    def labels(seed, epoch):
        epochs = task.epochs(seed)
        batches = [list(next(epochs)) for _ in range(epoch)][-1]
        assert [len(y) for _, y in batches] == [128, 128, 44]
        images = torch.cat([x for x, _ in batches])
        assert torch.equal(images.sum((1, 2, 3)).sort()[0], task.normalise(task.train_images).sum((1, 2, 3)).sort()[0])
        return torch.cat([y for _, y in batches])

    assert torch.equal(labels(1, 1), labels(1, 1))
    assert not torch.equal(labels(1, 1), labels(2, 1))
    assert not torch.equal(labels(1, 1), labels(1, 2))


def test_augmentation_does_not_move_the_order():
    plain, augmented = make_task("data.train=300"), make_task("data.train=300", "data.augment=true")
    for (x, y), (u, v) in zip(next(plain.epochs(1)), next(augmented.epochs(1)), strict=True):
        assert torch.equal(y, v)
        assert not torch.equal(x, u)


def test_standardises_each_pixel_over_the_training_images_it_uses():
    task = make_task("data.train=300", "data.per_pixel=true", "dtype=float64", "data.std=[1.0, 2.0]")
    pixels, _ = task.fixed_batch()
    varies = task.train_images.double().std(0) > 0
    assert not varies.all()
    assert float(pixels.mean(0).abs().max()) < 1e-12
    assert torch.allclose(pixels.square().mean(0)[varies], torch.ones(1, dtype=torch.float64))
    assert not pixels[:, ~varies].any()
    # The test images are measured against the training images.
    images, _ = next(task.test_batches())
    raw, chosen = load("fashion-mini"), (0, 14, 14)
    seen, one = raw.train_images[:300, *chosen].double(), raw.test_images[0, *chosen].double()
    assert float(images[0, *chosen]) == pytest.approx(float((one - seen.mean()) / seen.std(correction=0)))


def test_a_fixed_batch_is_the_first_images_as_they_are():
    task = make_task("data.augment=true")
    images, labels = task.fixed_batch(50)
    data = load("fashion-mini")
    assert torch.equal(images, task.normalise(data.train_images[:50]))
    assert torch.equal(labels, data.train_labels[:50])
    assert len(task.fixed_batch()[1]) == 4000


def test_without_a_batch_size_every_step_sees_all_images():
    recipe = load_recipe("conv-mnist01")
    assert recipe.batch_size is None
    task = prepare(recipe)
    assert task.steps_per_epoch == 1
    assert [len(labels) for _, labels in next(task.epochs(1))] == [2128]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (("data.train=4001",), "data.train = 4001: fashion-mini gives at most 4000"),
        (("data.test=2001",), "data.test = 2001: fashion-mini gives at most 2000"),
        (("batch_size=4001",), "batch_size = 4001: fashion-mini gives at most 4000"),
        (("data.train=100",), "batch_size = 128: fashion-mini gives at most 100"),
        (
            ("model.name=one-channel-conv", "model.depth=1"),
            "tells 2 classes apart .* these are 10 classes and 1 channel",
        ),
        (("data.mean=[0.1, 0.2]",), r"data.mean = \[0.1, 0.2\]: give 1, one for each channel of fashion-mini"),
        (("data.std=[0.1, 0.2, 0.3]",), r"data.std = \[0.1, 0.2, 0.3\]: give 1, one for each channel of fashion-mini"),
    ],
)
def test_a_recipe_that_asks_for_what_the_data_has_not_is_refused(changes, complaint):
    with pytest.raises(RecipeError, match=complaint):
        make_task(*changes)


def test_an_unknown_data_set_is_refused():
    with pytest.raises(ValueError, match="fashion-mni"):
        make_task("data.name=fashion-mnii")


def test_convolutions_that_leave_nothing_of_the_images_are_refused():
    assert prepare(load_recipe("conv-mnist01", changes=("model.depth=13",))).shape == (1, 28, 28)
    with pytest.raises(RecipeError, match=r"model.depth = 14: images of 28 pixels leave room for 13 at most"):
        prepare(load_recipe("conv-mnist01", changes=("model.depth=14",)))


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
