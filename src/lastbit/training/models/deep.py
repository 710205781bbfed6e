"""The deep networks of the paper: the CIFAR ResNets of He et al. (2016), as its authors train them, and VGG16-BN."""

import math

from torch import Tensor, nn

from lastbit.errors import LastbitError
from lastbit.training.models.activation import Activation


class _Block(nn.Module):
    """Two 3x3 convolutions with BatchNorm and a shortcut, a 1x1 convolution with BatchNorm where shapes change."""

    def __init__(self, width_in: int, width_out: int, stride: int, activation: Activation) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width_out)
        self.act1 = activation()
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width_out)
        self.act2 = activation()
        self.shortcut = (
            nn.Identity() if stride == 1 and width_in == width_out else _projection(width_in, width_out, stride)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output for x (batch, channels, H, W), with halved sides where it strides."""
        inner = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x)))))
        out: Tensor = self.act2(inner + self.shortcut(x))
        return out


def _projection(width_in: int, width_out: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(width_in, width_out, 1, stride=stride, bias=False), nn.BatchNorm2d(width_out))


class ResNet(nn.Module):
    """CIFAR ResNet of depth 6n + 2 with widths 16, 32, 64 (He et al. 2016, section 4.2).

    Convolutions start from N(0, √(2 / (k² · c_out))), as in the paper's authors' script.

    Args:
        depth: 6n + 2, such as 8, 20, 32, 44, 56, 110.
        channels: channels of the input image.
        classes: number of labels.
        activation: makes a fresh activation module for each use.

    Raises:
        LastbitError: a depth that is not 6n + 2 with n ≥ 1.
    """

    def __init__(self, depth: int, channels: int, classes: int, activation: Activation) -> None:
        super().__init__()
        blocks, remainder = divmod(depth - 2, 6)
        if remainder or blocks < 1:
            raise LastbitError(f"a CIFAR ResNet has depth 6n + 2 (8, 20, 32, 44, 56, 110, ...), got {depth}")
        self.stem = nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), activation())
        self.stage1 = _resnet_stage(16, 16, 1, blocks, activation)
        self.stage2 = _resnet_stage(16, 32, 2, blocks, activation)
        self.stage3 = _resnet_stage(32, 64, 2, blocks, activation)
        self.linear = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                initialise_convolution(module)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, channels, height, width) to logits (n, classes)."""
        out = self.stage3(self.stage2(self.stage1(self.stem(images))))
        logits: Tensor = self.linear(out.mean((2, 3)))
        return logits


def _resnet_stage(width_in: int, width_out: int, stride: int, blocks: int, activation: Activation) -> nn.Module:
    first = _Block(width_in, width_out, stride, activation)
    return nn.Sequential(first, *(_Block(width_out, width_out, 1, activation) for _ in range(blocks - 1)))


def initialise_convolution(convolution: nn.Conv2d) -> None:
    """Draw the kernel from N(0, √(2 / (k² · c_out))) and set a bias to 0 (He et al. 2015, fan-out)."""
    area = convolution.kernel_size[0] * convolution.kernel_size[1]
    nn.init.normal_(convolution.weight, 0.0, math.sqrt(2.0 / (area * convolution.out_channels)))
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)


def resnet(shape: tuple[int, int, int], classes: int, activation: Activation, *, depth: int) -> nn.Module:
    """Make a ResNet for images of any size."""
    return ResNet(depth, shape[0], classes, activation)


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
            stages.append(_vgg_stage(channels, widths, activation))
            channels = widths[-1]
        self.stages = nn.Sequential(*stages)
        self.linear = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, channels, height, width) to logits (n, classes)."""
        logits: Tensor = self.linear(self.stages(images).mean((2, 3)))
        return logits


def _vgg_stage(channels: int, widths: tuple[int, ...], activation: Activation) -> nn.Module:
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
