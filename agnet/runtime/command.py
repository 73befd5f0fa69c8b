"""The frame of every command: an error that the user can fix becomes one line on stderr and exit status 2.

The frame knows Hydra 1.3 and OmegaConf 2.3 by their errors, without importing either: names of modules and classes,
attributes, some of the texts, which :func:`in_words` rewrites, and the environment variable that makes Hydra raise
instead of print. A new version of either may change these; then messages become longer, but no error is lost. A
command passes in ``hydra.main``, so the library itself works where Hydra is not installed.
"""

import argparse
import difflib
import errno
import functools
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from agnet.errors import AGNetError, is_out_of_memory
from agnet.runtime.files import storage_error
from agnet.runtime.interrupts import INTERRUPTED, MESSAGE, interruptible
from agnet.runtime.paths import CONF_DIR
from agnet.runtime.renamed import current_override
from agnet.runtime.temporary import scratch

BAD_INPUT = 2
READER_GONE = 128 + signal.SIGPIPE

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CONFIGURATION_LIBRARIES = ("hydra", "omegaconf")
_RAISE = "HYDRA_FULL_ERROR"
"""Environment variable that makes the library raise what it would print; a user who sets it gets the traceback."""


def entry_point(library: Callable[..., Any], root: str, body: Callable[[Any], None]) -> Callable[[], None]:
    """The ``main`` of a command with a configuration.

    Args:
        library: the function ``hydra.main``.
        root: name of the configuration, ``conf/<root>.yaml``.
        body: function of the configuration, see :func:`command`.
    """
    return command(library(version_base="1.3", config_path=str(CONF_DIR), config_name=root), body)


def command(
    decorate: Callable[[Callable[..., None]], Callable[[], Any]], body: Callable[[Any], None]
) -> Callable[[], None]:
    """A command's ``main``: run ``body`` under ``decorate`` and turn errors into an exit status.

    Args:
        decorate: the configuration library's decorator, e.g. ``hydra.main(...)``. If it refuses a configuration, it
            raises, or exits with status 1 after printing why.
        body: takes the configuration; raises :class:`AGNetError` for input that the user can fix.

    Returns:
        A function without arguments that exits 2 on bad input, 130 on Ctrl-C; defects keep their traceback.
    """

    def main() -> None:
        inside = False  # whether the body is running; everything else is the library's code
        begun = False  # whether there was a job
        defect = False  # whether a job has failed by a defect; the library reports it when all jobs are done
        wants_traceback = _RAISE in os.environ
        refuse = argparse.ArgumentParser.error

        def library(*, raises: bool) -> None:
            nonlocal inside
            inside = not raises
            argparse.ArgumentParser.error = _refuse if raises else refuse  # pyright: ignore[reportAttributeAccessIssue]
            if raises:
                os.environ[_RAISE] = "1"
            elif not wants_traceback:  # processes that the body starts must not inherit the variable
                os.environ.pop(_RAISE, None)

        @functools.wraps(body)
        def job(configuration: Any) -> None:
            nonlocal begun, defect
            begun = True
            library(raises=False)
            try:
                body(configuration)
                sys.stdout.flush()  # here, where a full disk or a reader that is gone can be told
            except BrokenPipeError:  # the reader of our output, such as head, has exited
                _silence_output()
                raise SystemExit(READER_GONE) from None
            except Exception as error:
                message = _remedy(error)
                if message is None:
                    defect = True
                    raise
                _say(f"error: {in_one_line(message)}")
                raise SystemExit(BAD_INPUT) from None
            if not defect:
                library(raises=True)  # there may be further jobs

        _prepare_process()
        _use_current_names()
        library(raises=True)
        try:
            with interruptible():
                _flushed(decorate(job))
                if not begun and {"-m", "--multirun"} & set(sys.argv):
                    raise AGNetError("a key is given no values to run with; correct the range(...) or glob(...)")
        except KeyboardInterrupt:
            _say(MESSAGE)
            raise SystemExit(INTERRUPTED) from None
        except SystemExit as stop:
            if not inside and stop.code == 1:  # the configuration library has said what is wrong
                _say(_HELP)
                raise SystemExit(BAD_INPUT) from None
            raise
        except Exception as error:
            if inside or wants_traceback:
                raise
            message = (
                _remedy(error) or unknown_choice(sys.argv[1:]) or f"cannot read the command line ({_brief(error)})"
            )
            _say(f"error: {in_one_line(message)}; {_HELP}")
            raise SystemExit(BAD_INPUT) from None
        finally:
            argparse.ArgumentParser.error = refuse
            if not wants_traceback:
                os.environ.pop(_RAISE, None)

    return main


_HELP = "--help lists the groups, their choices and all keys"


def _remedy(error: BaseException) -> str | None:
    """The message of the AGNetError behind an exception; None if the user cannot fix it."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, AGNetError):
            return str(link)
        link = link.__cause__
    if isinstance(error, OSError) and (error.errno in _FULL or error.filename):
        if error.errno in _FULL:
            if not error.filename:
                _silence_output()  # what could not be printed would be tried again at exit
            return str(storage_error(Path(error.filename or "the output"), error))
        return f"cannot use {error.filename} ({error.strerror or error}); choose another"
    if is_out_of_memory(error):
        return f"out of memory ({_brief(error)}); give smaller batches, or fewer workers, architectures or images"
    if type(error).__module__.split(".")[0] in _CONFIGURATION_LIBRARIES:
        return in_words(error)
    return None


def _flushed(run: Callable[[], Any]) -> None:
    """Run, and write what was printed while it can be told that this is not possible."""
    try:
        run()
    except SystemExit as stop:
        if not stop.code:
            sys.stdout.flush()
        raise
    sys.stdout.flush()


def _refuse(parser: argparse.ArgumentParser, message: str) -> NoReturn:
    """What the library's parser of flags says, without its usage, which is no line."""
    del parser
    raise AGNetError(f"{message}; write KEY=VALUE")


