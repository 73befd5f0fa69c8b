"""NAS-Bench-NLP: recurrent cells of a language model, up to twenty operations and three hidden states.

Source: Klyuchnikov et al., 2020, https://arxiv.org/abs/2006.07116, and the 4,322 of its recipes that were trained three
times. A cell computes new hidden states from its input and the previous ones; the new state ``h_new_0`` is also the
cell's output. Operations are three activations (one source), elementwise sum and product (two), linear (two or three,
each with its own weights), and blend (three). All 4,322 recipes at hand have these numbers of sources, use every
operation, read the input, and have as many previous hidden states as new ones, each of them read. The space makes this
its rule.

As a graph, node 0 is the input ``x``, nodes 1 to 3 are the previous hidden states, the operations follow, and the last
node is the output, which every new hidden state has an edge to. A graph does not number hidden states: the j-th node
that the output reads is the next value of node j. A node's type says which of the nodes 1 to 3 is ``h_prev_0``; the
names of the others are interchangeable. States that a cell does not have are nodes without edges.

As a string, a cell is ``linear(0,1)|tanh(4)|output(*5)``: every operation with its sources, then the output with the
new hidden states; ``*`` marks ``h_new_0``.

A graph does not order the sources of a node either, which matters only for a blend. With sources ``a < b < c`` it is
``c a + (1 - c) b`` here: the latest node is the gate. Recipes are numbered such that this holds wherever possible.
"""
