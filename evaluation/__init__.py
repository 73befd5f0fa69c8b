"""How the robustness table is made: networks, training, attacks, production. ``evaluate`` attacks any classifier."""

from evaluation.evaluator import evaluate
from evaluation.outcome import Evaluation, Outcome

__all__ = ["Evaluation", "Outcome", "evaluate"]