_LONGEST = 1200
_ADVICE = re.compile(r"[^.;:(]*(allow_pickle|weights_only|pickle\.load)[^;]*?(?=\); |; |$)")
"""What NumPy and PyTorch recommend about files that they refuse: to run them."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def in_one_line(message: str) -> str:
    """A message in one line of bearable length, whatever it quotes; its end, which has the remedy, stays."""
    line = " ".join(message.split())
    line = line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"
    line = _ADVICE.sub(" it is no plain data", line).strip()
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], line)


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _prepare_process() -> None:
    """One folder for temporary files, streams that are open, and text that any terminal can show."""
    for number in range(3):  # a file that is opened later must not take a closed stream's place
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  for as long as the process lives
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    with suppress(OSError):  # no place for temporary files: whoever needs one will say so
        scratch()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _silence_output() -> None:
    """Print nothing more."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def in_words(error: BaseException) -> str:
    """One line that says what the configuration library refuses and what may have been meant.

    The library recommends adding an unknown key with ``+``. Such a key would be accepted and never read.

    Args:
        error: an exception of that library.
    """
    lines = str(error).splitlines() or [""]
    if missing := getattr(error, "missing_cfg_file", None):
        group = Path(missing).parent  # the library lists no choices if a group is given several
        choices = getattr(error, "options", None) or sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml"))
        said = (lines[0].partition(": ")[2] or lines[0]).rstrip(".")  # of "In 'search': Could not find ..."
        return f"{said}; choose from {', '.join(choices)}" if choices else said
    if (override := getattr(error, "override", None)) is not None:
        return f"cannot read {override!r}: {lines[0]}; write KEY=VALUE, a text of special letters as 'KEY=\"TEXT\"'"
    link: BaseException | None = error
    while link is not None:
        if type(link).__name__ == "MissingMandatoryValue":
            key = getattr(link, "full_key", None)
            return f"{key} has no default; give {key}=VALUE"
        if type(link).__name__ == "InterpolationKeyError":
            key, name = getattr(link, "full_key", None), re.search("'(.*)'", str(link))
            return f"{key} refers to {name[1] if name else 'a key'}, which there is not; correct the ${{...}}"
        if "is not in struct" in str(link):
            return _unknown_key(link)
        link = link.__cause__
    if built := re.fullmatch(r"Error in call to target '(.*?)':\s*(.*)full_key: (\S+)\s*", str(error), re.DOTALL):
        return f"{built[3]}: {built[1]} refuses its arguments ({' '.join(built[2].split())}); correct them"
    if place := getattr(error, "full_key", None):
        return f"{place}: {lines[0]}; correct what stands there"
    if "No match in the defaults list" in lines[0]:
        return f"{lines[0]} Is it made for another command?"
    return " ".join(str(error).split())


def unknown_choice(overrides: Sequence[str]) -> str | None:
    """The first override of a group that names none of its choices, in words; None if there is no such.

    Example:
        >>> unknown_choice(["seed=1", "pairing=null"])
        'pairing=null names no choice of pairing; choose from nearest, noise, transport, whitened'
    """
    for override in overrides:
        key, _, value = override.partition("=")
        group = key.lstrip("+").partition("@")[0]
        if re.fullmatch(r"[\w/]+", group) and (choices := sorted(p.stem for p in (CONF_DIR / group).glob("*.yaml"))):
            names = [name for name in re.split(r"[\[\],\s'\"]+", value) if name]
            if not names or not set(names) <= set(choices):
                return f"{override} names no choice of {group}; choose from {', '.join(choices)}"
    return None


_CHOICES = "hydra.runtime.choices."


def _unknown_key(error: BaseException) -> str:
    """An unknown key, with the most similar known key, or all of them."""
    parent = getattr(error, "parent_node", None)
    full = str(getattr(error, "full_key", None))
    if full.startswith(_CHOICES):
        group = full.removeprefix(_CHOICES)
        return f"{group} needs one choice; give {group}=NAME"
    known = [str(name) for name in parent or () if name != "hydra" and not str(name).startswith("_")]
    return no_key(full, known)


def no_key(full: str, known: Sequence[str]) -> str:
    """The refusal of an unknown key, ``SECTION.KEY``, with the similar one of those in its section, or all of them."""
    place, _, key = full.rpartition(".")
    if similar := difflib.get_close_matches(key, known, 1):
        return f"no key {full} (did you mean {f'{place}.' if place else ''}{similar[0]}?)"
    if known:
        return f"no key {full}; {f'{place} has' if place else 'there are'} {', '.join(known)}"
    return f"no key {full}; give {place}={{{key}: VALUE}}" if place else f"no key {full}"


def _use_current_names() -> None:
    """Replace overrides that bear names of an earlier revision, and say so."""
    given, current = sys.argv[1:], list(map(current_override, sys.argv[1:]))
    for old, new in zip(given, current, strict=True):
        if old != new:
            _say(f"note: {old} is called {new} now")
    sys.argv[1:] = current


def _say(message: str) -> None:
    with suppress(OSError, ValueError):  # nobody reads it; the exit status tells
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()
