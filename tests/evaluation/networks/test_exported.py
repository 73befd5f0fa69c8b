"""Files of ``torch.export.save`` that would run something: refused before torch sees them, and nothing has run."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from agnet.errors import UnreadableFile
from evaluation.networks.exported import load_exported


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(48, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            shift = x.mean(dim=(1, 2, 3), keepdim=True)
        return self.linear((x - shift).flatten(1))


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("exported") / "net.pt2"
    shapes = ({0: torch.export.Dim("batch")},)
    torch.export.save(torch.export.export(Small().eval(), (torch.rand(2, 3, 4, 4),), dynamic_shapes=shapes), path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def named(members: dict[str, bytes], end: str) -> str:
    [name] = [name for name in members if name.endswith(end)]
    return name


def test_a_sound_file_is_the_network(members: dict[str, bytes], tmp_path: Path) -> None:
    network, x = load_exported(write(tmp_path / "net.pt2", members)), torch.rand(5, 3, 4, 4)
    assert torch.equal(network(x), Small().eval()(x))


class Touch:
    """A pickle that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable, tuple[str]]:
        return os.mkdir, (str(self.path),)


def pickled(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def changed(members: dict[str, bytes], end: str, change: Callable[[Any], None]) -> dict[str, bytes]:
    name = named(members, end)
    content = json.loads(members[name])
    change(content)
    return {**members, name: json.dumps(content).encode()}


def evil_inputs(members: dict[str, bytes], mark: Path) -> dict[str, bytes]:
    return {**members, named(members, "sample_inputs/model.pt"): pickled(Touch(mark))}


def evil_inputs_as_plain_pickle(members: dict[str, bytes], mark: Path) -> dict[str, bytes]:
    return {**members, named(members, "sample_inputs/model.pt"): pickle.dumps(Touch(mark))}


def evil_weight(members: dict[str, bytes], mark: Path) -> dict[str, bytes]:
    root = named(members, "archive_format").removesuffix("archive_format")

    def change(config: Any) -> None:
        config["config"]["linear.weight"] |= {"use_pickle": True, "path_name": "weight_7"}

    return {**changed(members, "weights_config.json", change), f"{root}data/weights/weight_7": pickled(Touch(mark))}


def evil_constant(prefix: str) -> Callable:
    def make(members: dict[str, bytes], mark: Path) -> dict[str, bytes]:
        root = named(members, "archive_format").removesuffix("archive_format")
        content = pickle.dumps(Touch(mark)) if prefix == "opaque_obj" else pickled(Touch(mark))

        def change(config: Any) -> None:
            config["config"]["c"] = {
                "path_name": f"{prefix}_0",
                "is_param": False,
                "use_pickle": True,
                "tensor_meta": None,
            }

        return {**changed(members, "constants_config.json", change), f"{root}data/constants/{prefix}_0": content}

    make.__name__ = prefix
    return make


def legacy_weights(members: dict[str, bytes], mark: Path) -> dict[str, bytes]:
    root = named(members, "archive_format").removesuffix("archive_format")
    return {**members, f"{root}data/weights/model.pt": pickled(Touch(mark))}


def compiled_library(members: dict[str, bytes], mark: Path) -> dict[str, bytes]:
    root = named(members, "archive_format").removesuffix("archive_format")
    return {**members, f"{root}data/aotinductor/model/model.so": b"\x7fELF"}


def formula(text: str) -> Callable:
    def make(members: dict[str, bytes], mark: Path) -> dict[str, bytes]:
        def change(value: Any) -> None:
            if isinstance(value, dict):
                for key, item in value.items():
                    if key == "expr_str":
                        value[key] = text.format(mark=mark)
                    change(item)
            elif isinstance(value, list):
                for item in value:
                    change(item)

        return changed(members, "models/model.json", change)

    make.__name__ = text[:20]
    return make


def guard(members: dict[str, bytes], mark: Path) -> dict[str, bytes]:
    def change(config: Any) -> None:
        config["guards_code"] = [f"__import__('os').mkdir('{mark}')"]

    return changed(members, "models/model.json", change)


def target(name: str) -> Callable:
    def make(members: dict[str, bytes], mark: Path) -> dict[str, bytes]:
        def change(config: Any) -> None:
            node = config["graph_module"]["graph"]["nodes"][-1]
            node["target"] = name
            node["inputs"] = [{"name": "", "arg": {"as_string": str(mark)}, "kind": 1}]

        return changed(members, "models/model.json", change)

    make.__name__ = name
    return make


def parameter_name(members: dict[str, bytes], mark: Path) -> dict[str, bytes]:
    name = named(members, "models/model.json")
    return {**members, name: members[name].replace(b'"name": "x"', b'"name": "x=print(1)"')}


def enumeration(members: dict[str, bytes], mark: Path) -> dict[str, bytes]:
    def change(config: Any) -> None:
        tree = {
            "type": "builtins.dict",
            "context": json.dumps([{"__enum__": True, "fqn": "antigravity:x", "name": "x"}]),
            "children_spec": [],
        }
        config["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = json.dumps([1, tree])

    return changed(members, "models/model.json", change)


@pytest.mark.parametrize(
    "make",
    [
        *(evil_inputs, evil_inputs_as_plain_pickle, evil_weight, legacy_weights, compiled_library, guard),
        *(evil_constant(prefix) for prefix in ("tensor", "custom_obj", "opaque_obj")),
        *(formula("__import__('os').mkdir('{mark}')"), formula("9**9**9**9"), formula("Symbol('s0').func('x')")),
        *(target(f"torch.{name}") for name in ("os.mkdir", "ops.aten.from_file.default", "ops.aten.save.default")),
        *(parameter_name, enumeration),
    ],
)
def test_what_would_run_is_refused(make: Callable, members: dict[str, bytes], tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(UnreadableFile, match=r"evil\.pt2 .*export the model anew") as caught:
        load_exported(write(tmp_path / "evil.pt2", make(members, mark)))
    assert "nothing of it was run" in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_a_member_that_only_torch_would_read(members: dict[str, bytes], tmp_path: Path) -> None:
    """Two members of one name: the zip library takes the last, torch the first."""
    path = write(tmp_path / "evil.pt2", members)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(named(members, "sample_inputs/model.pt"), b"")
    with pytest.raises(UnreadableFile, match="members of one name"):
        load_exported(path)


def test_a_bomb(members: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluation.networks.exported._ROOM", 2**16)
    path = tmp_path / "bomb.pt2"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, bytes(2**20) if name.endswith("weight_0") else content)
    with pytest.raises(UnreadableFile, match="unpack to"):
        load_exported(path)


@pytest.mark.parametrize("keep", [0, 1, 100, 5_000, -30])
def test_damaged_files(keep: int, members: dict[str, bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "net.pt2", members)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UnreadableFile, match=r"net\.pt2 "):
        load_exported(path)
    assert not caplog.records


def test_members_that_are_missing(members: dict[str, bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in members:
        path = write(tmp_path / "net.pt2", {n: c for n, c in members.items() if n != name})
        with suppress(UnreadableFile):
            load_exported(path)
    assert not caplog.records
