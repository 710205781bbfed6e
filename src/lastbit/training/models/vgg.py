"""VGG16 with BatchNorm, in its form for 32 x 32 images."""

from torch import Tensor, nn

from lastbit.training.models.activation import Activation
from lastbit.training.models.resnet import initialise_convolution

_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG16BN(nn.Module):
    """Thirteen 3x3 convolutions with BatchNorm in five stages, each ended by 2x2 max pooling; one linear layer.

    Simonyan & Zisserman (2014), configuration D, with the single-layer classifier usual for 32 x 32 images, which
    five poolings bring to 1 x 1.

    Args:
        channels: channels of the input image, at least 32 x 32 pixels.
        classes: number of labels.
        activation: makes a fresh activation module for each convolution.
    """

    def __init__(self, channels: int, classes: int, activation: Activation) -> None:
        super().__init__()
        stages = []
        for widths in _STAGES:
            stages.append(_stage(channels, widths, activation))
            channels = widths[-1]
        self.stages = nn.Sequential(*stages)
        self.linear = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, channels, height, width) to logits (n, classes)."""
        logits: Tensor = self.linear(self.stages(images).mean((2, 3)))
        return logits


def _stage(channels: int, widths: tuple[int, ...], activation: Activation) -> nn.Module:
    layers: list[nn.Module] = []
    for width in widths:
        convolution = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        initialise_convolution(convolution)
        layers += [convolution, nn.BatchNorm2d(width), activation()]
        channels = width
    return nn.Sequential(*layers, nn.MaxPool2d(2))


def vgg16bn(shape: tuple[int, int, int], classes: int, activation: Activation) -> nn.Module:
    """Make a VGG16 for images of at least 32 x 32 pixels."""
    return VGG16BN(shape[0], classes, activation)
