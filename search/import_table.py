"""``python -m search.import_table importer=nats_bench path=FOLDER out=table.parquet``: official files into a table."""

import shlex
import sys
from pathlib import Path

import hydra
import pyarrow as pa
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from agnet.errors import ConfigurationError, TableError
from agnet.runtime.command import entry_point
from agnet.runtime.files import locked
from agnet.runtime.paths import git_revision
from agnet.tables.table import write_table
from search.importers.base import Importer


def run(cfg: DictConfig) -> None:
    """Read the files that a benchmark's authors published, write one table and print its content."""
    from search.schema import ImportTableConfig

    ImportTableConfig.check(OmegaConf.to_container(cfg, resolve=True))
    importer: Importer = instantiate(cfg.importer)
    path, out = Path(cfg.path), Path(cfg.out)
    if out.suffix != ".parquet" or out.is_dir():
        raise ConfigurationError(f"out={out} should be the name of a file that ends in .parquet; correct it")
    if not path.exists():
        raise TableError(f"path={path} does not exist; docs/import.md says which file or folder it is")
    try:
        table = importer.read(path, progress=cfg.progress)
    except OSError as error:
        raise TableError(f"path={path} cannot be read: {error}") from error
    metadata = {
        "space": importer.space,
        **importer.metadata(),
        "file": path.resolve().name,
        "command": shlex.join(["python", "-m", "search.import_table", *sys.argv[1:]]),
        "revision": git_revision(),
    }
    with locked(out.parent):
        write_table(out, table, metadata)
    print(f"{out}: {table.num_rows} architectures, {_described(table)}")


def _described(table: pa.Table) -> str:
    """Names of the columns, and the number of rows without a value in each."""
    names = table.column_names[1:]
    empty = [f"{n} ({table[n].null_count})" for n in names if table[n].null_count]
    missing = f"; rows without a value: {', '.join(empty)}" if empty else ""
    return f"{len(names)} columns: {', '.join(names)}{missing}"


main = entry_point(hydra.main, "import_table", run)

if __name__ == "__main__":
    main()
