"""NAS-Bench-301: accuracy and training time of DARTS cells, predicted by a surrogate that was fitted to real trainings.

Source: Zela et al., 2022, https://arxiv.org/abs/2008.09777. The surrogate in ONNX format is that of YAHPO Gym
(https://github.com/slds-lmu/yahpo_gym, Apache-2.0). Its inputs are categories of edges and inputs, and the epoch of the
training.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from agnet.errors import ConfigurationError
from agnet.runtime.digests import of_file
from agnet.runtime.reading import read_json
from agnet.spaces.darts.genotype import PREFIX, to_configuration
from agnet.tables.objective import MeasuredObjective, MeasuredReport, measured_objective

COLUMNS = ("cifar10_valid", "train_time_s")
"""Validation accuracy in percent; seconds."""

EPOCHS = (1, 98)

_INACTIVE = "#na#"
_KEYS = [
    *(f"edge_{cell}_{edge}" for cell in ("normal", "reduce") for edge in range(14)),
    *(f"inputs_node_{cell}_{node}" for cell in ("normal", "reduce") for node in (3, 4, 5)),
]
_STORED_PREFIX = PREFIX.replace(":", "_COLON_")


class NASBench301Surrogate:
    """The surrogate; it is deterministic, so every call gives the same prediction for a pair of cells.

    Args:
        model: path of the ONNX file.
        encoding: path of the JSON file with the codes of every category.
        epoch: epoch of the training that is predicted, 1 to 98.

    Raises:
        ConfigurationError: if a file is missing or of another kind, or ``onnxruntime`` is not installed.
    """

    def __init__(self, model: str | Path, encoding: str | Path, epoch: int = EPOCHS[1]) -> None:
        if type(epoch) is not int or not EPOCHS[0] <= epoch <= EPOCHS[1]:
            raise ConfigurationError(f"objective.epoch={epoch}; give a whole number from {EPOCHS[0]} to {EPOCHS[1]}")
        for key, path in (("model", Path(model)), ("encoding", Path(encoding))):
            if not path.is_file():
                raise ConfigurationError(
                    f"no file objective.{key}={path}; set data_root=DIR to the folder of nasbench301_surrogate.onnx"
                )
        try:
            codes = read_json(Path(encoding))
            self._codes = [dict(codes[_STORED_PREFIX + key]) for key in _KEYS]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(
                f"objective.encoding={encoding} lacks {error}; give the surrogate's own"
            ) from error
        self.model, self.epoch = Path(model), epoch
        self._known: dict[str, dict[str, float]] = {}

    @cached_property
    def _session(self) -> Any:
        try:
            import onnxruntime
        except ImportError as error:
            raise ConfigurationError("NAS-Bench-301's surrogate needs pip install -e '.[nasbench301]'") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            return onnxruntime.InferenceSession(str(self.model), options)
        except Exception as error:  # onnxruntime's errors have no common class
            raise ConfigurationError(f"objective.model={self.model} cannot be read: {error}") from error

    def __call__(self, architectures: Sequence[str]) -> list[Mapping[str, float]]:
        """:data:`COLUMNS` of pairs of cells.

        Raises:
            InvalidArchitecture: if a string is not a pair of cells; the message names the first.
        """
        for architecture in architectures:
            if architecture not in self._known:
                self._known[architecture] = self._predicted(architecture)
        return [self._known[architecture] for architecture in architectures]

    def _predicted(self, architecture: str) -> dict[str, float]:
        active = to_configuration(architecture)
        codes = [code[active.get(PREFIX + key, _INACTIVE)] for key, code in zip(_KEYS, self._codes, strict=True)]
        inputs = {"x_cat": np.array([codes], np.int32), "x_cont": np.array([[self.epoch]], np.float32)}
        [[values]] = self._session.run(None, inputs)
        return dict(zip(COLUMNS, map(float, values), strict=True))


def nasbench301_objective(
    model: str,
    encoding: str,
    epoch: int = EPOCHS[1],
    **goal: Any,
) -> tuple[MeasuredObjective, MeasuredReport]:
    """Objective and report of a configuration; see :class:`NASBench301Surrogate` and
    :func:`~agnet.tables.objective.measured_objective`.
    """
    surrogate = NASBench301Surrogate(model, encoding, epoch)
    return measured_objective(
        surrogate,
        COLUMNS,
        free=True,
        inputs={"model": of_file(surrogate.model), "encoding": of_file(Path(encoding)), "epoch": str(epoch)},
        **goal,
    )
