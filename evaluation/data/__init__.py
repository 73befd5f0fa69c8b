"""Image sets with fixed splits: networks are trained on ``train``, selected by ``valid`` and judged on ``test``."""

from evaluation.data.arrays import image_npz
from evaluation.data.bundled import digits
from evaluation.data.folders import image_folder
from evaluation.data.images import Images, ImageSplits
from evaluation.data.nasbench201 import cifar10, cifar100, imagenet16

__all__ = ["ImageSplits", "Images", "cifar10", "cifar100", "digits", "image_folder", "image_npz", "imagenet16"]
