"""Exact Gaussian-process regression.

Source: Rasmussen & Williams, 2006, Gaussian Processes for Machine Learning, algorithm 2.1 and section 5.4.1,
https://gaussianprocess.org/gpml.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy.optimize
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from agnet.surrogates.base import AbstractModel, Posterior

PRIOR_MEAN = (math.log(1.35), 0.0, math.log(0.1))
"""Prior means of the logarithms of lengthscale, amplitude and noise, which are normal with standard deviation 1.

The lengthscale is in units of the root of the number of features, as it has to grow with the dimension (Hvarfner et
al., 2024, https://arxiv.org/abs/2402.02229).
"""

BOUNDS = ((-3.0, 4.0), (-3.0, 1.5), (math.log(0.01), 1.0))
"""Bounds of the same logarithms; predictions in single precision need an amplitude that is not much above 1."""

JITTER = 1e-6
SMALLEST = 1e-8


@dataclass(frozen=True)
class Kernel:
    """A squared-exponential kernel of the mean squared difference of the features, with noise.

    Attributes:
        lengthscale: lengthscale in units of the features' spread.
        amplitude: standard deviation of the function.
        noise: standard deviation of the part that the features do not explain.
    """

    lengthscale: float
    amplitude: float
    noise: float

    def __call__(self, distances: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
        """Covariances of the function between points at given mean squared distances."""
        return self.amplitude**2 * torch.exp(distances * (-0.5 / self.lengthscale**2))


@dataclass(frozen=True)
class _Output:
    """One output's fit: ``whitening`` is the inverse Cholesky factor, ``weights`` the inverse times the targets."""

    kernel: Kernel
    mean: float
    whitening: Float[Tensor, "n n"]
    weights: Float[Tensor, " n"]


class GaussianProcess(AbstractModel):
    """One process per output; lengthscale, amplitude and noise maximise the posterior density.

    Args:
        iterations: largest number of L-BFGS iterations.
    """

    def __init__(self, iterations: int = 25) -> None:
        self.iterations = iterations
        self._features = torch.zeros(0, 0, dtype=torch.float32, device="cpu")
        self._outputs: list[_Output] = []

    @property
    def kernels(self) -> list[Kernel]:
        """The fitted kernels, output by output."""
        return [output.kernel for output in self._outputs]

    def fit(self, features: Float[Tensor, "n features"], targets: Float[Tensor, "n outputs"], *, seed: int) -> None:
        """Fit every output; nothing is drawn, so the seed has no effect."""
        self._features = features.float()
        distances = _distances(features.double(), features.double())
        self._outputs = []
        for column in targets.double().T:
            mean = column.mean()
            kernel = self._kernel(distances.numpy(), (column - mean).numpy())
            covariance = kernel(distances) + (kernel.noise**2 + JITTER) * torch.eye(
                len(column), dtype=torch.float64, device="cpu"
            )
            factor = torch.linalg.cholesky(covariance)
            # the inverse factor once, so that each of the many predictions is a product and not a triangular solve
            whitening = torch.linalg.solve_triangular(
                factor, torch.eye(len(column), dtype=torch.float64, device="cpu"), upper=False
            )
            weights = whitening.T @ (whitening @ (column - mean))
            # the factor needs double precision; predictions are many and use single precision
            self._outputs.append(_Output(kernel, float(mean), whitening.float(), weights.float()))

    def predict(self, features: Float[Tensor, "n features"]) -> "GaussianPosterior":
        """Means and standard deviations, float32."""
        candidates = features.float()
        distances = _distances(self._features, candidates)
        means, whitened = [], []
        for output in self._outputs:
            covariances = output.kernel(distances)
            means.append(output.weights @ covariances + output.mean)
            # squared columns of this sum to the variance that the data explain (algorithm 2.1, line 6)
            whitened.append(output.whitening @ covariances)
        return GaussianPosterior(candidates, torch.stack(means, dim=1), self.kernels, whitened)

    def _kernel(self, distances: ndarray, targets: ndarray) -> Kernel:
        found = scipy.optimize.minimize(
            _energy,
            np.array(PRIOR_MEAN),
            args=(distances, targets),
            jac=True,
            method="L-BFGS-B",
            bounds=BOUNDS,
            options={"maxiter": self.iterations},
        )
        lengthscale, amplitude, noise = np.exp(found.x).tolist()
        return Kernel(lengthscale, amplitude, noise)


class GaussianPosterior(Posterior):
    """A posterior that relates candidates to each other.

    Args:
        features: features of the candidates.
        mean: expected value of every output.
        kernels: one kernel per output.
        whitened: whitened covariances of observed cells with the candidates, ``[n, candidates]``, one per output.
    """

    def __init__(
        self,
        features: Float[Tensor, "n features"],
        mean: Float[Tensor, "n outputs"],
        kernels: list[Kernel],
        whitened: list[Float[Tensor, "measured n"]],
    ) -> None:
        explained = torch.stack([rows.square().sum(dim=0) for rows in whitened], dim=1)
        amplitudes = torch.tensor([kernel.amplitude for kernel in kernels], dtype=torch.float32, device="cpu")
        super().__init__(mean, (amplitudes**2 - explained).clamp(min=SMALLEST).sqrt())
        self._features, self._kernels, self._whitened = features, kernels, whitened
        self._believed: list[list[Tensor]] = [[] for _ in kernels]

    def believe(self, row: int) -> None:
        """Condition on the candidate's mean, which leaves all means unchanged (Ginsbourger et al., 2010)."""
        # only variances change: each pick is a rank-one update of the posterior covariance
        distances = _distances(self._features[[row]], self._features)
        for i, (kernel, rows, believed) in enumerate(zip(self._kernels, self._whitened, self._believed, strict=True)):
            covariance = kernel(distances)[0] - rows[:, row] @ rows
            for update in believed:  # earlier picks have explained part of this covariance
                covariance -= update[row] * update
            update = covariance / (covariance[row].clamp(min=SMALLEST) + kernel.noise**2).sqrt()
            believed.append(update)
            self.std[:, i] = (self.std[:, i].square() - update.square()).clamp(min=SMALLEST).sqrt()


def _distances(first: Float[Tensor, "rows features"], second: Float[Tensor, "columns features"]) -> Tensor:
    """Mean squared differences of the features, ``[rows, columns]``."""
    lengths = first.square().sum(dim=1)[:, None] + second.square().sum(dim=1)
    return torch.addmm(lengths, first, second.T, alpha=-2).clamp(min=0) / max(first.shape[1], 1)


def _energy(logarithms: ndarray, distances: ndarray, targets: ndarray) -> tuple[float, ndarray]:
    """Negative log marginal likelihood minus the log prior, and its gradient (equation 5.9)."""
    lengthscale, amplitude, noise = np.exp(logarithms)
    scaled = distances / lengthscale**2
    signal = amplitude**2 * np.exp(-0.5 * scaled)

    factor = torch.linalg.cholesky(torch.from_numpy(signal + (noise**2 + JITTER) * np.eye(len(targets))))
    inverse = torch.cholesky_inverse(factor).numpy()
    weights = inverse @ targets
    energy = 0.5 * float(targets @ weights) + float(factor.diagonal().log().sum())
    change = 0.5 * (inverse - np.outer(weights, weights))
    shared = change * signal
    # derivatives are with respect to the logarithms, which multiplies each by its hyperparameter
    gradient = np.array([(shared * scaled).sum(), 2 * shared.sum(), 2 * noise**2 * np.trace(change)])
    off = logarithms - np.array(PRIOR_MEAN)
    return energy + 0.5 * float(off @ off), gradient + off
