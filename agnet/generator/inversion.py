"""Find latent vectors of graphs by search and gradient, since a generator has no encoder."""

import torch
from jaxtyping import Float
from torch import Tensor

from agnet.generator.adam import Adam
from agnet.generator.loss import log_likelihood, reconstruction_loss
from agnet.generator.model import AbstractGenerator
from agnet.generator.sampling import decode
from agnet.runtime.gradients import with_gradients
from agnet.spaces.graphs import Graphs

PRIOR_SHARE = 0.01
"""Weight of a latent vector's squared length beside the loss of its graph: keeps the vector within the prior."""


@with_gradients
def invert(
    model: AbstractGenerator,
    graphs: Graphs,
    *,
    rng: torch.Generator | None = None,
    start: Float[Tensor, "batch latent"] | None = None,
    draws: int = 1024,
    steps: int = 40,
    step_size: float = 0.15,
) -> Float[Tensor, "batch latent"]:
    """Latent vectors that decode to given graphs, as well as the generator can.

    The search begins at ``start``, or at the draw from the prior that makes the graph likeliest. It follows the
    gradient of the graph's likelihood and of the prior.

    Args:
        model: the generator to invert.
        graphs: target graphs, one per latent vector.
        rng: source of the draws; None for torch's global one.
        start: latent vectors to begin at; None to draw them.
        draws: number of draws from the prior if ``start`` is None.
        steps: number of Adam steps.
        step_size: learning rate of Adam.
    """
    if not len(graphs):
        return torch.zeros(0, model.latent_size, dtype=torch.float32, device=model.device)
    graphs = graphs.clone()  # those made under inference mode have no place in gradients
    if start is None:
        z = model.prior(draws, rng=rng)
        start = z[log_likelihood(decode(model, z), graphs).argmax(dim=0)]
    z = start.clone().requires_grad_()
    adam = Adam([z], step_size, fused=False)
    for _ in range(steps):
        loss = reconstruction_loss(model(z), graphs).sum() + PRIOR_SHARE * z.square().mean(dim=1).sum()
        [z.grad] = torch.autograd.grad(loss, [z])
        adam.step()
    return z.detach()
