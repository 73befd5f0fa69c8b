"""Values and limits of evaluated architectures: outcomes, Pareto fronts, scalarizations."""
