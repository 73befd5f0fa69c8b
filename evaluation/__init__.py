"""How the robustness table is made: networks, training, attacks, production. ``evaluate`` attacks any classifier."""

from evaluation.attacks.evaluate import evaluate
from evaluation.attacks.outcome import AttackOutcome, Evaluation

__all__ = ["AttackOutcome", "Evaluation", "evaluate"]
