"""Noise in the last bit: perturbed optimizers that differ from torch's by rounding alone.

`perturb(optimizer, Scale(k=3))` turns theta <- theta - lr d into theta <- theta - (lr k) (d / k), the perturbation of
the paper's section 4.1. Mathematically nothing changes. In floating point two more numbers are rounded:

- d / k, separately for each weight: noise in the last bit of the step, which moves about 2-4 % of float32 weights at
  each step of ordinary training, by a unit in the last place (by more where the step nearly cancels the weight). This
  is the noise meant.
- lr k, once for all weights and steps: a tiny systematic change of the learning rate. At lr = 0.1 in float32 it is,
  relative to float32(0.1), +2.5e-8, -1.5e-8, -3.2e-8, -4.1e-8 and +0.7e-8 for k = 3, 5, 7, 9 and 11; in bfloat16
  +1.6e-3, -1.0e-3, -2.1e-3, -2.7e-3 and +0.4e-3. So the paper's k is last-bit noise plus a tiny shift of lr.

For k = 1, 2, 4, 8, ... neither happens: powers of two only shift exponents, so such runs are bit-identical to those of
torch's own optimizer, barring underflow, and k and 2 k always agree. They are the controls of a study (appendix B,
Tables 4 and 5): where one fails there is another source of noise.

A noise is one file of this folder, or one class of anybody's: a subclass of `Noise`, found by being there.
"""

from lastbit.noise.noise import Noise, Option, Unperturbed, noise_from_json
from lastbit.noise.operations import Operations
from lastbit.noise.order import Order
from lastbit.noise.perturb import install, order_batches, perturb
from lastbit.noise.rounding import Rounding
from lastbit.noise.scale import Scale
from lastbit.noise.seeded import Seeded
from lastbit.noise.ulp import Ulp

__all__ = [
    "Noise",
    "Operations",
    "Option",
    "Order",
    "Rounding",
    "Scale",
    "Seeded",
    "Ulp",
    "Unperturbed",
    "install",
    "noise_from_json",
    "order_batches",
    "perturb",
]
