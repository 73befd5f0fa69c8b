"""Produce a robustness table: train, attack, corrupt, measure and record every network of a protocol once.

A protocol says how; a unit (architecture and seed) is what is recorded at once; a store keeps one file per unit;
executors work units off in any order and number of processes; merging checks all files and writes the table.
"""
