"""Image sets with fixed train / valid / test splits: what networks are trained on, selected by and judged on."""

from evaluation.data.arrays import image_npz
from evaluation.data.bundled import digits
from evaluation.data.folders import image_folder
from evaluation.data.images import Images, ImageSplits
from evaluation.data.nasbench201 import cifar10, cifar100, imagenet16

__all__ = ["ImageSplits", "Images", "cifar10", "cifar100", "digits", "image_folder", "image_npz", "imagenet16"]
