"""The scheduler: attacks as a queue of (image, radius) pairs served by the slots of one batch.

Pairs finish at different times: a slot whose pair is decided is given the next pair, so the batch stays full until the
queue is empty, whatever the radii. Every pair draws from its own key, and the compiled network gives each row the same
bits in any batch, so the outcome of a pair depends on nothing but the pair.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from evaluation.attacks.base import BatchAttack, Model, Slots, SteppedAttack, radius_code
from evaluation.attacks.classifier import Classifier
from evaluation.attacks.gradients import Checks
from evaluation.attacks.slots import ask, fresh_slots
from evaluation.checks import check_sound
from evaluation.data.images import in_unit_interval

Job = tuple[int, int, int]  # indices of image and radius, attempt


@dataclass(frozen=True)
class Subject:
    """A network and the images it is attacked on.

    Attributes:
        search: the network that attacks ask for logits and gradients.
        judge: the network at full precision; nothing counts as fooled before it says so.
        images: pixels in [0, 1], or uint8 levels.
        labels: true class of every image.
        indices: the images' indices in their data set, to which random draws belong.
        clean_logits: the judge's logits of the images.
        clean_sign: sign of the cross-entropy's gradient at the images, int8, if an attack needs it.
        seed: seed of all draws.
        capacity: largest number of slots.
        chunk: evaluations between two looks at which slots are decided; each look waits for the device.
        checks: whether attacks can work on this model, as :class:`~evaluation.attacks.outcome.Evaluation` has them.
    """

    search: Model
    judge: Classifier
    images: Tensor
    labels: Int[Tensor, " images"]
    indices: Int[Tensor, " images"]
    clean_logits: Float[Tensor, "images classes"]
    clean_sign: Tensor | None
    seed: int
    capacity: int
    chunk: int
    checks: Checks

    def __repr__(self) -> str:
        return f"Subject({len(self.labels)} images, {self.clean_logits.shape[1]} classes, {self.capacity} slots)"

    @property
    def correct(self) -> Bool[Tensor, " images"]:
        """Whether each clean image is classified correctly."""
        return self.clean_logits.argmax(dim=1) == self.labels


class Ledger:
    """Outcome of every (radius, image) pair of an attack; at first that of the clean image.

    Args:
        subject: the network and the images.
        num_radii: radii of the attack.
        keep_images: store the reported images too.

    Attributes:
        fooled: whether the pair does not count as correctly classified.
        predicted: class of the reported image.
        confidence: its highest softmax.
        true_confidence: its softmax of the true class.
        forwards: model evaluations spent, the judge's included.
        gradients: input gradients spent.
        images: reported images, or None.
    """

    def __init__(self, subject: Subject, num_radii: int, *, keep_images: bool = False) -> None:
        probabilities = subject.clean_logits.softmax(dim=1)
        top = probabilities.max(dim=1)

        def repeat(values: Tensor) -> Tensor:
            return values.cpu().expand(num_radii, *values.shape).clone()

        self.labels = subject.labels.cpu()
        self.fooled = repeat(~subject.correct)
        self.predicted = repeat(top.indices)
        self.confidence = repeat(top.values)
        self.true_confidence = repeat(probabilities.gather(1, subject.labels[:, None]).squeeze(1))
        self.forwards = torch.zeros(num_radii, len(self.labels), dtype=torch.int64, device="cpu")
        self.gradients = torch.zeros_like(self.forwards)
        self.images = repeat(in_unit_interval(subject.images)) if keep_images else None

    def record(
        self,
        radius_index: Int[Tensor, " rows"],
        image: Int[Tensor, " rows"],
        logits: Float[Tensor, "rows classes"],
        points: Tensor,
    ) -> None:
        """Enter the judge's logits of reported images."""
        probabilities = logits.to(self.confidence.dtype).softmax(dim=1)
        top = probabilities.max(dim=1)
        labels = self.labels[image].to(logits.device)
        self.fooled[radius_index, image] = (top.indices != labels).cpu()
        self.predicted[radius_index, image] = top.indices.cpu()
        self.confidence[radius_index, image] = top.values.cpu()
        self.true_confidence[radius_index, image] = probabilities.gather(1, labels[:, None]).squeeze(1).cpu()
        if self.images is not None:
            self.images[radius_index, image] = points.cpu().to(self.images.dtype)

    def carry(self, radius_index: int, image: int) -> None:
        """Report a success at all larger radii too: the image lies in their balls."""
        for values in (self.fooled, self.predicted, self.confidence, self.true_confidence, self.images):
            if values is not None:
                values[radius_index + 1 :, image] = values[radius_index, image]


def run(
    attack: SteppedAttack,
    subject: Subject,
    todo: Bool[Tensor, "radii images"],
    ledger: Ledger,
    *,
    worst_case: bool = False,
    tick: Callable[[int], object] = lambda count: None,
) -> None:
    """Attack pairs and enter the outcomes in the ledger.

    Args:
        attack: the attack to run.
        subject: the network and the images.
        todo: pairs to attack.
        ledger: ledger that receives the outcomes.
        worst_case: any misclassified point is a success, and an image fooled at one radius counts as fooled at all
            larger ones, where it is not attacked again.
        tick: called with the number of pairs decided.
    """
    _Run(attack, subject, todo, ledger, worst_case, tick).run()


