"""Optimizers side by side: the plan of runs, their records, statistics, tables and figures."""
