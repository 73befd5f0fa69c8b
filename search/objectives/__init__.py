"""Objectives that are neither tables nor live evaluations: models that benchmarks were made of."""
