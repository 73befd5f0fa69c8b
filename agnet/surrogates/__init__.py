"""Models that predict outcomes, with uncertainty, from features of cells."""
