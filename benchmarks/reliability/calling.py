"""Commands and functions called in this process, and what they say."""

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout

from agnet.errors import AGNetError
from benchmarks.reliability.frame import REFUSED, TRACEBACK, Outcome, judge_said


class Ended(Exception):
    """A command did not end with status 0; the outcome is the argument."""

    @property
    def outcome(self) -> Outcome:
        """How it ended."""
        return self.args[0]


def call(main: Callable[[], None], *arguments: str) -> str:
    """Run a command's ``main`` in this process.

    Args:
        main: the function.
        arguments: the command line.

    Returns:
        What it wrote to stdout.

    Raises:
        Ended: if it refuses, or fails.
    """
    out, err, status = io.StringIO(), io.StringIO(), 0
    before, sys.argv = sys.argv, [main.__module__, *arguments]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        sys.argv = before
    outcome = judge_said(status, err.getvalue())
    if outcome is not None:
        raise Ended(outcome)
    return out.getvalue()


_ADVICE = ("weights_only", "allow_pickle")
"""Words of libraries' advice to trust a file; they must never reach a user."""


def judge_error(error: AGNetError) -> Outcome:
    """A refusal by a function: one line, without a library's advice."""
    text = str(error)
    if not text or "\n" in text:
        return Outcome(TRACEBACK, f"an error of {len(text.splitlines())} lines: {text!r}")
    if any(word in text for word in _ADVICE):
        return Outcome(TRACEBACK, f"a library's advice: {text}")
    return Outcome(REFUSED, text)
