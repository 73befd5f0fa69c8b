"""Training final networks: loss falls, resume is exact, processes share the work."""

import dataclasses
import io
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from agnet.errors import AGNetError, ConfigurationError, RunDirectoryError, UnreadableFile
from agnet.runtime.paths import ROOT
from agnet.runtime.sealed import write_sealed
from evaluation.data.images import Images, ImageSplits
from evaluation.networks.darts.network import DARTSNetwork, DARTSShape
from evaluation.networks.darts.published import PUBLISHED
from evaluation.randomness import keys, uniform
from evaluation.training.adversarial import AbstractAdversary
from evaluation.training.distributed import Process, process_group
from evaluation.training.final_network import CHECKPOINT, HISTORY, Trainer, read_checkpoint
from evaluation.training.final_recipe import FinalRecipe
from evaluation.training.pgd import PGDTraining
from evaluation.training.streams import AbstractStream, ArrayStream, FolderStream
from evaluation.training.trades import TRADES

CPU = torch.device("cpu")
RECIPE = FinalRecipe(epochs=3, batch_size=12, learning_rate=0.05, drop_path=0.3)


def trainer(stream: AbstractStream, out: Path, recipe: FinalRecipe = RECIPE, **settings) -> Trainer:
    torch.manual_seed(0)
    shape = DARTSShape(num_classes=stream.num_classes, channels=2, cells=3, mean=0.4, std=0.25)
    network = settings.pop("network", None) or DARTSNetwork(PUBLISHED["darts_v2"], shape)
    return Trainer(
        network, stream, recipe, **{"seed": 1, "out": out, "identity": {"seed": 1, "images": "ab"}, **settings}
    )


def untimed(history: list[dict]) -> list[dict]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history]


def equal(first: nn.Module, second: nn.Module) -> bool:
    """Bit for bit, running statistics included."""
    others = second.state_dict()
    return all(torch.equal(value, others[name]) for name, value in first.state_dict().items())


