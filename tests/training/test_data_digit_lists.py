import json

import numpy as np
import pytest

from lastbit.training.data import digit_lists


@pytest.fixture(scope="module")
def digits():
    """Seven zeros, eight ones, and so on."""
    generator = np.random.default_rng(1)
    return [generator.integers(0, 256, (7 + n, 28, 28), dtype=np.uint8) for n in range(10)]


def test_rounded_intensities_give_the_bytes_back(digits, monkeypatch):
    monkeypatch.setattr(digit_lists, "TEST_PER_CLASS", 4)
    # The package keeps three to four decimals: its intensities times 255 are up to 0.13 off.
    files = {
        f"{n}.json": json.dumps({"data": np.round(images.reshape(-1) / 255, 3).tolist()}).encode()
        for n, images in enumerate(digits)
    }
    found = digit_lists.decode(files)
    assert np.array_equal(found["train_images"], np.concatenate([images[: 3 + n] for n, images in enumerate(digits)]))
    assert np.array_equal(found["test_images"], np.concatenate([images[3 + n :] for n, images in enumerate(digits)]))
    assert found["train_labels"].tolist() == [n for n in range(10) for _ in range(3 + n)]
    assert found["test_labels"].tolist() == [n for n in range(10) for _ in range(4)]
