"""Cross-correlation of an image with small kernels, and its adjoint.

Theorem 5.1 needs z(x) = sum_y I(x + y) K(y) at every output position x, and the adjoint
g(y) = sum_x I(x + y) v(x) at every kernel position y. Both are cross-correlations *of the image* and differ only in
how much of the result they keep, so one Fourier routine computes both.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Array = NDArray[np.floating]

BOUNDARIES = ("valid", "same", "circular")
METHODS = ("auto", "fft", "direct")

# Patches, and multiply-adds, of one product of a batch: a tile's 64 responses to each of 256 kernels of 8 x 8. Larger
# products are no faster, and what the activation needs of them would leave the second-level cache.
TILE = 64
SMALL_PRODUCT = 2**20
# Responses of a batch of Fourier correlations.
SMALL_BATCH = 2**14


def extended_image(image: Array, kernel: int, boundary: str) -> Array:
    """Return the image that makes ``boundary`` a plain valid correlation: padded by zeros, or wrapped.

    ``same`` splits the kernel - 1 zeros as deep-learning libraries do, the odd one at the end.
    """
    before = (kernel - 1) // 2
    if boundary == "same":
        return np.pad(image, (before, kernel - 1 - before))
    if boundary == "circular":
        return np.pad(image, (0, kernel - 1), mode="wrap")
    return image


@dataclass(frozen=True, eq=False)
class _Correlation:
    image: Array  # (N, N)
    kernel: int  # W
    boundary: str  # one of BOUNDARIES

    @property
    def side(self) -> int:
        """Output positions along one axis."""
        n = int(self.image.shape[0])
        return n - self.kernel + 1 if self.boundary == "valid" else n

    @property
    def positions(self) -> int:
        """Number M of output positions."""
        return self.side**2

    @cached_property
    def gram_bound(self) -> float:
        """An upper bound on the largest eigenvalue of adjoint(forward(.)): the largest power of the image.

        The operator is a section of a circulant one: on the image's own grid for a circular boundary, otherwise on a
        grid large enough to avoid wrap-around.
        """
        n = self.image.shape[0] + (0 if self.boundary == "circular" else self.kernel - 1)
        power = np.abs(scipy.fft.rfft2(self.image.astype(np.float64), s=(n, n))) ** 2
        return float(power.max())


@dataclass(frozen=True, eq=False)
class FourierCorrelation(_Correlation):
    """Correlation with kernels of one size by FFT, in the image's precision.

    Leading axes of the arguments are batch axes. Output positions are flattened.
    """

    @property
    def distinct(self) -> int:
        """Number U of responses: that of output positions."""
        return self.positions

    @property
    def tiles(self) -> tuple[FourierCorrelation]:
        """Itself: a Fourier transform computes all positions or none."""
        return (self,)

    @property
    def batch(self) -> int:
        """How many kernels to evaluate at once: few, as larger batches leave the cache and are no faster per kernel."""
        return max(1, SMALL_BATCH // self.positions)

    def total(self, values: Array | NDArray[np.bool_]) -> Array:
        """Return the sum over all output positions of values (..., U)."""
        return np.asarray(values.sum(axis=-1))

    @cached_property
    def _length(self) -> int:
        # A circular correlation needs the wrap-around of a DFT of exactly the image's length. The others need at least
        # the extended image's length, so that nothing that is kept is aliased.
        n = int(self.image.shape[0])
        if self.boundary == "circular":
            return n
        return int(scipy.fft.next_fast_len(n if self.boundary == "valid" else n + self.kernel - 1, real=True))

    @cached_property
    def _conjugate_transform(self) -> NDArray[np.complexfloating]:
        image = self.image
        if self.boundary == "same":
            image = extended_image(image, self.kernel, "same")
        transform: NDArray[np.complexfloating] = scipy.fft.rfft2(image, s=(self._length, self._length))
        # glibc returns the top of the heap to the system once it exceeds twice the largest block ever unmapped. The
        # arrays of a step would be returned and paged in again at every step, which can double its time. Freeing one
        # untouched block of 16 MiB raises that limit. With other allocators this has no effect.
        np.empty(2**21)
        return np.asarray(np.conjugate(transform))

    def forward(self, kernels: Array) -> Array:
        """Return the responses z, shape (..., M), of kernels (..., W, W)."""
        z = self._correlate(kernels, self.side)
        return z.reshape(*z.shape[:-2], -1)

    def adjoint(self, weights: Array) -> Array:
        """Return sum_x weights(x) I(x + y), shape (..., W, W), of weights (..., M)."""
        return self._correlate(weights.reshape(*weights.shape[:-1], self.side, self.side), self.kernel)

    def _correlate(self, other: Array, keep: int) -> Array:
        # One axis at a time, so that zero rows are never transformed and discarded rows never transformed back: three
        # quarters of the work of four full 2-D transforms. The spectrum of a
        # correlation is I^ times the conjugate of the other. Here its conjugate is computed, and forward transforms of
        # that, the last one to real numbers, equal the inverse transform without a pass over memory to conjugate.
        n = self._length
        spectrum = scipy.fft.rfft(other, n, axis=-1)
        spectrum = scipy.fft.fft(spectrum, n, axis=-2, overwrite_x=True)
        spectrum *= self._conjugate_transform
        columns = scipy.fft.fft(spectrum, axis=-2, overwrite_x=True, norm="forward")[..., :keep, :]
        result: Array = scipy.fft.hfft(columns, n, axis=-1, norm="forward")[..., :keep]
        return result


@dataclass(frozen=True, eq=False)
class PatchTile:
    """Correlation with some of the image's distinct patches, as a matrix product."""

    patches: Array  # (T, W^2)
    multiplicity: Array  # (T,): at how many positions each occurs
    weighted: Array  # (T, W^2): the patches times their multiplicity

    def total(self, values: Array | NDArray[np.bool_]) -> Array:
        """Return the sum over all these patches' positions of values (..., T)."""
        return np.asarray(values @ self.multiplicity)

    def forward(self, kernels: Array) -> Array:
        """Return the responses z, shape (..., T), of kernels (..., W, W)."""
        response: Array = kernels.reshape(*kernels.shape[:-2], -1) @ self.patches.T
        return response

    def adjoint(self, weights: Array) -> Array:
        """Return sum_x weights(x) I(x + y) over these patches' positions, shape (..., W, W), of weights (..., T)."""
        gathered = weights @ self.weighted
        side = math.isqrt(self.patches.shape[1])
        return gathered.reshape(*gathered.shape[:-1], side, side)


