"""Options that the `lastbit pde` commands share, and the network they describe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lastbit.cli.options import LARGEST, LARGEST_SEED, MOST_PIXELS
from lastbit.errors import LastbitError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lastbit.pde import OneLayerCNN


ImageOption = Annotated[
    str, typer.Option("--image", metavar="IMAGE", help="checkerboard, noise:SEED, or a square FILE.png or FILE.npy.")
]
SizeOption = Annotated[
    int, typer.Option("--size", max=MOST_PIXELS, help="Side N of a checkerboard or noise image, in pixels.")
]
KernelOption = Annotated[int, typer.Option("--kernel", max=MOST_PIXELS, help="Side W of the kernel, in pixels.")]
LabelOption = Annotated[int, typer.Option("--label", help="Label y of the image, 0 or 1.")]
BetaOption = Annotated[float, typer.Option("--beta", help="Swish's steepness β.")]
PoolOption = Annotated[str, typer.Option("--pool", help="Pooling: sum, as in the paper's analysis, or mean.")]
BoundaryOption = Annotated[str, typer.Option("--boundary", help="Convolution: valid, same or circular.")]
MomentumOption = Annotated[float, typer.Option("--momentum", help="Momentum μ.")]
NesterovOption = Annotated[bool, typer.Option("--nesterov", help="Nesterov's momentum.")]
StepsOption = Annotated[int, typer.Option("--steps", max=LARGEST, help="Number of updates.")]
SeedOption = Annotated[
    int, typer.Option("--seed", max=LARGEST_SEED, help="The kernel starts at RandomState(SEED).randn(W, W).")
]
DtypeOption = Annotated[str, typer.Option("--dtype", help="Arithmetic: float32 or float64.")]


def make_image(image: str, size: int) -> NDArray[np.floating]:
    """Return the image that `--image` and `--size` name, (N, N).

    Raises:
        LastbitError: an unknown image, a file that is none, or a size below 1.
    """
    from lastbit.pde import checkerboard, noise, read_image

    kind, colon, seed = image.partition(":")
    if image == "checkerboard":
        return checkerboard(size)
    if kind == "noise" and colon:
        if not seed.isdecimal():
            raise LastbitError(f"--image {image}: the seed of noise is a whole number, as in noise:0")
        return noise(size, int(seed))
    if Path(image).suffix.lower() in (".png", ".npy"):
        return read_image(image)
    raise LastbitError(f"--image {image}: allowed are checkerboard, noise:SEED, FILE.png and FILE.npy")


def make_net(image: str, size: int, *, kernel: int, label: int, beta: float, pool: str, boundary: str) -> OneLayerCNN:
    """Return the one-layer network that the options describe.

    Raises:
        LastbitError: an option is out of range.
    """
    from lastbit.pde import OneLayerCNN

    return OneLayerCNN(make_image(image, size), kernel=kernel, label=label, beta=beta, pool=pool, boundary=boundary)
