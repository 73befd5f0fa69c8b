"""Measurements: each script answers the question in its first line; results and commands are in README.md here."""
