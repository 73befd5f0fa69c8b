"""Train one final network in any number of processes. A killed run continues and ends with the same weights.

No draw is taken from a generator whose state would have to be kept: the order of the images belongs to (seed, epoch),
augmentation and dropped paths belong to (seed, epoch, image). A checkpoint is therefore the weights, the optimiser's
momentum, the scale of the loss, and how far the training is.
"""

import io
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from agnet.errors import AGNetError, ConfigurationError
from agnet.runtime.digests import check_identity
from agnet.runtime.files import write_text
from agnet.runtime.reading import damaged
from agnet.runtime.sealed import read_sealed, write_sealed
from evaluation.networks.darts.network import DARTSNetwork, Logits
from evaluation.randomness import keys
from evaluation.training.distributed import ALONE, Process
from evaluation.training.final_recipe import FinalRecipe
from evaluation.training.streams import AbstractStream

CHECKPOINT = "checkpoint.pt"
HISTORY = "history.jsonl"

_KIND = "training checkpoint"
_ANEW = "remove it to start again"

OTHER_TRAINING = "choose another out, or remove the folder"
"""What to do about a folder that holds another training."""

_LOOK_EVERY = 50
"""Steps between looks at the loss, each of which waits for the device."""

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass
class Progress:
    """Progress of a training.

    Attributes:
        epoch: number of complete epochs.
        step: complete steps of the next one.
        sums: sums of its loss, images, and right predictions so far, float64; see :meth:`Process.gather`.
        history: a row for every complete epoch.
    """

    epoch: int = 0
    step: int = 0
    sums: Float[Tensor, " 3"] = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))
    history: list[dict[str, float | int | None]] = field(default_factory=list)


