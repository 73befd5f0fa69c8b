"""Pairings: which latent vector is fitted to a target graph in pretraining.

The paper pairs every target with fresh noise. Nothing then ties a latent vector to a graph, the best-fitting generator
ignores the vector, and a step in latent space changes nothing. The other pairings here tie the two without an encoder:
only the generator is kept.
"""

import abc
import math
from typing import ClassVar

import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from agnet.errors import ConfigurationError
from agnet.generator.loss import log_likelihood
from agnet.generator.model import AbstractGenerator
from agnet.generator.sampling import decode
from agnet.runtime.representation import ShortRepr
from agnet.spaces.base import AbstractSpace
from agnet.spaces.graphs import Graphs

REFERENCE = 10_000
"""Number of cells from which :class:`WhitenedProjection` learns a space's directions."""

FLAT = 1e-3
"""Spread below which a direction of a space counts as constant."""


class AbstractPairing(ShortRepr, abc.ABC):
    """Chooses the latent vectors of a pretraining step."""

    name: ClassVar[str]
    """Name of the pairing's file in ``conf/pairing``, also part of the names of generators pretrained with it."""

    def prepare(self, space: AbstractSpace, latent_size: int, *, rng: torch.Generator) -> None:
        """Learn about a space before the first step.

        Args:
            space: the space of the targets.
            latent_size: size of the latent vectors.
            rng: source of the draws.
        """
        del space, latent_size, rng

    @abc.abstractmethod
    def __call__(
        self, model: AbstractGenerator, graphs: Graphs, *, rng: torch.Generator
    ) -> Float[Tensor, "batch latent"]:
        """A latent vector for every graph, which shall decode to it.

        Args:
            model: the generator at this step.
            graphs: targets, drawn from the space.
            rng: source of the draws.
        """


class FreshNoise(AbstractPairing):
    """Pairs every graph with a draw from the prior: the paper's pretraining."""

    name = "noise"

    def __call__(
        self, model: AbstractGenerator, graphs: Graphs, *, rng: torch.Generator
    ) -> Float[Tensor, "batch latent"]:
        """Draws from the prior, independent of the graphs."""
        return model.prior(len(graphs), rng=rng)


class NearestLatent(AbstractPairing):
    """Pairs every graph with the one of many draws from the prior that explains it best.

    This is implicit maximum likelihood (Li & Malik, 2018, https://arxiv.org/abs/1809.09087): every target gets a close
    latent vector, and no target is left out. Latent vectors that no target chooses learn nothing.

    Args:
        candidates: draws per target; all targets of a step choose among all of them.

    Raises:
        ConfigurationError: if ``candidates`` is below 1.
    """

    name = "nearest"

    def __init__(self, candidates: int = 4) -> None:
        if candidates < 1:
            raise ConfigurationError(f"pairing.candidates must be at least 1, got {candidates}")
        self.candidates = candidates

    def __call__(
        self, model: AbstractGenerator, graphs: Graphs, *, rng: torch.Generator
    ) -> Float[Tensor, "batch latent"]:
        """The draw that makes each graph likeliest."""
        z = model.prior(self.candidates * len(graphs), rng=rng)
        return z[log_likelihood(decode(model, z), graphs).argmax(dim=0)]


class OptimalTransport(AbstractPairing):
    """Assigns as many draws from the prior as there are graphs, such that their joint likelihood is highest.

    Every draw is used once. The latent vectors therefore remain draws from the prior, and the generator still fits the
    uniform distribution over the space (minibatch optimal transport: Fatras et al., 2020,
    https://arxiv.org/abs/1910.04091).
    """

    name = "transport"

    def __call__(
        self, model: AbstractGenerator, graphs: Graphs, *, rng: torch.Generator
    ) -> Float[Tensor, "batch latent"]:
        """The draws, permuted to match the graphs."""
        z = model.prior(len(graphs), rng=rng)
        likelihood = log_likelihood(decode(model, z), graphs)
        rows, columns = linear_sum_assignment(likelihood.T.double().numpy(), maximize=True)
        assert (rows == range(len(graphs))).all()
        return z[torch.from_numpy(columns)]


class WhitenedProjection(AbstractPairing):
    r"""Gives every graph a fixed place in latent space, its address, and adds noise.

    A graph's node types and edges are whitened over the space, along the directions in which graphs differ most, and
    mapped to random orthogonal directions. Addresses thus have the prior's mean and covariance, and similar graphs have
    nearby addresses. A latent vector with as many entries as there are directions distinguishes all graphs.

    With :math:`a` the address, targets are fitted to :math:`\sqrt{1 - s^2}\, a + s\, \epsilon` for noise levels
    :math:`s` drawn uniformly from a range. Little noise teaches what an address decodes to; much noise fills the prior
    between the addresses. This resembles learned per-graph latent vectors (Bojanowski et al., 2018,
    https://arxiv.org/abs/1707.05776), but needs no table of them and serves spaces of any size.

    Args:
        min_noise: smallest share of noise, in [0, 1].
        max_noise: largest share of noise.

    Raises:
        ConfigurationError: if the two do not form a range within [0, 1].
    """

    name = "whitened"

    def __init__(self, min_noise: float = 0.2, max_noise: float = 0.6) -> None:
        if not 0 <= min_noise <= max_noise <= 1:
            raise ConfigurationError(
                f"pairing needs 0 <= min_noise <= max_noise <= 1, got min_noise={min_noise}, max_noise={max_noise}"
            )
        self.min_noise, self.max_noise = min_noise, max_noise
        self._center: Tensor | None = None
        self._directions: Tensor | None = None

    def prepare(self, space: AbstractSpace, latent_size: int, *, rng: torch.Generator) -> None:
        """Whiten flattened graphs along those directions, at most ``latent_size``, in which they differ most."""
        flat = self._drawn(space, rng)
        center = flat.mean(dim=0)
        _, scale, components = torch.linalg.svd(flat - center, full_matrices=False)
        spread = scale / math.sqrt(len(flat))
        varying = int((spread > FLAT).sum())
        rank = min(varying, latent_size)
        if rank < varying:  # directions chosen for their spread look wider than they are: measure it on fresh draws
            spread = ((self._drawn(space, rng) - center) @ components.T).std(dim=0, correction=0)
        whitening = components[:rank].T / spread[:rank]
        random = torch.randn(latent_size, rank, generator=rng, dtype=torch.float64, device="cpu")
        self._center = center.float()
        self._directions = (whitening @ torch.linalg.qr(random).Q.T).float()

    @staticmethod
    def _drawn(space: AbstractSpace, rng: torch.Generator) -> Float[Tensor, "reference features"]:
        graphs = space.encode(space.sample(REFERENCE, rng=rng))
        return graphs.relaxed(space.num_types).flat().double()

    def addresses(self, graphs: Graphs, num_types: int) -> Float[Tensor, "batch latent"]:
        """Addresses of graphs: their latent vectors without noise."""
        if self._center is None or self._directions is None:
            raise RuntimeError("prepare() comes before the first graphs")
        return (graphs.relaxed(num_types).flat() - self._center) @ self._directions

    def __call__(
        self, model: AbstractGenerator, graphs: Graphs, *, rng: torch.Generator
    ) -> Float[Tensor, "batch latent"]:
        """Addresses mixed with noise."""
        share = self.min_noise + (self.max_noise - self.min_noise) * torch.rand(
            len(graphs), 1, generator=rng, dtype=torch.float32, device="cpu"
        )
        place = self.addresses(graphs, model.num_types)
        return (1 - share.square()).sqrt() * place + share * model.prior(len(graphs), rng=rng)
