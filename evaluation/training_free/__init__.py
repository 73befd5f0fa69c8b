"""Measures of untrained networks, and objectives made of them.

One module per measure; a measure is a function of a network, images and labels that gives one number. It works on a
copy and leaves the network as it was. Any module serves: rectifiers are seen where the framework computes them
(:mod:`evaluation.training_free.rectifiers`), be they modules or calls. ``conf/measure`` lists the measures, their
directions and the scale at which they are taken.
"""
