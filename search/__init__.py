"""How searches are run: the loop, baselines, run directories, results and their plots."""
