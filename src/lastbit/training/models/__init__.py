"""Networks of the built-in recipes."""

from lastbit.training.models.activation import Swish, make_activation
from lastbit.training.models.build import build_model
from lastbit.training.models.resnet import ResNet
from lastbit.training.models.small_cnn import SmallCNN
from lastbit.training.models.vgg import VGG16BN

__all__ = ["VGG16BN", "ResNet", "SmallCNN", "Swish", "build_model", "make_activation"]
