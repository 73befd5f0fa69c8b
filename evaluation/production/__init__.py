"""Produce a robustness table: train, attack, corrupt, measure and record every network of a protocol once.

A protocol says how; a unit (architecture and seed) is what is recorded at once; a store keeps one file per unit;
executors work units off in any order and number of processes; merging checks all files and writes the table.
"""

from evaluation.production.merge import merge
from evaluation.production.produce import produce
from evaluation.production.protocol import Corruptions, Protocol, Sensitivities
from evaluation.production.store import Store
from evaluation.production.unit import Failure, Unit, UnitEvaluator, UnitRecord

__all__ = [
    "Corruptions",
    "Failure",
    "Protocol",
    "Sensitivities",
    "Store",
    "Unit",
    "UnitEvaluator",
    "UnitRecord",
    "merge",
    "produce",
]
