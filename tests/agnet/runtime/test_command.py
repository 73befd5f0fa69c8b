"""The frame of commands, with stand-ins for the configuration library."""

import argparse
import errno
import functools
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from agnet.errors import AGNetError, TableError
from agnet.runtime.command import BAD_INPUT, INTERRUPTED, command, in_one_line
from agnet.runtime.paths import ROOT

Body = Callable[[Any], None]


def pass_configuration(job: Body) -> Callable[[], Any]:
    """A configuration library that has nothing to say."""
    return lambda: job({"seed": 1})


def library_error(module: str) -> type[Exception]:
    return type("InstantiationException", (Exception,), {"__module__": module})


def raiser(error: BaseException, cause: BaseException | None = None) -> Body:
    def body(_: Any) -> None:
        raise error from cause

    return body


def run(body: Body, decorate: Callable[[Body], Callable[[], Any]] = pass_configuration) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        command(decorate, body)()
    return stop.value.code


def test_the_numbers_are_the_customary_ones() -> None:
    assert (BAD_INPUT, INTERRUPTED) == (2, 130)


def test_success_returns(capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[Any] = []
    command(pass_configuration, seen.append)()
    assert seen == [{"seed": 1}]
    assert capfd.readouterr() == ("", "")


def test_a_refusal_that_nobody_can_read_keeps_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert run(raiser(AGNetError("budget=0"))) == BAD_INPUT
        monkeypatch.undo()
        with suppress(OSError):
            full.close()


def test_overrides_with_earlier_names_are_translated(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", "engine=inline", "attack.fgsm.eps=[8]", "seed=1"])
    command(pass_configuration, lambda _: None)()
    assert sys.argv == ["run.py", "executor=inline", "attack.fgsm.eps_255=[8]", "seed=1"]
    assert capfd.readouterr().err.splitlines() == [
        "note: engine=inline is called executor=inline now",
        "note: attack.fgsm.eps=[8] is called attack.fgsm.eps_255=[8] now",
    ]


def test_the_body_keeps_its_name() -> None:
    """Hydra names a job after its function."""
    names = []

    def decorate(job: Body) -> Callable[[], Any]:
        names.append(job.__name__)
        return functools.partial(job, None)

    def search(_: Any) -> None: ...

    command(decorate, search)()
    assert names == ["search"]


def test_an_error_of_the_user_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(raiser(TableError("no column 'x' in t.parquet"))) == 2
    assert capfd.readouterr() == ("", "error: no column 'x' in t.parquet\n")


def test_the_remedy_is_found_behind_the_library(capfd: pytest.CaptureFixture[str]) -> None:
    """Hydra wraps what a constructor raises, several times where objects are nested."""
    wrapped = library_error("hydra.errors")("Error in call to target")
    wrapped.__cause__ = AGNetError("eps=[9, 3]; give increasing values")
    assert run(raiser(library_error("hydra.errors")("Error in call to outer target"), cause=wrapped)) == 2
    assert capfd.readouterr().err == "error: eps=[9, 3]; give increasing values\n"


def refuses(error: Exception) -> Callable[[Body], Callable[[], Any]]:
    """A configuration library that raises before any body starts, if it is told to raise."""

    def decorate(_: Body) -> Callable[[], Any]:
        def main() -> None:
            if "HYDRA_FULL_ERROR" not in os.environ:
                raise SystemExit(1)
            raise error

        return main

    return decorate


def test_what_the_library_refuses_before_the_body_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(lambda _: None, refuses(library_error("hydra.errors")("Could not delete\nfrom config"))) == 2
    assert capfd.readouterr().err.startswith("error: Could not delete from config; --help lists")
    assert "HYDRA_FULL_ERROR" not in os.environ


def test_who_asks_for_the_traceback_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    error = library_error("hydra.errors")("Could not delete from config")
    with pytest.raises(type(error)):
        command(refuses(error), lambda _: None)()
    assert os.environ["HYDRA_FULL_ERROR"] == "1"


def test_whatever_the_library_makes_of_a_command_line_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(lambda _: None, refuses(ZeroDivisionError("x\ny"))) == BAD_INPUT
    said = "error: cannot read the command line (x y); --help lists the groups, their choices and all keys\n"
    assert capfd.readouterr() == ("", said)


@pytest.mark.parametrize("choice", ["null", "5", "[1]", "[[a]]", "", "nope", "[transport,nope]"])
def test_a_group_without_a_choice_is_named(
    choice: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pretrain.py", "seed=1", "+pairing@x=noise", f"pairing={choice}"])
    assert run(lambda _: None, refuses(ValueError("Config group override must be a string"))) == BAD_INPUT
    said = f"error: pairing={choice} names no choice of pairing; choose from nearest, noise, transport, whitened; "
    assert capfd.readouterr().err.startswith(said)


def test_flags_that_there_are_not(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def parse(_: Body) -> Callable[[], Any]:
        return lambda: argparse.ArgumentParser().parse_args(sys.argv[1:])

    monkeypatch.setattr(sys, "argv", ["run.py", "--nope"])
    before = argparse.ArgumentParser.error
    assert run(lambda _: None, parse) == BAD_INPUT
    assert capfd.readouterr().err.startswith("error: unrecognized arguments: --nope; write KEY=VALUE; ")
    assert argparse.ArgumentParser.error is before


def test_a_sweep_over_nothing(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", "-m", "seed=range(0)"])
    assert run(lambda _: None, lambda _: lambda: None) == BAD_INPUT
    assert capfd.readouterr().err.startswith("error: a key is given no values to run with; correct the range(...)")


def test_long_and_broken_messages() -> None:
    assert in_one_line("a\nb\tc\x1b[31m \x85d") == "a b c\\x1b[31m d"
    line = in_one_line("begin " + "x" * 100_000 + " remedy")
    assert len(line) < 1300
    assert (line[:7], line[-8:]) == ("begin x", "x remedy")


@pytest.mark.parametrize(
    "error",
    [
        "This file contains pickled data. If you trust it, use the `allow_pickle=` argument or `pickle.load()`.",
        "Weights only load failed. In 2.6 the default of `weights_only` changed. Set `weights_only` to `False`",
        "Object arrays cannot be loaded when allow_pickle=False",
    ],
)
def test_no_advice_to_run_a_file(error: str) -> None:
    line = in_one_line(f"a.npz cannot be read ({error}); write it again")
    assert line.startswith("a.npz cannot be read")
    assert line.endswith("no plain data); write it again")
    assert not [word for word in ("pickle.load", "allow_pickle", "weights_only", "False") if word in line]


def closed(descriptors: str, script: str) -> subprocess.CompletedProcess[str]:
    line = f'exec "$0" -c "$1" {descriptors}'
    return subprocess.run(
        ["sh", "-c", line, sys.executable, script], cwd=ROOT, capture_output=True, text=True, check=False
    )


PRINTS = """
from agnet.runtime.command import command
def body(_):
    print('x')
    open('/dev/null').close()
command(lambda job: lambda: job(None), body)()
"""


@pytest.mark.parametrize("descriptors", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed(descriptors: str) -> None:
    done = closed(descriptors, PRINTS)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("script", [PRINTS, PRINTS.replace("job(None)", "print('help')")])
def test_output_that_cannot_be_written(script: str) -> None:
    done = closed(">/dev/full", script)
    assert done.returncode == BAD_INPUT
    assert done.stderr.startswith("error: cannot write the output (No space left on device); ")
    assert done.stderr.count("\n") == 1


def test_the_body_and_its_processes_see_the_environment_of_the_user() -> None:
    seen: list[str | None] = []

    def twice(job: Body) -> Callable[[], Any]:
        def main() -> None:
            for _ in range(2):
                job(None)
                seen.append(os.environ.get("HYDRA_FULL_ERROR"))

        return main

    command(twice, lambda _: seen.append(os.environ.get("HYDRA_FULL_ERROR")))()
    assert seen == [None, "1", None, "1"]
    assert "HYDRA_FULL_ERROR" not in os.environ


@pytest.mark.parametrize("error", [FileExistsError(errno.EEXIST, "File exists", "a"), PermissionError(1, "no", "a")])
def test_a_place_that_cannot_be_used_is_the_users(error: OSError, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(raiser(error)) == 2
    assert capfd.readouterr().err == f"error: cannot use a ({error.strerror}); choose another\n"


@pytest.mark.parametrize("module", ["hydra.errors", "omegaconf.errors", "omegaconf"])
def test_what_the_library_says_itself_is_bad_input(module: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(raiser(library_error(module)("Missing mandatory value: out\n    full_key: out"))) == 2
    assert capfd.readouterr().err == "error: Missing mandatory value: out full_key: out\n"


@pytest.mark.parametrize("error", [ValueError("a defect"), library_error("hydrangea")("a defect"), AssertionError()])
def test_a_defect_keeps_its_traceback(error: Exception, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(type(error)) as caught:
        command(pass_configuration, raiser(error))()
    assert caught.value is error
    assert capfd.readouterr().err == ""


def test_an_error_merely_being_handled_is_no_remedy() -> None:
    """A defect in an except block (context, not cause) is a defect."""

    def body(_: Any) -> None:
        try:
            raise TableError("first")
        except TableError:
            raise ValueError("a defect on the way")  # noqa: B904

    with pytest.raises(ValueError, match="a defect on the way"):
        command(pass_configuration, body)()


def test_ctrl_c(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(raiser(KeyboardInterrupt())) == 130
    assert capfd.readouterr().err == "interrupted; the same command continues\n"


@pytest.mark.parametrize(("said", "code"), [(1, 2), (0, 0), (None, None), (3, 3)])
def test_the_library_refuses_before_the_body_starts(said: int | None, code: int | None) -> None:
    def refuse(_: Body) -> Callable[[], Any]:
        def stop() -> None:
            raise SystemExit(said)

        return stop

    assert run(lambda _: None, refuse) == code


@pytest.mark.parametrize("code", [0, 1, 2, 7])
def test_a_status_of_the_body_is_kept(code: int) -> None:
    assert run(raiser(SystemExit(code))) == code


def test_a_defect_the_library_reports_is_no_bad_input() -> None:
    """Hydra prints the traceback of a defect and exits with 1: that stays 1."""

    def report(job: Body) -> Callable[[], Any]:
        def main() -> None:
            try:
                job(None)
            except RuntimeError:
                raise SystemExit(1) from None

        return main

    assert run(raiser(RuntimeError("a defect")), report) == 1


def test_a_reader_that_has_gone_is_no_defect() -> None:
    script = (
        "from agnet.runtime.command import command\n"
        "def body(_):\n    raise BrokenPipeError\n"
        "command(lambda job: lambda: job(None), body)()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 128 + 13
    assert done.stderr == ""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_said_in_one_line(number: int, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(raiser(OSError(number, os.strerror(number), "there/state.pt"))) == BAD_INPUT
    said = capfd.readouterr().err
    assert said.startswith(f"error: cannot write there/state.pt ({os.strerror(number)}); ")
    assert said.endswith("; the same command continues where it stopped\n")
    assert said.count("\n") == 1
