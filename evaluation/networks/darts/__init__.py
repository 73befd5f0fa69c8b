"""Classifiers of CIFAR-10 and ImageNet built from pairs of DARTS cells."""
