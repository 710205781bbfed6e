"""Networks of the built-in recipes."""

from lastbit.training.models.activation import Swish, make_activation
from lastbit.training.models.build import build_model, check_fit
from lastbit.training.models.fully_connected import FullyConnected
from lastbit.training.models.one_channel_conv import OneChannelConv
from lastbit.training.models.resnet import ResNet
from lastbit.training.models.small_cnn import SmallCNN
from lastbit.training.models.vgg import VGG16BN

__all__ = [
    "VGG16BN",
    "FullyConnected",
    "OneChannelConv",
    "ResNet",
    "SmallCNN",
    "Swish",
    "build_model",
    "check_fit",
    "make_activation",
]
