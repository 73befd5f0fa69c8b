"""Optimizers side by side: a plan of runs, engines that work it off, records, statistics, tables and figures."""
