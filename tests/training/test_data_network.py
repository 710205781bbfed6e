"""The real sets, fetched through whatever of their sources this machine reaches, against outside witnesses."""

import hashlib

import numpy as np
import pytest
import torch

from lastbit.training.data import load
from lastbit.training.data.fetching import fetch

pytestmark = pytest.mark.network

# MD5 of data_batch_1.bin to data_batch_5.bin and test_batch.bin, as other libraries publish them.
CIFAR_BATCHES = (
    "5dd7e06a14cb22eb9f671a540d1b7c25",
    "5ea93a67294ea407fff1d09f752e9692",
    "942cd6a4bcdd0dd3c604fbe906cb4421",
    "ae636b3ba5c66a11e91e8cb52e771fcb",
    "53f37980c15c3d472c316c40844f3f0d",
    "803d5f7f4d78ea53de84dbe85f74fb6d",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def test_cifar10_is_the_published_one_byte_for_byte(root):
    fetched = fetch("cifar10", root=root)
    assert fetched.source != "cache"
    dataset = load("cifar10", root=root)
    images = torch.cat([dataset.train_images, dataset.test_images]).flatten(1)
    labels = torch.cat([dataset.train_labels, dataset.test_labels])
    records = torch.cat([labels[:, None].to(torch.uint8), images], dim=1).numpy()
    found = tuple(hashlib.md5(batch.tobytes()).hexdigest() for batch in np.split(records, 6))
    assert found == CIFAR_BATCHES


def test_cifar10_5k_is_its_beginning(root):
    fetch("cifar10", root=root)
    small, whole = load("cifar10-5k", root=root), load("cifar10", root=root)
    assert small.train_images.equal(whole.train_images[:5000])
    assert small.train_labels.equal(whole.train_labels[:5000])
    assert small.test_images.equal(whole.test_images)
    mean = whole.train_images.double().mean((0, 2, 3)) / 255
    assert mean.tolist() == pytest.approx([0.49139968, 0.48215841, 0.44653091], abs=1e-8)


def test_fashion_mini_is_the_beginning_of_fashion_mnist(root):
    fetch("fashion-mnist", root=root)
    whole, mini = load("fashion-mnist", root=root), load("fashion-mini")
    assert whole.train_labels.bincount().tolist() == [6000] * 10
    assert mini.train_images.equal(whole.train_images[:4000])
    assert mini.train_labels.equal(whole.train_labels[:4000])
    assert mini.test_images.equal(whole.test_images[:2000])
    assert mini.test_labels.equal(whole.test_labels[:2000])


def test_mnist01_is_in_mnist_10k(root):
    fetch("mnist-10k", root=root)
    whole, zero_one = load("mnist-10k", root=root), load("mnist01")
    images = torch.cat([whole.train_images, whole.test_images])
    labels = torch.cat([whole.train_labels, whole.test_labels])
    for digit in (0, 1):
        assert images[labels == digit].equal(zero_one.train_images[zero_one.train_labels == digit])
