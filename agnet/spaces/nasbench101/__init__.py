"""NAS-Bench-101: up to seven vertices, nine edges, three operations, 423,624 cells.

Source: Ying et al., 2019, https://arxiv.org/abs/1902.09635. Operations sit on vertices, vertices on no path from input
to output are pruned, and isomorphic cells count as one. A cell has one string here: its vertices in order, each with
its operation and the vertices that it reads. Of all topological numberings the one with the smallest key is used.
``conv3x3(0)|conv1x1(0,1)|output(1,2)`` is a 3x3 convolution of the input, a 1x1 convolution of both, and their
concatenation.
"""
