"""A noise put on an optimizer of somebody's program."""

from torch.optim import SGD, Adam, AdamW, Optimizer

from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.noise import Noise, Scale, install

_OTHERS = "use --noise ulp or --noise rounding, which any optimizer takes"


class RefusedError(LastbitError):
    """A noise cannot be put on an optimizer; the message is for the person who chose both."""


def attach(optimizer: Optimizer, noise: Noise) -> bool:
    """Put `noise` on `optimizer`; return whether its fused kernels were turned off for that.

    k needs torch's other kernels, since no fused one takes a divided direction. They are turned off for every k, 1
    included, so that all trials step alike.

    Raises:
        RefusedError: the noise is not for this optimizer, or not with its options.
    """
    unfused = isinstance(noise, Scale) and _unfuse(optimizer)
    try:
        install(optimizer, noise)
    except LastbitTypeError:
        name = f"{type(optimizer).__module__}.{type(optimizer).__qualname__}"
        raise RefusedError(
            f"--noise scale: k is defined for torch.optim.SGD, Adam and AdamW, and the script makes a {name}; {_OTHERS}"
        ) from None
    except LastbitError as error:
        raise RefusedError(f"the script's {type(optimizer).__name__}: {error}") from None
    return unfused


def _unfuse(optimizer: Optimizer) -> bool:
    fused = type(optimizer) in (SGD, Adam, AdamW) and any(group.get("fused") for group in optimizer.param_groups)
    if fused:
        for options in (*optimizer.param_groups, optimizer.defaults):
            options["fused"] = False
        # Fused kernels divide by a gradient scaler's scale themselves; without them the scaler must do it.
        vars(optimizer).pop("_step_supports_amp_scaling", None)
    return fused
