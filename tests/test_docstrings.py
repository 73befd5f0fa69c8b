"""Docstring entries that are stumps, counted by a program.

A reader of ``steps: of Adam.`` has to guess the noun. Every entry of ``Args``, ``Attributes``, ``Returns``, ``Yields``
and ``Raises`` has to say what the thing is. An entry (its text with line breaks as spaces) is a stump if it

* has fewer than :data:`MIN_WORDS` words, or
* begins with a preposition or with ``see`` or ``as``, so that the noun it belongs to is missing, or
* begins with ``what``, ``where``, ``which``, ``who``, ``when`` or ``how``: a relative clause without its noun
  (``whether`` is fine, since it says yes or no).

``Returns`` and ``Yields`` hold one entry each, the other sections one per name. Entries of ``Raises`` are conditions
and may begin with ``if``, ``for`` or ``when``. A docstring's first line, and the text below a constant or an attribute,
are stumps if they begin with ``Of``, ``See`` or ``As in``.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MIN_WORDS = 2
SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises")
_SECTION = re.compile(r"(\w+):$")
_ENTRY = re.compile(r"(\*{0,2}[\w.]+(?: \(.*?\))?): (.*)")
_PREPOSITIONS = "as at beside between by for from in into of on per since than that through to under until with within"
_HEADLESS = re.compile(rf"(?:see|what|where|which|who|when|how|{_PREPOSITIONS.replace(' ', '|')})\b", re.IGNORECASE)
_HEADLESS_RAISES = re.compile(r"(?:see|what|where|which|who|how|of|as)\b", re.IGNORECASE)
_HEADLESS_SUMMARY = re.compile(r"(?:Of|See|As in)\b")


def entries(docstring: str) -> Iterator[tuple[str, str, str]]:
    """Section, name and text of every entry of a Google docstring."""
    section, collected = "", list[list[str]]()
    for line in [*inspect.cleandoc(docstring).splitlines(), "End:"]:
        header = _SECTION.match(line)
        if header or (line and not line.startswith(" ")):
            for name, *texts in collected:
                yield section, name, " ".join(texts)
            section, collected = header[1] if header and header[1] in SECTIONS else "", []
        elif section and line.strip():
            entry = _ENTRY.match(line[4:])
            if entry and section not in ("Returns", "Yields"):
                collected.append([entry[1], entry[2]])
            elif collected:
                collected[-1].append(line.strip())
            else:
                collected.append(["", line.strip()])


def is_stump(section: str, text: str) -> bool:
    """Whether an entry leaves out the noun that says what the thing is."""
    headless = _HEADLESS_RAISES if section == "Raises" else _HEADLESS
    return len(text.split()) < MIN_WORDS or headless.match(text) is not None


def stumps(source: str) -> list[str]:
    """Stumps of a module, each as ``line: entry``; the line is the docstring's first."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            continue
        docstring = node.value.value
        if not isinstance(docstring, str):
            continue
        if _HEADLESS_SUMMARY.match(docstring):
            found.append(f"{node.lineno}: {docstring.splitlines()[0]}")
        found += [
            f"{node.lineno}: {section}: {name}: {text}"
            for section, name, text in entries(docstring)
            if is_stump(section, text)
        ]
    return found


@pytest.mark.parametrize("package", ["agnet", "search", "evaluation"])
def test_no_docstring_entry_is_a_stump(package: str) -> None:
    """Every entry says what the thing is."""
    found = [
        f"{path.relative_to(ROOT)}:{stump}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for stump in stumps(path.read_text(encoding="utf-8"))
    ]
    assert not found, f"{len(found)} stumps:\n" + "\n".join(found)


def test_the_count_tells_stumps_from_entries() -> None:
    """One example of every kind."""
    source = '''
def fit(steps, device, rate, size):
    """Fit a model.

    Args:
        steps: of Adam.
        device: where they are
            wanted.
        rate: learning rate
            of Adam, per step.
        size (int): see :func:`make`.

    Returns:
        The fitted model.

    Raises:
        ValueError: if there are none.
        TypeError: see :func:`make`.
    """
'''
    found = [stump.split(": ", 1)[1] for stump in stumps(source)]
    assert found == [
        "Args: steps: of Adam.",
        "Args: device: where they are wanted.",
        "Args: size (int): see :func:`make`.",
        "Raises: TypeError: see :func:`make`.",
    ]
