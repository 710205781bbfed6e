"""Random crop and flip on whole batches of tensors, with a generator of their own."""

import torch
from torch import Tensor
from torch.nn import functional

PADDING = 4


def crop_and_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Pad each image by 4 black pixels, crop it back at a random place, mirror it with probability 1/2.

    The usual CIFAR augmentation (He et al. 2016, section 4.2). All draws come from `generator`, on its device.

    Args:
        images: (n, channels, height, width), any dtype.
        generator: drawn from twice, 3n numbers in all.

    Returns:
        A new tensor of the shape, dtype and device of `images`.
    """
    count, _, height, width = images.shape
    corners = torch.randint(0, 2 * PADDING + 1, (2, count, 1), generator=generator).to(images.device)
    mirrored = torch.rand(count, generator=generator).to(images.device) < 0.5
    rows = corners[0] + torch.arange(height, device=images.device)  # (n, height)
    columns = corners[1] + torch.arange(width, device=images.device)  # (n, width)
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    padded = functional.pad(images, (PADDING,) * 4)
    which = torch.arange(count, device=images.device)[:, None, None]
    # Indexing around the channel axis puts it last; the permutation only changes the view, contiguous() the memory.
    return padded[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()
