"""AGNet: generative neural architecture search with robustness at its heart."""