@pytest.fixture(scope="module")
def finished(splits: ImageSplits, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    done = trainer(ArrayStream(splits, crop_padding=1, cutout=3), tmp_path_factory.mktemp("finished"))
    done.fit()
    return done


def test_the_loss_falls_and_the_classes_are_learned(splits: ImageSplits, tmp_path: Path) -> None:
    recipe = FinalRecipe(epochs=12, batch_size=12, learning_rate=0.1, drop_path=0.1, auxiliary_weight=0.4)
    history = trainer(ArrayStream(splits, crop_padding=1, cutout=2), tmp_path, recipe).fit()
    losses = [row["train_loss"] for row in history]
    assert losses[-1] < 0.5 * losses[0]
    assert history[-1]["test_accuracy"] > 80
    assert history[-1]["test_top5_accuracy"] == 100
    assert [row["epoch"] for row in history] == list(range(1, 13))
    assert [json.loads(line) for line in (tmp_path / HISTORY).read_text().splitlines()] == history


class Killed(BaseException):
    """Nothing that any handler expects."""


@pytest.mark.parametrize("steps", [1, 4, 6, 11])
def test_a_killed_training_goes_on_as_if_nothing_had_been(
    finished: Trainer, splits: ImageSplits, tmp_path: Path, steps: int
) -> None:
    """Stopped after so many steps, at the beginning, end or middle of an epoch; a checkpoint after every second."""
    stream = ArrayStream(splits, crop_padding=1, cutout=3)
    first = trainer(stream, tmp_path, save_every=2)
    step, done = first._step, 0

    def dying(*arguments):
        nonlocal done
        if done == steps:
            raise Killed
        done += 1
        return step(*arguments)

    first._step = dying
    with pytest.raises(Killed):
        first.fit()
    second = trainer(stream, tmp_path, save_every=2)
    torch.manual_seed(steps)  # whatever state torch's generator is in
    history = second.fit()
    assert untimed(history) == untimed(finished.progress.history)
    assert equal(second.network, finished.network)


@pytest.mark.parametrize(
    "adversary",
    [PGDTraining(steps=2, warmup_epochs=2), TRADES(steps=1, batch_norm="train")],
    ids=lambda a: type(a).__name__,
)
def test_adversarial_training_goes_on_as_well(
    adversary: AbstractAdversary, splits: ImageSplits, tmp_path: Path
) -> None:
    """Bit for bit; a checkpoint holds whatever the perturbations have moved."""
    stream, recipe = ArrayStream(splits, crop_padding=1), dataclasses.replace(RECIPE, epochs=2, adversarial=adversary)
    whole = trainer(stream, tmp_path / "whole", recipe)
    history = whole.fit()
    first, done = trainer(stream, tmp_path / "killed", recipe, save_every=1), 0
    step = first._step

    def dying(*arguments):
        nonlocal done
        if done == 5:
            raise Killed
        done += 1
        return step(*arguments)

    first._step = dying
    with pytest.raises(Killed):
        first.fit()
    second = trainer(stream, tmp_path / "killed", recipe)
    assert untimed(second.fit()) == untimed(history)
    assert equal(second.network, whole.network)
    standard = trainer(stream, tmp_path / "standard", dataclasses.replace(RECIPE, epochs=2))
    standard.fit()
    assert not equal(standard.network, whole.network)


def test_a_step_of_adversarial_training_written_out(splits: ImageSplits, tmp_path: Path) -> None:
    """Perturbed in evaluation mode from the images' own keys, then a step of the whole loss on what came out."""
    adversary = PGDTraining(eps=8 / 255, steps=2, relative_step=0.5)
    recipe = dataclasses.replace(RECIPE, epochs=1, batch_size=48, label_smoothing=0.1, adversarial=adversary)
    mine = trainer(ArrayStream(splits, flip=False, crop_padding=0, cutout=0), tmp_path, recipe)
    (rows,) = mine.rows(0)
    mine.fit()
    torch.manual_seed(0)
    shape = DARTSShape(num_classes=3, channels=2, cells=3, mean=0.4, std=0.25)
    network = DARTSNetwork(PUBLISHED["darts_v2"], shape).eval()
    x, y = splits.train.pixels[rows], splits.train.labels[rows]
    drawn = uniform(keys(1, "adversarial", rows, torch.zeros_like(rows)), (3, 8, 8)) * 2 - 1
    point = (x + 8 / 255 * drawn).clamp(0, 1)
    for _ in range(2):
        point.requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(network(point), y), point)
        point = point.detach() + 4 / 255 * gradient.sign()
        point = point.clamp(min=x - 8 / 255, max=x + 8 / 255).clamp(0, 1)
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), recipe.learning_rate, 0.9, weight_decay=recipe.weight_decay)
    found = network(point, keys(1, "drop_path", rows, torch.zeros_like(rows)))
    loss = F.cross_entropy(found.logits, y, label_smoothing=0.1)
    (loss + 0.4 * F.cross_entropy(found.auxiliary, y, label_smoothing=0.1)).backward()
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimizer.step()
    for name, value in mine.network.state_dict().items():
        torch.testing.assert_close(value, network.state_dict()[name], rtol=1e-4, atol=1e-5)


def test_a_finished_training_is_not_repeated(finished: Trainer, splits: ImageSplits) -> None:
    before = (finished.out / CHECKPOINT).stat().st_mtime_ns
    again = trainer(finished.stream, finished.out)
    assert again.fit() == finished.progress.history
    assert equal(again.network, finished.network)
    assert (finished.out / CHECKPOINT).stat().st_mtime_ns == before


def test_checkpoints_of_others_are_refused(finished: Trainer) -> None:
    told = "other settings or inputs: images is 'ab' there and 'cd' here; choose another out"
    with pytest.raises(RunDirectoryError, match=told):
        trainer(finished.stream, finished.out, identity={"seed": 1, "images": "cd"}).fit()
    assert read_checkpoint(finished.out / CHECKPOINT)["epoch"] == 3