@dataclass(frozen=True, eq=False)
class PatchCorrelation(_Correlation):
    """Correlation as a matrix product with the image's distinct patches (im2col), for small problems.

    Patches that occur at several positions are kept once, with their multiplicity: a checkerboard has two.
    A batch of kernels is one matrix-matrix product, several times faster per kernel than one at a time.
    """

    @cached_property
    def all_patches(self) -> PatchTile:
        """All distinct patches."""
        extended = extended_image(self.image, self.kernel, self.boundary)
        windows = np.lib.stride_tricks.sliding_window_view(extended, (self.kernel, self.kernel))
        # Counted by their bytes, one window at a time: all of them together take W^2 times the image's memory, and
        # sorting them takes minutes if many are equal. 0.0 and -0.0 count as different, which changes no sum.
        counts = Counter(window.tobytes() for row in windows for window in row)
        patches = np.frombuffer(b"".join(counts), self.image.dtype).reshape(-1, self.kernel**2)
        multiplicity: Array = np.array(list(counts.values()), self.image.dtype)
        return PatchTile(patches, multiplicity, patches * multiplicity[:, None])

    @cached_property
    def tiles(self) -> tuple[PatchTile, ...]:
        """The patches in groups of `TILE`, for batches of kernels: the results of a group stay in cache."""
        every, rows = self.all_patches, [slice(i, i + TILE) for i in range(0, self.distinct, TILE)]
        return tuple(PatchTile(every.patches[r], every.multiplicity[r], every.weighted[r]) for r in rows)

    @property
    def batch(self) -> int:
        """How many kernels to evaluate at once."""
        return max(1, SMALL_PRODUCT // (min(TILE, self.distinct) * self.kernel**2))

    @property
    def distinct(self) -> int:
        """Number U of distinct patches."""
        return len(self.all_patches.patches)

    def total(self, values: Array | NDArray[np.bool_]) -> Array:
        """Return the sum over all output positions of values (..., U), given for each distinct patch."""
        return self.all_patches.total(values)

    def forward(self, kernels: Array) -> Array:
        """Return the responses z, shape (..., U), of kernels (..., W, W)."""
        return self.all_patches.forward(kernels)

    def adjoint(self, weights: Array) -> Array:
        """Return sum_x weights(x) I(x + y), shape (..., W, W), of weights (..., U) equal on equal patches."""
        return self.all_patches.adjoint(weights)


Correlation = FourierCorrelation | PatchCorrelation

# A patch matrix of up to this many numbers stays in a core's second-level cache, where a product with it beats
# four FFTs; above it, the FFTs are faster.
PATCH_MATRIX_LIMIT = 2**18


def choose_correlation(image: Array, kernel: int, boundary: str, method: str = "auto") -> Correlation:
    """Return the correlation by ``method``: "fft", "direct" (patches), or "auto", whichever should be faster.

    The two agree to rounding, not to the last bit.
    """
    n = image.shape[0]
    side = n - kernel + 1 if boundary == "valid" else n
    direct = method == "direct" or (method == "auto" and (side * kernel) ** 2 <= PATCH_MATRIX_LIMIT)
    return (PatchCorrelation if direct else FourierCorrelation)(image, kernel, boundary)
