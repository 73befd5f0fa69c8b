"""DARTS: a normal and a reduction cell, about 10^18 pairs; NAS-Bench-301's space.

Source: Liu et al., 2019, https://arxiv.org/abs/1806.09055. A cell has two inputs, 0 and 1, and four intermediate nodes,
2 to 5. Each of these is the sum of two operations that read two different earlier nodes. The output concatenates the
four.
"""
