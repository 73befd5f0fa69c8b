"""Search runs: the loop, baselines, run directories, results and their plots."""
