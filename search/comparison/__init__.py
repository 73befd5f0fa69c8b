"""Optimizers side by side: a plan of runs, executors that work it off, records, statistics, tables and figures."""