class _Run:
    """One attack's queue and slots."""

    def __init__(
        self,
        attack: SteppedAttack,
        subject: Subject,
        todo: Bool[Tensor, "radii images"],
        ledger: Ledger,
        worst_case: bool,
        tick: Callable[[int], object],
    ) -> None:
        self.attack, self.subject, self.ledger = attack, subject, ledger
        self.worst_case, self.tick = worst_case, tick
        self.stops = attack.stops_when_fooled or worst_case
        self.device = subject.images.device
        self.radii = torch.tensor(attack.eps, dtype=torch.float64, device="cpu")
        self.codes = radius_code(self.radii)
        self.todo = todo.cpu()
        pairs = self.todo.nonzero().tolist()  # small radii, whose pairs last longest, come first
        if worst_case:  # the larger radii of an image follow when the smaller have failed
            started: set[int] = set()
            pairs = [(r, i) for r, i in pairs if not (i in started or started.add(i))]
        self.queue: deque[Job] = deque((i, r, 0) for r, i in pairs)
        self.slots: Slots = {}

    @property
    def active(self) -> int:
        return len(self.slots["step"]) if self.slots else 0

    def run(self) -> None:
        while self.queue or self.active:
            room = self.subject.capacity - self.active
            if self.queue and room >= max(self.subject.capacity // 16, 1):
                self._refill(room)
            for _ in range(self.subject.chunk if self.attack.evaluations else 0):
                self.slots = self._advance(self.slots)
            self._harvest()

    def _refill(self, room: int) -> None:
        """Give free slots the next pairs."""
        jobs = torch.tensor([self.queue.popleft() for _ in range(min(room, len(self.queue)))], device="cpu")
        image, radius_index, attempt = jobs.unbind(dim=1)
        attack, subject = self.attack, self.subject
        rows = image.to(self.device)  # the queue and the codes of radii live on the CPU, images on the device
        inputs = in_unit_interval(subject.images[rows])
        clean: Slots = {"clean_logits": subject.clean_logits[rows]}
        if subject.clean_sign is not None:
            clean["clean_sign"] = subject.clean_sign[rows].to(inputs)
        slots = fresh_slots(
            attack,
            inputs,
            subject.labels[rows],
            self.radii[radius_index].to(inputs),
            indices=subject.indices[image.to(subject.indices.device)].cpu(),
            codes=self.codes[radius_index],
            attempt=attempt,
            seed=subject.seed,
            clean=clean,
        )
        no = torch.zeros_like(rows, dtype=torch.bool)
        paused = no if attack.evaluations else ~no
        slots |= {"image": rows, "radius_index": radius_index.to(self.device), "spent": torch.zeros_like(rows)}
        slots |= {"paused": paused, "claimed": no, "denied": no, "broken": no}
        self.slots = {k: torch.cat([self.slots[k], v]) for k, v in slots.items()} if self.active else slots

    def _advance(self, slots: Slots) -> Slots:
        """Evaluate every slot's point and move on, without waiting for the device.

        Slots that are decided, or seem to be, stay as they are.
        """
        attack = self.attack
        logits, loss, gradient = ask(attack, self.subject.search, slots)
        claimed = torch.zeros_like(slots["claimed"])
        if self.stops:
            claimed = (logits.argmax(dim=1) != slots["labels"]) & ~slots["denied"] & ~slots["paused"]
        frozen = slots["paused"] | claimed
        broken = ~logits.isfinite().all(dim=1)
        if gradient is not None:  # the sign of NaN is 0, which would pass for a flat loss
            broken |= gradient.isnan().flatten(1).any(dim=1) & ~frozen
        within = slots["step"].clamp(max=attack.evaluations - 1)  # paused slots are past the end of the attack's tables
        changes = attack.update({**slots, "step": within}, loss, gradient)
        changes |= {"step": slots["step"] + 1, "denied": torch.zeros_like(slots["denied"])}
        if self.subject.chunk > 1 or bool(frozen.any()):  # with one evaluation to a chunk, looking costs nothing
            changes = {k: _where(frozen, slots[k], v) for k, v in changes.items()}
        changes["spent"] = slots["spent"] + ~slots["paused"]
        changes["claimed"] = slots["claimed"] | claimed
        changes["broken"] = slots["broken"] | broken
        changes["paused"] = frozen | broken | (changes["step"] >= attack.evaluations)
        return {**slots, **changes}

    def _harvest(self) -> None:
        """Judge the slots that are or seem decided, record outcomes, drop them, queue what follows."""
        paused = self.slots["paused"].nonzero().squeeze(1)
        if not len(paused):
            return
        # 1. Choose the images to judge. An attack that reports nothing where it fails (final is None) leaves the clean
        # image, whose outcome the ledger has; then only slots whose search claims a success need the judge.
        slots = {k: v[paused] for k, v in self.slots.items()}
        check_sound(~slots["broken"])
        claimed = slots["claimed"]
        final = self.attack.final(slots)
        if final is None:
            judged, points = claimed.nonzero().squeeze(1), slots["point"]
        else:
            judged = torch.arange(len(paused), device=self.device)
            points = torch.where(claimed[:, None, None, None], slots["point"], final)
        # 2. Judge at full precision. A claim that the judge does not share is denied: it is not recorded, and its slot
        # continues after this point.
        image, radius_index, attempt = (slots[k].cpu() for k in ("image", "radius_index", "attempt"))
        spent = slots["spent"].cpu()
        fooled = torch.zeros(len(paused), dtype=torch.bool, device="cpu")
        denied = torch.zeros(len(paused), dtype=torch.bool, device="cpu")
        if len(judged):
            with torch.no_grad():
                logits = self.subject.judge(points[judged])
            check_sound(logits.isfinite())
            rows = judged.cpu()
            wrong = (logits.argmax(dim=1) != slots["labels"][judged]).cpu()
            fooled[rows] = wrong
            denied[rows] = claimed.cpu()[rows] & ~wrong
            spent_on_judge = torch.zeros_like(spent)
            spent_on_judge[rows] = 1
            self.ledger.forwards[radius_index, image] += spent_on_judge
            keep = ~denied[rows]
            on_device = keep.to(self.device)
            self.ledger.record(
                radius_index[rows][keep], image[rows][keep], logits[on_device], points[judged][on_device]
            )
        # 3. Book the costs of the runs that have ended, and queue what follows them.
        ended = ~denied
        if self.attack.evaluations:
            self.ledger.forwards[radius_index[ended], image[ended]] += spent[ended]
            if self.attack.needs_gradient:
                self.ledger.gradients[radius_index[ended], image[ended]] += spent[ended]
        self._follow(radius_index[ended], image[ended], attempt[ended], fooled[ended])
        # 4. Wake the denied slots, and drop the ended ones: the batch is compacted before the next refill.
        if bool(denied.any()):
            rows = paused[denied.to(self.device)]
            for name, value in (("denied", True), ("paused", False), ("claimed", False)):
                self.slots[name] = self.slots[name].index_fill(0, rows, value)
        stays = torch.ones(self.active, dtype=torch.bool, device=self.device)
        stays[paused[ended.to(self.device)]] = False
        kept = stays.nonzero().squeeze(1)
        self.slots = {k: v[kept] for k, v in self.slots.items()} if len(kept) else {}

    def _follow(self, radius_index: Tensor, image: Tensor, attempt: Tensor, fooled: Tensor) -> None:
        """Queue the next run or the next radius of pairs that have not been fooled."""
        last = len(self.radii) - 1
        ended = (radius_index.tolist(), image.tolist(), attempt.tolist(), fooled.tolist())
        for r, i, a, success in zip(*ended, strict=True):
            if not success and a + 1 < self.attack.attempts:
                self.queue.appendleft((i, r, a + 1))
                continue
            if not self.worst_case:
                self.tick(1)
            elif success:
                self.ledger.carry(r, i)
                self.tick(int(self.todo[r:, i].sum()))
            else:
                self.tick(1)
                following = next((k for k in range(r + 1, last + 1) if self.todo[k, i]), None)
                if following is not None:
                    self.queue.append((i, following, 0))


def run_batches(
    attack: BatchAttack,
    subject: Subject,
    todo: Bool[Tensor, "radii images"],
    ledger: Ledger,
    *,
    worst_case: bool = False,
    tick: Callable[[int], object] = lambda count: None,
) -> None:
    """Like :func:`run`, for an attack that takes whole batches at one radius; only the judge's forwards are counted."""
    todo = todo.cpu().clone()
    for k, eps in enumerate(attack.eps):
        images = todo[k].nonzero().squeeze(1)
        for image in images.split(subject.capacity) if len(images) else ():  # no images are one empty part
            rows = image.to(subject.images.device)
            inputs, labels = in_unit_interval(subject.images[rows]), subject.labels[rows]
            points = attack.perturb(subject.judge.shown, inputs, labels, eps=eps, seed=subject.seed)
            with torch.no_grad():
                logits = subject.judge(points)
            check_sound(logits.isfinite())
            radius_index = torch.full_like(image, k)
            ledger.forwards[radius_index, image] += 1
            ledger.record(radius_index, image, logits, points)
            tick(len(image))
            if worst_case:
                for i in image[ledger.fooled[k, image]].tolist():
                    ledger.carry(k, i)
                    tick(int(todo[k + 1 :, i].sum()))
                    todo[k + 1 :, i] = False


def _where(condition: Bool[Tensor, " slots"], old: Tensor, new: Tensor) -> Tensor:
    return torch.where(condition.view(-1, *[1] * (new.ndim - 1)), old, new)