def test_no_flipped_bit_is_believed(finished: Trainer, tmp_path: Path) -> None:
    """Anywhere in the file, torch's tensors included, which have no checksum that torch compares."""
    content = (finished.out / CHECKPOINT).read_bytes()
    draw = random.Random(0)
    for place in [0, 3, 80, *(draw.randrange(len(content)) for _ in range(100))]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << draw.randrange(8)
        (tmp_path / CHECKPOINT).write_bytes(damaged)
        with pytest.raises(UnreadableFile, match=r"checkpoint\.pt is damaged"):
            trainer(finished.stream, tmp_path, network=finished.network).resume()
    for length in (0, 1, 100, len(content) // 2, len(content) - 1):
        (tmp_path / CHECKPOINT).write_bytes(content[:length])
        with pytest.raises(UnreadableFile, match=r"checkpoint\.pt is damaged"):
            read_checkpoint(tmp_path / CHECKPOINT)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, ("evil",))


@pytest.mark.parametrize("content", [Evil(), [1], {"epoch": 1}, {"network": {}, "optimizer": {}, "scaler": {}}])
def test_a_forged_seal_gives_nothing_but_one_line(
    finished: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, buffer := io.BytesIO())
    identity = {"seed": 1, "images": "ab"}
    write_sealed(tmp_path / CHECKPOINT, buffer.getvalue(), kind="training checkpoint", identity=identity)
    with pytest.raises(UnreadableFile, match="remove it to start again") as caught:
        trainer(finished.stream, tmp_path).fit()
    assert "weights_only" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "evil").exists()


def test_a_loss_that_is_no_number_stops_before_it_is_kept(splits: ImageSplits, tmp_path: Path) -> None:
    one = trainer(ArrayStream(splits), tmp_path)
    one.network.classifier.weight.data[0, 0] = float("nan")
    with pytest.raises(AGNetError, match=r"the loss is nan in epoch 1, by step 4: lower recipe\.learning_rate"):
        one.fit()
    assert not (tmp_path / CHECKPOINT).exists()


@pytest.mark.sample(1)
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_keeps_whole_weights_and_resumes(splits: ImageSplits, tmp_path: Path, precision: str) -> None:
    recipe = FinalRecipe(epochs=2, batch_size=24, learning_rate=0.05, precision=precision)
    stream = ArrayStream(splits, crop_padding=1, cutout=3)
    whole = trainer(stream, tmp_path / "whole", recipe)
    assert all(torch.isfinite(torch.tensor(row["train_loss"])) for row in whole.fit())
    assert {parameter.dtype for parameter in whole.network.parameters()} == {torch.float32}
    half = trainer(stream, tmp_path / "half", recipe)
    half._epoch(half.network)
    rest = trainer(stream, tmp_path / "half", recipe)
    rest.fit()
    assert equal(rest.network, whole.network)
    assert rest.scaler.state_dict() == whole.scaler.state_dict()


def test_every_process_takes_its_part_of_the_same_batches(splits: ImageSplits, tmp_path: Path) -> None:
    stream = ArrayStream(splits)
    alone = trainer(stream, tmp_path)
    parts = [trainer(stream, tmp_path, process=Process(rank, 3, CPU)) for rank in range(3)]
    for epoch in range(2):
        rows = alone.rows(epoch)
        assert sorted(rows.flatten().tolist()) == list(range(48))
        split = torch.cat([part.rows(epoch) for part in parts], dim=1)
        assert torch.equal(split.sort(dim=1).values, rows.sort(dim=1).values)
    assert not torch.equal(alone.rows(0), alone.rows(1))
    with pytest.raises(ConfigurationError, match=r"batch_size=12 for 5 processes"):
        trainer(stream, tmp_path, process=Process(0, 5, CPU))


