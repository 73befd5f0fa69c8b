"""Let commands work at the same moment on one folder, table or manifest, and judge each end and the final state."""

import csv
import io
import json
import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agnet.runtime.files import write_bytes
from agnet.runtime.reading import read_json, read_text
from benchmarks.reliability import jobs
from benchmarks.reliability.contents import contents, judge_contents
from benchmarks.reliability.frame import CHANGED, HUNG, REFUSED, SAME, Campaign, Case, Outcome
from benchmarks.reliability.jobs import OWN, ROBUST, VERSION, Job, prepare, write_own, write_robust
from benchmarks.reliability.processes import LONGEST, Place, Running, preload
from benchmarks.reliability.references import Reference, reference

_REAL = 0.1
"""Share of the commands that are started as a shell does."""

TOGETHER = (
    *((job,) for job in (*jobs.SEARCHES[:4], jobs.COMPARE, jobs.COMPARE_INLINE, jobs.PRETRAIN, jobs.EVALUATE)),
    *((job,) for job in (jobs.ATTACK, jobs.CORRUPT, jobs.MEASURE, jobs.REPORT, jobs.TRAIN, jobs.IMPORT)),
    (jobs.PRETRAIN, jobs.PRETRAIN_NOISE),
    (jobs.PRETRAIN, jobs.PRETRAIN_OTHER, jobs.PRETRAIN_NOISE),
    (jobs.ATTACK, jobs.ATTACK_OTHER),
    (jobs.CORRUPT, jobs.CORRUPT_OTHER),
    (*jobs.SHARES, jobs.EVALUATE),
    (jobs.EVALUATE, jobs.EVALUATE_WORKERS),
)
"""Commands that may fill one folder."""

RIVALS = ((jobs.RANDOM, jobs.OTHER_SEED), (jobs.RANDOM, jobs.SEARCHES[1]))
"""Commands of which only one may fill a folder."""

REPLACED = ((jobs.OWN_TABLE, OWN), (jobs.OWN_TABLE, OWN), (jobs.COMPARE_OWN, OWN), (jobs.REPORT, ROBUST))
"""Commands, and the table that is replaced while they work."""

REMOVED = (*jobs.SEARCHES[:4], jobs.PRETRAIN, jobs.CORRUPT, jobs.ATTACK)
"""Commands whose folder is removed while they work."""


