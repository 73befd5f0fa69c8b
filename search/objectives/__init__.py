"""Objectives that are neither tables nor live evaluations: the surrogate models of benchmarks."""
