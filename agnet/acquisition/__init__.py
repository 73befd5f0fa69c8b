"""Acquisition functions: how much a query is worth, given a surrogate's predictions."""
