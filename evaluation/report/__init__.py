"""The analyses of Jung, Lukasik & Keuper, 2023, for any robustness table of NAS-Bench-201.

Source: "Neural Architecture Design and Robustness: A Dataset", ICLR 2023, https://arxiv.org/abs/2306.06712.
"""

from evaluation.report.command import main, report

__all__ = ["main", "report"]
