"""Candidates from latent space: decode latent vectors, follow the model's gradient or add noise, decode again."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from agnet.errors import ConfigurationError
from agnet.generator.model import AbstractGenerator, Decoded
from agnet.generator.sampling import likeliest_graphs
from agnet.runtime.gradients import with_gradients
from agnet.spaces.base import AbstractSpace
from agnet.spaces.graphs import Graphs, RelaxedGraphs

Score = Callable[[RelaxedGraphs], Float[Tensor, " batch"]]
"""Score of each graph, higher for a more desirable query; differentiable."""


@dataclass(frozen=True)
class Proposal:
    """Settings of the search for candidates.

    Attributes:
        prior: number of latent vectors drawn from the prior.
        elites: number of best cells around whose latent vectors candidates are sought.
        copies: noisy copies of each elite's latent vector, and of each promising cell's in a refinement.
        min_noise: smallest share of noise in such a copy, in [0, 1].
        max_noise: largest share of noise.
        ascents: number of latent vectors, those with the most promising graphs, that follow the gradient.
        steps: steps along the gradient of the acquisition function; 0 decodes only.
        step_size: length of a step in latent space.
        temperature: divisor of the scores in the gradient from graph to latent vector. A decisive generator's scores
            are so large that without it the softmax passes no gradient.
        refinements: number of rounds after the ascents that search around the most promising graphs found so far.
        promising: number of such graphs per criterion and refinement.
        neighbors: number of random neighbours, one change away in the space, that join the candidates for each elite
            and each promising cell; for generators that cannot copy a cell.

    Raises:
        ConfigurationError: if there is nothing to start from, or a number is out of range.
    """

    prior: int = 1024
    elites: int = 16
    copies: int = 16
    min_noise: float = 0.2
    max_noise: float = 0.8
    ascents: int = 96
    steps: int = 6
    step_size: float = 1.0
    temperature: float = 4.0
    refinements: int = 8
    promising: int = 8
    neighbors: int = 0

    def __post_init__(self) -> None:
        around = (self.elites, self.copies, self.neighbors)
        counts = min(self.prior, *around, self.ascents, self.steps, self.refinements, self.promising)
        if counts < 0 or self.prior + self.elites * self.copies < 1:
            raise ConfigurationError(f"a proposal needs something to start from and no negative counts, got {self}")
        if not 0 <= self.min_noise <= self.max_noise <= 1 or not self.step_size > 0 or not self.temperature > 0:
            raise ConfigurationError(
                f"a proposal needs 0 <= min_noise <= max_noise <= 1, and step_size and temperature above 0, got {self}"
            )

    def draw(
        self, model: AbstractGenerator, elites: Float[Tensor, "elites latent"], *, rng: torch.Generator
    ) -> Float[Tensor, "drawn latent"]:
        """Draws from the prior, then copies of the elites' latent vectors with noise.

        Args:
            model: generator whose prior is drawn from.
            elites: latent vectors of the best cells.
            rng: source of the draws.
        """
        return torch.cat([model.prior(self.prior, rng=rng), self.near(elites, rng=rng)])

    def near(self, z: Float[Tensor, "centres latent"], *, rng: torch.Generator) -> Float[Tensor, "drawn latent"]:
        """Copies of latent vectors with noise.

        Args:
            z: latent vectors to copy.
            rng: source of the noise.
        """
        return blur(z.repeat(self.copies, 1), self.min_noise, self.max_noise, rng=rng)

    @with_gradients
    def ascend(
        self, model: AbstractGenerator, z: Float[Tensor, "batch latent"], score: Score, *, space: AbstractSpace
    ) -> list[tuple[Float[Tensor, "batch latent"], Graphs]]:
        """Follow the gradient of a score; give every point on the way and the graph that it decodes to.

        The score is that of the decoded graph itself, whose zeros and ones pass the gradient on as if they were the
        generator's probabilities (straight-through: Bengio et al., 2013, https://arxiv.org/abs/1308.3432). All steps
        have the same length, since gradients differ by orders of magnitude between decided and undecided nodes. A
        latent vector that grows longer than draws from the prior is shortened.

        Args:
            model: generator that decodes the latent vectors.
            z: latent vectors to begin at.
            score: function of the graphs to increase.
            space: space that repairs the decoded graphs.
        """
        longest = z.shape[1] ** 0.5 * 1.25
        way = []
        z = z.clone()  # one made under inference mode has no gradient
        for step in range(self.steps + 1):
            z = z.detach()
            if step == self.steps:
                with torch.no_grad():
                    graphs = likeliest_graphs(model(z), space)
                return [*way, (z, graphs)]
            z.requires_grad_()
            decoded = model(z)
            graphs = likeliest_graphs(decoded, space)
            [gradient] = torch.autograd.grad(score(straight_through(decoded, graphs, self.temperature)).sum(), [z])
            z = z.detach()
            way.append((z, graphs))
            length = gradient.norm(dim=1, keepdim=True)
            z = z + self.step_size * gradient / length.clamp(min=torch.finfo(z.dtype).tiny)
            z = z * (longest / z.norm(dim=1, keepdim=True)).clamp(max=1)
        return way


def blur(
    z: Float[Tensor, "batch latent"], min_noise: float, max_noise: float, *, rng: torch.Generator
) -> Float[Tensor, "batch latent"]:
    """Latent vectors with a share of noise drawn uniformly from a range: 0 keeps them, 1 draws from the prior."""
    share = min_noise + (max_noise - min_noise) * torch.rand(
        len(z), 1, generator=rng, dtype=torch.float32, device="cpu"
    )
    return (1 - share.square()).sqrt() * z + share * torch.randn(
        z.shape, generator=rng, dtype=torch.float32, device="cpu"
    )


def straight_through(decoded: Decoded, graphs: Graphs, temperature: float) -> RelaxedGraphs:
    """Graphs as zeros and ones with the gradient of the probabilities that they were decoded from."""
    hard = graphs.relaxed(decoded.nodes.shape[2])
    soft = Decoded(decoded.nodes / temperature, decoded.edges / temperature).relaxed()
    return RelaxedGraphs(
        hard.nodes + (soft.nodes - soft.nodes.detach()), hard.edges + (soft.edges - soft.edges.detach())
    )