def grouped(num_classes: int) -> DARTSNetwork:
    """A network that treats every image by itself: batch normalisation is each process's own business."""
    torch.manual_seed(0)
    shape = DARTSShape(num_classes=num_classes, channels=2, cells=3)
    network = DARTSNetwork(PUBLISHED["darts_v2"], shape)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.GroupNorm(1, child.num_features))
    return network


def share_of_a_training(out: Path) -> None:
    """What each of the processes below runs."""
    parts = [Images(*pair) for pair in torch.load(out / "images.pt", weights_only=True)]
    splits = ImageSplits("tiny", 3, *parts, ((0.4, 0.4, 0.4), (0.25, 0.25, 0.25)))
    with process_group("cpu") as process:
        one = trainer(
            ArrayStream(splits, crop_padding=1, cutout=3), out, network=grouped(3), process=process, save_every=3
        )
        one.fit()


@pytest.mark.slow
def test_two_processes_train_as_one(splits: ImageSplits, tmp_path: Path) -> None:
    """To rounding, with the same batches: gradients are averaged, draws belong to images, only the first one writes."""
    alone = trainer(ArrayStream(splits, crop_padding=1, cutout=3), tmp_path / "alone", network=grouped(3))
    alone.fit()
    both = tmp_path / "both"
    both.mkdir()
    images = [(part.stored, part.labels) for part in (splits.train, splits.valid, splits.test)]
    torch.save(images, both / "images.pt")
    code = f"import sys, pathlib; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    code += f"import test_train; test_train.share_of_a_training(pathlib.Path({str(both)!r}))\n"
    (tmp_path / "share.py").write_text(code)
    arguments = ["--nproc-per-node=2", "--standalone", str(tmp_path / "share.py")]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = read_checkpoint(both / CHECKPOINT)
    for name, value in alone.network.state_dict().items():
        assert torch.allclose(found["network"][name], value, rtol=1e-3, atol=1e-5), name
    for mine, theirs in zip(alone.progress.history, found["history"], strict=True):
        assert theirs["train_loss"] == pytest.approx(mine["train_loss"], rel=1e-4)
        assert theirs["test_loss"] == pytest.approx(mine["test_loss"], rel=1e-4)
    assert alone.progress.history[-1]["train_loss"] != alone.progress.history[0]["train_loss"]


def test_photographs_train(photographs: Path, tmp_path: Path) -> None:
    stream = FolderStream(photographs, size=64, workers=0)
    torch.manual_seed(0)
    network = DARTSNetwork(PUBLISHED["pdarts"], DARTSShape(num_classes=2, channels=2, cells=3, stem="imagenet"))
    recipe = FinalRecipe(2, 4, 0.1, schedule="exponential", decay=0.97, label_smoothing=0.1)
    history = trainer(stream, tmp_path, recipe, network=network, evaluate_every=2).fit()
    assert history[0]["test_accuracy"] is None
    assert history[1]["test_accuracy"] in (0, 20, 40, 60, 80, 100)
    assert history[1]["learning_rate"] == pytest.approx(0.097)


def test_rates() -> None:
    cosine = FinalRecipe()
    assert [cosine.rate(epoch) for epoch in (0, 300, 600)] == pytest.approx([0.025, 0.0125, 0])
    assert [cosine.dropped(epoch) for epoch in (0, 300)] == pytest.approx([0, 0.1])
    falling = FinalRecipe(250, 128, 0.1, schedule="exponential", decay=0.97)
    assert falling.rate(100) == pytest.approx(0.1 * 0.97**100)
    large = FinalRecipe(250, 1024, 0.5, schedule="linear", warmup_epochs=5)
    assert [large.rate(epoch) for epoch in (0, 4, 125)] == pytest.approx([0.1, 0.5 * 246 / 250, 0.25])


@pytest.mark.parametrize(
    "wrong",
    [{"schedule": "steps"}, {"precision": "int8"}, {"epochs": 0}, {"drop_path": 1.0}, {"gradient_clip": -1.0}],
)
def test_impossible_recipes_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigurationError, match=f"recipe.{next(iter(wrong))}="):
        FinalRecipe(**wrong)