class Trainer:
    """Trains a network and keeps its progress.

    Args:
        network: network on the process's device.
        stream: stream of the images.
        recipe: optimiser and schedule.
        seed: seed of the images' order, augmentation and dropped paths; initial weights are the network's.
        out: folder of the checkpoint and the history.
        identity: everything that the result depends on, as plain values; a checkpoint of another is refused.
        process: this process among those that train together.
        save_every: steps between checkpoints within an epoch; there is one after every epoch in any case.
        evaluate_every: epochs between looks at the test images; the last epoch's are always judged.
        show: whether to show a bar, on a terminal.

    Raises:
        ConfigurationError: if the batch cannot be shared out among the processes, or is larger than the images.
    """

    def __init__(
        self,
        network: DARTSNetwork,
        stream: AbstractStream,
        recipe: FinalRecipe,
        *,
        seed: int,
        out: Path,
        identity: Mapping[str, Any],
        process: Process = ALONE,
        save_every: int | None = None,
        evaluate_every: int = 1,
        show: bool = False,
    ) -> None:
        if recipe.batch_size % process.world_size:
            raise ConfigurationError(
                f"recipe.batch_size={recipe.batch_size} for {process.world_size} processes; give a multiple, since "
                "it counts the images of all processes together"
            )
        if recipe.batch_size < 2:
            raise ConfigurationError(
                f"recipe.batch_size={recipe.batch_size}; give at least 2, for normalisations need several images"
            )
        if recipe.batch_size > stream.num_train:
            raise ConfigurationError(
                f"recipe.batch_size={recipe.batch_size}, but there are only {stream.num_train} training images"
            )
        for name, every in (("save_every", save_every), ("evaluate_every", evaluate_every)):
            if every is not None and every < 1:
                raise ConfigurationError(f"{name}={every}; give 1 or more")
        self.network, self.stream, self.recipe, self.seed = network, stream, recipe, seed
        self.out, self.identity, self.process = out, json.loads(json.dumps(identity)), process
        self.save_every, self.evaluate_every, self.show = save_every, evaluate_every, show
        self.optimizer = torch.optim.SGD(
            network.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay
        )
        self.scaler = torch.amp.GradScaler(process.device.type, enabled=recipe.precision == "float16")
        self.progress, self._resumed = Progress(), False
        self.steps_per_epoch = stream.num_train // recipe.batch_size

    def fit(self) -> list[dict[str, float | int | None]]:
        """Train from the checkpoint, or from the beginning, to the end.

        Returns:
            A row for every epoch: losses, accuracies in percent, the rate.

        Raises:
            RunDirectoryError: if the checkpoint belongs to other settings.
            UnreadableFile: if the checkpoint is damaged.
            AGNetError: if the loss is no finite number.
        """
        self.resume()
        wrapped = self.process.wrap(self.network)
        with torch.backends.cudnn.flags(deterministic=True, benchmark=False):
            while self.progress.epoch < self.recipe.epochs:
                self._epoch(wrapped)
        return self.progress.history

    def resume(self) -> None:
        """Take the progress from the checkpoint, if there is one; :meth:`fit` does so by itself.

        Raises:
            RunDirectoryError: if the checkpoint belongs to other settings.
            UnreadableFile: if the checkpoint is damaged.
        """
        path = self.out / CHECKPOINT
        if self._resumed or not path.exists():
            return
        content = read_checkpoint(path)
        check_identity(self.out, content["identity"], self.identity, OTHER_TRAINING)
        try:
            self.network.load_state_dict(content["network"])
            self.optimizer.load_state_dict(content["optimizer"])
            self.scaler.load_state_dict(content["scaler"])
            sums = content["sums"] if self.process.leads else torch.zeros_like(content["sums"])
            self.progress = Progress(content["epoch"], content["step"], sums, content["history"])
        except (KeyError, ValueError, TypeError, RuntimeError) as error:  # torch's text goes on for many lines
            raise damaged(path, "its tensors are not those of this network", _ANEW) from error
        self._resumed = True
        if self.process.leads:
            self._write_history()

    def rows(self, epoch: int) -> Int[Tensor, "steps batch"]:
        """This process's training images of an epoch's steps: of every batch, each ``world_size``-th."""
        first = keys(self.seed, "order", torch.tensor([epoch]))
        rng = torch.Generator().manual_seed(int(first))
        order = torch.randperm(self.stream.num_train, generator=rng)
        whole = order[: self.steps_per_epoch * self.recipe.batch_size].view(self.steps_per_epoch, -1)
        return whole[:, self.process.rank :: self.process.world_size]

    def _epoch(self, wrapped: nn.Module) -> None:
        progress, epoch, device = self.progress, self.progress.epoch, self.process.device
        began = time.perf_counter()
        self.network.train()
        self.network.drop_path = self.recipe.dropped(epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(epoch)
        rows = self.rows(epoch)[progress.step :]
        batches = self.stream.batches(rows, seed=self.seed, epoch=epoch, device=device)
        show = self.show and self.process.leads
        bar = tqdm(
            batches,
            f"epoch {epoch + 1} of {self.recipe.epochs}",
            total=self.steps_per_epoch,
            initial=progress.step,
            disable=None if show else True,
            leave=False,
        )
        for (pixels, labels), chosen in zip(bar, rows.to(device), strict=True):
            key = keys(self.seed, "drop_path", chosen, torch.full_like(chosen, epoch))
            point = self._perturbed(pixels, labels, chosen, key)
            loss, logits = self._step(wrapped, pixels, point, labels, key)
            right = (logits.argmax(dim=1) == labels).sum()
            found = torch.stack(
                [loss.double() * len(labels), torch.full_like(right, len(labels)).double(), right.double()]
            )
            progress.sums = progress.sums.to(device) + found
            progress.step += 1
            last = progress.step == self.steps_per_epoch
            saves = self.save_every is not None and progress.step % self.save_every == 0 and not last
            if saves or last or progress.step % _LOOK_EVERY == 0:
                self._look()
            if saves:
                self._save()
        loss_sum, images, right = self.process.total(progress.sums).tolist()
        row: dict[str, float | int | None] = {
            "epoch": epoch + 1,
            "learning_rate": self.recipe.rate(epoch),
            "drop_path": self.recipe.dropped(epoch),
            "train_loss": loss_sum / images,
            "train_accuracy": 100 * right / images,
        }
        judged = (epoch + 1) % self.evaluate_every == 0 or epoch + 1 == self.recipe.epochs
        row |= self.evaluate() if judged else {"test_loss": None, "test_accuracy": None, "test_top5_accuracy": None}
        row["seconds"] = round(time.perf_counter() - began, 3)
        progress.history.append(row)
        progress.epoch, progress.step, progress.sums = epoch + 1, 0, torch.zeros(3, dtype=torch.float64)
        self._save()
        if show:
            tqdm.write(
                f"epoch {row['epoch']}: loss {row['train_loss']:.4f}, train {row['train_accuracy']:.2f} %"
                + (f", test {row['test_accuracy']:.2f} %" if judged else "")
            )

    def _step(
        self,
        wrapped: nn.Module,
        pixels: Float[Tensor, "batch channels height width"],
        point: Float[Tensor, "batch channels height width"] | None,
        labels: Int[Tensor, " batch"],
        key: Int[Tensor, " batch"],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "batch classes"]]:
        """One step down, for the perturbed images if there are any; the classifier's loss and its logits."""
        recipe = self.recipe
        self.optimizer.zero_grad()
        outputs: list[Tensor | Logits] = []

        def ask(images: Tensor) -> Tensor:
            # a wrapped network shares its buffers in every call, and may be called once before its gradients are taken
            outputs.append(self._answer(wrapped if not outputs else self.network, images, key))
            return _classified(outputs[-1])

        if recipe.adversarial is None or point is None:
            loss = F.cross_entropy(ask(pixels), labels, label_smoothing=recipe.label_smoothing)
        else:
            smoothing = recipe.label_smoothing
            loss = recipe.adversarial.loss(ask, pixels, point, labels, label_smoothing=smoothing) / len(labels)
        found, whole = outputs[0], loss
        if isinstance(found, Logits):
            auxiliary = F.cross_entropy(found.auxiliary.float(), labels, label_smoothing=recipe.label_smoothing)
            whole = loss + recipe.auxiliary_weight * auxiliary
        self.scaler.scale(whole).backward()
        if recipe.gradient_clip:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), recipe.gradient_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach(), _classified(found).detach()

    def _answer(self, network: nn.Module, images: Tensor, key: Int[Tensor, " batch"] | None = None) -> Tensor | Logits:
        precision = _DTYPES[self.recipe.precision]
        with torch.autocast(images.device.type, precision, enabled=precision != torch.float32):
            return network(images, key)

    def _perturbed(
        self,
        pixels: Float[Tensor, "batch channels height width"],
        labels: Int[Tensor, " batch"],
        chosen: Int[Tensor, " batch"],
        key: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch channels height width"] | None:
        """Images that mislead the network as it is, in adversarial training."""
        adversary, progress = self.recipe.adversarial, self.progress
        if adversary is None:
            return None
        start = keys(self.seed, "adversarial", chosen, torch.full_like(chosen, progress.epoch))
        radius = adversary.radius(progress.epoch + (progress.step + 1) / self.steps_per_epoch)
        self.network.train(adversary.batch_norm == "train")
        point = adversary.perturb(
            lambda images: _classified(self._answer(self.network, images, key)), pixels, labels, start, eps=radius
        )
        self.network.train()
        return point

    def evaluate(self) -> dict[str, float | None]:
        """On test images: mean cross-entropy; in percent, how often the likeliest class, or one of five, is right."""
        process, total = self.process, torch.zeros(4, dtype=torch.float64)
        process.share_buffers(self.network)
        self.network.eval()
        precision = _DTYPES[self.recipe.precision]
        rows = range(process.rank, self.stream.num_test, process.world_size)
        batch_size = max(1, self.recipe.batch_size // process.world_size)
        with torch.no_grad():
            for pixels, labels in self.stream.test(rows, batch_size, process.device):
                with torch.autocast(pixels.device.type, precision, enabled=precision != torch.float32):
                    logits = self.network(pixels).float()
                likeliest = logits.topk(min(5, logits.shape[1])).indices == labels[:, None]
                losses = F.cross_entropy(logits, labels, reduction="sum")
                found = (
                    losses,
                    likeliest[:, 0].sum(),
                    likeliest.sum(),
                    torch.tensor(len(labels), device=labels.device),
                )
                total = total.to(process.device) + torch.stack([value.double() for value in found])
        loss, first, five, images = process.total(total).tolist()
        return {
            "test_loss": loss / images if math.isfinite(loss) else None,
            "test_accuracy": 100 * first / images,
            "test_top5_accuracy": 100 * five / images,
        }

    def _look(self) -> None:
        """Bring the sums together; stop where the loss is no number, before a checkpoint could keep it."""
        progress = self.progress
        progress.sums = self.process.gather(progress.sums)
        loss = float(self.process.total(progress.sums)[0])
        if not math.isfinite(loss):
            raise AGNetError(
                f"the loss is {loss} in epoch {progress.epoch + 1}, by step {progress.step}: lower "
                "recipe.learning_rate, or give recipe.precision=float32; the last checkpoint is from before it"
            )

    def _save(self) -> None:
        """Write the checkpoint, then the history; the sums were brought together just before."""
        if not self.process.leads:
            return
        progress = self.progress
        content = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "epoch": progress.epoch,
            "step": progress.step,
            "sums": progress.sums.cpu(),
            "history": progress.history,
        }
        torch.save(content, buffer := io.BytesIO())
        write_sealed(self.out / CHECKPOINT, buffer.getvalue(), kind=_KIND, identity=self.identity)
        self._write_history()

    def _write_history(self) -> None:
        write_text(self.out / HISTORY, history_text(self.progress.history))


def _classified(found: Tensor | Logits) -> Float[Tensor, "batch classes"]:
    """The classifier's logits."""
    return (found.logits if isinstance(found, Logits) else found).float()


def history_text(history: list[dict[str, float | int | None]]) -> str:
    """The content of the history's file: a line of JSON for every epoch."""
    return "".join(f"{json.dumps(row)}\n" for row in history)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint: tensors, numbers and text alone, and the identity of its training.

    Raises:
        UnreadableFile: if it is damaged, or none.
    """
    sealed = read_sealed(path, kind=_KIND)
    load: Callable[..., Any] = torch.load
    try:
        content = load(io.BytesIO(sealed.content), map_location="cpu", weights_only=True)
    except Exception as error:  # what is not torch's can raise almost anything; its advice would be to trust the file
        raise damaged(path, "it holds more than tensors and numbers", _ANEW) from error
    if not isinstance(content, dict):
        raise damaged(path, "it holds no checkpoint", _ANEW)
    return {**content, "identity": sealed.identity}