@dataclass(frozen=True)
class Race:
    """What happens at one moment.

    Attributes:
        kind: together, rivals, replaced or removed.
        entrants: commands in the order of their start.
        delays: seconds from the first start to each one's.
        real: whether they are started as a shell does.
        moment: for removed: when, as a share of the time that the command takes; for replaced: seconds between two
            replacements.
        table: for replaced: the table.
    """

    kind: str
    entrants: tuple[Job, ...]
    delays: tuple[float, ...]
    real: bool
    moment: float = 0.0
    table: str = ""

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The different ones of the commands, in a fixed order."""
        return tuple(sorted(set(self.entrants), key=lambda job: job.name))

    @property
    def name(self) -> str:
        """In one line."""
        started = ", ".join(
            f"{job.name} at {delay:.3f} s" for job, delay in zip(self.entrants, self.delays, strict=True)
        )
        way = "python -m" if self.real else "forked"
        what = f"; {self.table or 'the folder'} {self.kind}, {self.moment:.3f}" if self.moment else ""
        return f"{self.kind} ({way}): {started}{what}"


def draw(rng: random.Random, count: int) -> list[Race]:
    """So many races, no two alike."""
    makers = [_draw_together] * 6 + [_draw_rivals] + [_draw_replaced] * 2 + [_draw_removed]
    races: dict[str, Race] = {}
    while len(races) < count:
        race = makers[len(races) % len(makers)](rng)
        races[race.name] = race
    return list(races.values())


def _delays(rng: random.Random, count: int) -> tuple[float, ...]:
    longest = rng.choice((0.0, 0.05, 1.0))
    return (0.0, *(rng.uniform(0.0, longest) for _ in range(count - 1)))


def _draw_together(rng: random.Random) -> Race:
    chosen = rng.choice(TOGETHER)
    count = max(len(chosen), rng.choice((2, 2, 3, 4)))
    entrants = [*chosen, *(rng.choice(chosen) for _ in range(count - len(chosen)))]
    rng.shuffle(entrants)
    return Race("together", tuple(entrants), _delays(rng, count), rng.random() < _REAL)


def _draw_rivals(rng: random.Random) -> Race:
    entrants = list(rng.choice(RIVALS))
    rng.shuffle(entrants)
    return Race("rivals", tuple(entrants), _delays(rng, 2), rng.random() < _REAL)


def _draw_replaced(rng: random.Random) -> Race:
    job, table = rng.choice(REPLACED)
    return Race("replaced", (job,), (0.0,), rng.random() < _REAL, rng.uniform(0.001, 0.1), table)


def _draw_removed(rng: random.Random) -> Race:
    return Race("removed", (rng.choice(REMOVED),), (0.0,), rng.random() < _REAL, rng.uniform(0.01, 1.0))


@dataclass(frozen=True)
class Shared:
    """What all cases share.

    Attributes:
        folder: the inputs.
        references: what the jobs of these names leave, one after another.
        versions: what a report leaves of each version of its table.
    """

    folder: Path
    references: dict[tuple[str, ...], Reference]
    versions: tuple[dict[str, Any], ...] = ()

    def of(self, *entrants: Job) -> Reference:
        """What these leave."""
        return self.references[tuple(job.name for job in entrants)]


def run(race: Race, shared: Shared, folder: Path) -> Outcome:
    """Do it and judge."""
    return {"together": _together, "rivals": _rivals, "replaced": _replaced, "removed": _removed}[race.kind](
        race, shared, folder
    )


def _start(race: Race, place: Place) -> list[Running]:
    begin, started = time.monotonic(), []
    for delay, job in sorted(zip(race.delays, race.entrants, strict=True), key=lambda pair: pair[0]):
        time.sleep(max(0.0, begin + delay - time.monotonic()))
        started.append(place.start(job, real=race.real))
    return started


def judge_ends(started: Sequence[Running]) -> tuple[Outcome | None, bool]:
    """The first end that is neither success nor one line, if any; and whether one was refused."""
    refused = False
    for running in started:
        if running.status is None:
            return Outcome(HUNG, "it does not end"), refused
        if found := running.judge():
            if found.kind != REFUSED:
                return found, refused
            refused = True
        if lines := [line for line in running.strange() if not line.startswith("error: ")]:
            return Outcome(CHANGED, f"on stderr: {lines[-1]}"), refused
    return None, refused


def _finish(place: Place, todo: Sequence[Job], expected: dict[str, Any], refused: bool) -> Outcome:
    """Run each command once more, alone, and judge what is there then."""
    for job in todo:
        if found := place.run(job).judge():
            return Outcome(CHANGED, f"{job.name} alone afterwards: {found.detail}") if found.kind == REFUSED else found
    found = judge_contents(expected, contents(place.out)) or place.leftovers()
    return found or Outcome(REFUSED if refused else SAME)


def _ended(race: Race, place: Place) -> tuple[list[Running], Outcome | None, bool]:
    """The commands of a race when all have ended, and what :func:`judge_ends` says of them."""
    started = _start(race, place)
    for running in started:
        running.wait()
    return started, *judge_ends(started)


def _together(race: Race, shared: Shared, folder: Path) -> Outcome:
    place = Place(folder, shared.folder)
    started, found, refused = _ended(race, place)
    if found is None and (lost := _lost_entries(race, place, started)):
        found = lost
    return found or _finish(place, race.jobs, shared.of(*race.jobs).contents, refused)


def _lost_entries(race: Race, place: Place, started: Sequence[Running]) -> Outcome | None:
    """A generator that a command has made and that the manifest lacks."""
    if race.jobs[0].module != "search.pretrain" or any(running.status != 0 for running in started):
        return None
    entered = set(read_json(place.out / "MANIFEST.json"))
    made = {path.name for path in place.out.glob("*.safetensors")}
    return Outcome(CHANGED, f"MANIFEST.json lacks {made - entered}") if made - entered else None


def _rivals(race: Race, shared: Shared, folder: Path) -> Outcome:
    place = Place(folder, shared.folder)
    _, found, refused = _ended(race, place)
    if found is not None:
        return found
    if not refused:
        return Outcome(CHANGED, "both say that the folder holds their run")
    first = place.run(race.jobs[0])
    winner = race.jobs[0] if first.status == 0 else race.jobs[1]
    return _finish(place, [winner], shared.of(winner).contents, refused)


def _removed(race: Race, shared: Shared, folder: Path) -> Outcome:
    place, expected = Place(folder, shared.folder), shared.of(*race.jobs)
    (running,) = _start(race, place)
    while time.monotonic() < running.begin + race.moment * expected.seconds and running.poll() is None:
        time.sleep(0.002)
    shutil.rmtree(place.out, ignore_errors=True)
    running.wait()
    found, refused = judge_ends([running])
    if found is None and running.status == 0 and not place.out.exists():
        refused = True  # removed when it had finished
    if found is None and place.run(race.jobs[0]).status == 2:  # half of the folder was removed: it says so
        shutil.rmtree(place.out, ignore_errors=True)
    return found or _finish(place, race.jobs, expected.contents, refused)


def _replaced(race: Race, shared: Shared, folder: Path) -> Outcome:
    inputs = folder / "inputs"
    inputs.mkdir()
    path, versions = inputs / race.table, [version.read_bytes() for version in _versions(shared.folder, race.table)]
    write_bytes(path, versions[0])
    place, number = Place(folder, inputs), 0
    (running,) = _start(race, place)
    while running.poll() is None and time.monotonic() < running.begin + LONGEST:
        number += 1
        write_bytes(path, versions[number % 2])  # as write_table does, of which only this is seen by others
        time.sleep(race.moment)
    refused = False
    for started in (running, place.start(race.jobs[0])):
        started.wait()
        found, refusal = judge_ends([started])
        refused |= refusal
        if found := found or (None if refusal else judge_version(place.out, shared.versions)):
            return found
    return place.leftovers() or Outcome(REFUSED if refused else SAME)


def _versions(folder: Path, table: str) -> list[Path]:
    """Where the versions of a table lie."""
    return [folder / f"version{number}" / table for number in (0, 1)]


def judge_version(out: Path, reports: Sequence[dict[str, Any]]) -> Outcome | None:
    """Whether what a command has left is of several versions of its table.

    Args:
        out: the command's folder: a search, a comparison, or a report.
        reports: what a report leaves of each version.
    """
    if (out / "index.html").exists():
        found = contents(out)
        found["summary.json"].pop("table", None)  # where it lies
        differences = [judge_contents(report, found) for report in reports]
        said = "; ".join(difference.detail for difference in differences if difference)
        return Outcome(CHANGED, f"the report is of no version of its table: {said}") if all(differences) else None
    values: list[float] = []
    for path in out.rglob("history.jsonl"):
        values += [value for line in read_text(path).splitlines() for value in json.loads(line)["values"].values()]
    for path in out.rglob("result.json"):
        best = read_json(path)["best"]
        values += [*best["objective"].values(), *best["report"].values()]
    if (out / "runs.csv").exists():
        rows = csv.DictReader(io.StringIO(read_text(out / "runs.csv")))
        values += [float(value) for row in rows for name, value in row.items() if "own_" in name]
    versions = {int(value // VERSION) for value in values}
    if len(versions) != 1:
        return Outcome(CHANGED, f"numbers of versions {sorted(versions)} of the table")
    return None


def cases(rng: random.Random, count: int, shared: Path) -> Sequence[Case]:
    """Cases; the folder gets the inputs, and tables in two versions."""
    races = draw(rng, count)
    preload()
    prepare(shared)
    references, reports = {}, []
    for race in races:
        lists = [[job] for job in race.jobs] if race.kind == "rivals" else [race.jobs]
        for entrants in lists if race.kind != "replaced" else []:
            if (names := tuple(job.name for job in entrants)) not in references:
                references[names] = reference(entrants, shared)
    for number, folder in enumerate(path.parent for path in _versions(shared, ROBUST)):
        folder.mkdir()
        write_own(folder / OWN, number)
        write_robust(folder / ROBUST, number)
        reports.append(reference([jobs.REPORT], folder).contents)
        reports[-1]["summary.json"].pop("table")
    common = Shared(shared, references, tuple(reports))
    return [Case(race.name, partial(run, race, common)) for race in races]


RACES = Campaign("commands at the same moment on one folder, table or manifest", 100, cases)
