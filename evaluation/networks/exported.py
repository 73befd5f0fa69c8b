"""Load a file of ``torch.export.save`` so that nothing in it runs but a graph of tensor operations.

``torch.export.load`` rebuilds pickles, evaluates the file's formulas of sizes as Python, imports modules and loads
compiled libraries that the file brings along. Here every member is checked first: pickles may hold tensors and
containers alone, formulas and names must be plain, and the operations must be known ones. What has passed is written
into a new archive in memory, which torch then reads, so both see the same members.
"""

import ast
import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from torch import Tensor, nn

from agnet.errors import UnreadableFile
from agnet.runtime.reading import parse_json, read_bytes

_LARGEST = 16 * 2**30
_ROOM = 64 * 2**20  # that a file may unpack to besides four times its size; torch packs nothing
_PICKLED = re.compile(r"data/(sample_inputs/\w+\.pt|(weights|constants)/((weight|tensor)_\d+|\w+\.pt))")
_RAW = re.compile(r"data/(weights|constants)/(weight|tensor)_\d+")
_CONFIG = re.compile(r"data/(weights|constants)/\w+_config\.json|models/\w+\.json")
_PLAIN = re.compile(r"archive_format|archive_version|byteorder|\.data/(version|serialization_id)|\.format_version")
_NOTES = re.compile(r"extra/.*|\.storage_alignment")

_OPERATIONS = re.compile(
    r"torch\.ops\.(aten|prims)\.\w+(\.\w+)?|torch\.sym_\w+|math\.\w+|"
    r"torch\.ops\.higher_order\.(wrap_with_set_grad_enabled|wrap_with_autocast)|"
    r"_operator\.(add|sub|mul|floordiv|truediv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|xor|not_|getitem|index)"
)
_FILE_OPERATIONS = re.compile(r"torch\.ops\.aten\.(from_file|save|load|open|print|warn)\b.*")
_TEXT = re.compile(r"[\w.+:\-, >/]*", re.ASCII)
_TREES = (None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")

_FUNCTIONS = re.compile(
    "Symbol|Integer|Rational|Float|Add|Mul|Max|Min|Mod|PythonMod|FloorDiv|CleanDiv|CeilDiv|ModularIndexing|Where|"
    "CeilToInt|FloorToInt|TruncToInt|RoundToInt|ToFloat|IntTrueDiv|FloatTrueDiv|Eq|Ne|Lt|Le|Gt|Ge|Equality|Unequality|"
    "LessThan|StrictLessThan|GreaterThan|StrictGreaterThan|And|Or|Not|Abs|floor|ceiling|Identity|Pow|PowByNatural"
)
_MEASURES = ("size", "shape", "stride", "storage_offset", "dim", "ndim")
_NODES = (
    *(ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Constant, ast.Name, ast.Load, ast.keyword),
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.USub, ast.UAdd, ast.Not, ast.And),
    *(ast.Or, ast.BitAnd, ast.BitOr, ast.Invert, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Call),
)


def load_exported(path: Path) -> nn.Module:
    """The network in a file of ``torch.export.save``.

    Args:
        path: the file.

    Raises:
        UnreadableFile: if it is damaged, or holds more than tensors and a graph of tensor operations.
    """
    data = read_bytes(path, most=_LARGEST)
    log = logging.getLogger("torch.export")
    before, log.disabled = log.disabled, True  # it prints tracebacks
    try:
        with _members(data) as members:
            program = torch.export.load(_checked(members))
        return program.module()  # pyright: ignore[reportReturnType]
    except _Refused as refused:
        raise UnreadableFile(f"{path} {refused}; nothing of it was run: export the model anew") from refused
    except Exception as error:  # torch, zipfile, zlib and sympy each have their own
        brief = next(iter(str(error).splitlines()), "")[:120] or type(error).__name__
        raise UnreadableFile(
            f"{path} is no sound file of torch.export.save ({brief}); export the model anew"
        ) from error
    finally:
        log.disabled = before


class _Refused(Exception):
    """A file that could run more than a graph of tensor operations."""


def _members(data: bytes) -> ZipFile:
    """An archive that does not unpack to much more than its size."""
    archive = ZipFile(io.BytesIO(data))
    size = sum(info.file_size for info in archive.infolist())
    if size > 4 * len(data) + _ROOM:
        raise _Refused(f"holds {len(data)} bytes that unpack to {size}")
    return archive


