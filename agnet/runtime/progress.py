"""Progress of long work: a bar on a terminal; in a log, a line after ten seconds, then one a minute."""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import Any

FIRST_SECONDS, SECONDS = 10.0, 60.0


class Progress:
    """Counts what is done; a context.

    Args:
        bar: the class of progress bars, ``tqdm.tqdm``.
        what: the work in a word, which begins every line.
        total: number of units.
        unit: a unit in a word.
        initial: units that are done already.
        shown: whether to show anything.
    """

    def __init__(
        self, bar: Callable[..., Any], what: str, total: int, unit: str, *, initial: int = 0, shown: bool = True
    ) -> None:
        self.what, self.unit, self.total, self.done, self.postfix = what, unit, total, initial, ""
        disable = None if shown else True  # None: off when not a terminal
        self.bar = bar(desc=what, total=total, initial=initial, unit=unit, disable=disable)
        self._lines = shown and self.bar.disable
        self._ended = Event()
        self._thread = Thread(target=self._tell, daemon=True)

    def __enter__(self) -> "Progress":
        if self._lines:
            self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self.bar.close()

    def update(self, count: int = 1) -> None:
        """Count units that have ended."""
        self.done += count
        self.bar.update(count)

    def note(self, postfix: str) -> None:
        """What stands behind the numbers from now on."""
        self.postfix = postfix
        self.bar.set_postfix_str(postfix, refresh=False)

    def write(self, line: str) -> None:
        """Write a line to stderr, above the bar."""
        with suppress(OSError):
            self.bar.write(line, file=sys.stderr)

    def _tell(self) -> None:
        begin = time.monotonic()
        wait = FIRST_SECONDS
        while not self._ended.wait(wait):
            wait, minutes = SECONDS, (time.monotonic() - begin) / 60
            note = f", {self.postfix}" if self.postfix else ""
            _say(f"{self.what}: {self.done} of {self.total} {self.unit}s done after {minutes:.0f} min{note}")


def _say(line: str) -> None:
    with suppress(OSError, ValueError):  # nobody reads it
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
