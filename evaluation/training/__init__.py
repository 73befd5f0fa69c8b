"""Training: many small networks at once, or one final network."""