def _checked(archive: ZipFile) -> io.BytesIO:
    """The same archive made anew of its checked members."""
    names = [info.filename for info in archive.infolist() if not info.is_dir()]
    root = names[0].partition("/")[0] if names else ""
    contents = {name.removeprefix(f"{root}/"): archive.read(name) for name in names}
    if len(contents) < len(names) or not all(name.startswith(f"{root}/") for name in names):
        raise _Refused("has members of one name, or outside of its root")
    pickled = {name for name in contents if _PICKLED.fullmatch(name) and not _RAW.fullmatch(name)}
    configs = {name: parse_json(contents[name], Path(name)) for name in contents if _CONFIG.fullmatch(name)}
    for name, config in configs.items():
        _check_json(config)
        if name.startswith("data/"):
            folder = name.rpartition("/")[0]
            entries = config["config"].values()
            pickled |= {f"{folder}/{entry['path_name']}" for entry in entries if entry["use_pickle"]}
    buffer = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(buffer)  # pyright: ignore[reportAttributeAccessIssue]
    for name, content in contents.items():
        if name in pickled and _PICKLED.fullmatch(name):
            content = _repickled(name, content)
        elif name in configs:
            content = json.dumps(_without_notes(configs[name])).encode()
        elif _NOTES.fullmatch(name):
            continue
        elif name in pickled or not (_RAW.fullmatch(name) or _PLAIN.fullmatch(name)):
            raise _Refused(f"holds {name[:80]!r}, which no exported network needs")
        if not name.startswith(".data/"):  # the writer adds its own
            writer.write_record(name, content, len(content))
    writer.write_end_of_file()
    buffer.seek(0)
    return buffer


def _repickled(name: str, content: bytes) -> bytes:
    """A pickle of tensors and containers, written anew."""
    if not content:
        return content
    try:
        with _members(content):
            pass
        value = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except _Refused:
        raise
    except Exception as error:
        raise _Refused(f"holds a pickle that wants more than tensors ({name})") from error
    _check_plain(name, value)
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def _check_plain(name: str, value: Any) -> None:
    if type(value) in (dict, list, tuple):
        for item in value.values() if isinstance(value, dict) else value:
            _check_plain(name, item)
    elif not (value is None or type(value) in (Tensor, nn.Parameter, bool, int, float, str)):
        raise _Refused(f"holds a pickled {type(value).__name__} ({name})")


def _without_notes(config: Any) -> Any:
    """A program without what tracing has noted in it: places in source files, names of modules."""
    if isinstance(config, dict):
        return {k: {} if k == "metadata" else _without_notes(v) for k, v in config.items()}
    return [_without_notes(item) for item in config] if isinstance(config, list) else config


def _check_json(config: Any) -> None:
    """Refuse formulas, names and operations that could be anything but what they seem."""
    for key, value in _texts(config):
        if key == "expr_str":
            _check_formula(value)
        elif key == "guards_code":
            _check_formula(value, measures=True)
        elif key in ("in_spec", "out_spec"):
            _check_tree(parse_json(value, Path(key)))
        elif key == "target" and (not _OPERATIONS.fullmatch(value) or _FILE_OPERATIONS.fullmatch(value)):
            raise _Refused(f"calls {value[:80]!r}, which is no operation on tensors")
        elif not _TEXT.fullmatch(value):
            raise _Refused(f"holds the text {value[:40]!r}, which is no name")


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """All texts with the keys they stand under, those of notes left out."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield "", name
            if name != "metadata":
                yield from _texts(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, key)
    elif isinstance(value, str):
        yield key, value


def _check_tree(spec: Any) -> None:
    """Refuse a structure of arguments that is not made of plain containers."""
    protocol, tree = spec
    queue = [tree]
    for node in queue:
        if protocol != 1 or node["type"] not in _TREES or "__enum__" in str(node["context"]):
            raise _Refused(f"has arguments of type {str(node['type'])[:80]!r}")
        queue += node["children_spec"]


def _check_formula(text: str, *, measures: bool = False) -> None:
    """Refuse a formula that is more than arithmetic with symbols: torch evaluates it as Python.

    Args:
        text: the formula.
        measures: whether it may read sizes of arguments, as in ``L['x'].size()[0] == 3``.
    """
    refused = _Refused(f"holds the formula {text[:60]!r}, which is more than arithmetic")
    if len(text) > 4000:
        raise refused
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise refused from error
    functions = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    powers = 0
    for node in nodes:
        if isinstance(node, ast.Attribute):
            sound = measures and node.attr in _MEASURES
        elif isinstance(node, ast.Subscript):
            sound = measures
        elif isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            powers += name in ("Pow", "PowByNatural")
            sound = bool(_FUNCTIONS.fullmatch(name)) or (isinstance(node.func, ast.Attribute) and not node.args)
        elif isinstance(node, ast.Name):
            sound = id(node) in functions or bool(re.fullmatch(r"[a-zL]{1,4}\d*|int_oo|True|False", node.id, re.ASCII))
        elif isinstance(node, ast.Constant):
            sound = isinstance(node.value, bool | float) or (isinstance(node.value, int) and abs(node.value) < 2**63)
            sound |= isinstance(node.value, str) and bool(re.fullmatch(r"\w{1,100}", node.value, re.ASCII))
        else:
            powers += isinstance(node, ast.Pow)
            sound = isinstance(node, _NODES)
        if not sound or powers > 1:
            raise refused
    if powers and any(isinstance(n, ast.Constant) and isinstance(n.value, int) and abs(n.value) > 64 for n in nodes):
        raise refused
