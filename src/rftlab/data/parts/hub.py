"""Rows of hub datasets, from a local mirror or from the hub; every failure is a `UserError`.

A mirror is read file by file, each time: the cache of `datasets` is keyed by less than the content of a folder. From
the hub the cache holds one revision, which is named in the log.
"""

import logging
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import datasets
import datasets.config
import datasets.exceptions
import huggingface_hub
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import httpx  # the client that it uses, under the name that it exports

from rftlab.errors import UserError

# pyarrow's errors are ValueErrors; the client's own come where the connection breaks half-way
READ_ERRORS = (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError, httpx.HTTPError)
SCRIPT = "Dataset scripts are no longer supported"  # how the RuntimeError begins that `datasets` raises for one
PROBE_TIMEOUT_S = 5.0  # a closed network is told within seconds, not after the library's retries
BATCH = 500  # rows of a file that are in memory with all their columns
EXPORT = "refs/convert/parquet"  # the branch on which the hub keeps every dataset as CONFIG/SPLIT/NUMBER.parquet
HUB_FILE = "hf://datasets/{hub_id}@{revision}/{file}"

log = logging.getLogger("rftlab")


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a dataset lies: a folder, or a name on the hub with the revision that is read."""

    source: str
    revision: str | None  # None for a folder
    export: Mapping[str, Mapping[str, list[str]]] | None = None  # config -> split -> files, of the hub's parquet export


def read_split(
    hub_id: str,
    config: str | None,
    split: str,
    hub_mirror: Path | None,
    columns: Sequence[str],
    revision: str | None = None,
    data_dir: str | None = None,
    change: str = "data.loader.hub_id to a dataset with that schema",
    change_split: str = "data.loader.hub_id or paths.hub_mirror",
) -> datasets.Dataset:
    """Read some columns of one split of a hub dataset, from `<hub_mirror>/<hub_id>` where a mirror is given.

    A name with dots is a field inside a column; what stands beside it in the column is not kept. The revision, a branch
    or commit of the hub, is none of a mirror's; at `refs/convert/parquet` lies what the hub made of a dataset script.
    With `data_dir` the files of that folder of the dataset are read, whatever its card says. `change` is what to change
    where a column is missing, `change_split` where the split is.

    Raises:
        UserError: mirror, dataset, config, split or a column is missing, the split is empty, or the hub is unreachable.
    """
    if hub_mirror is not None and revision not in (None, EXPORT):
        log.warning("revision %s of %s is not looked for in a mirror, which has one state", revision, hub_id)
    place = _hub_place(hub_id, revision) if hub_mirror is None else _mirror_place(hub_id, hub_mirror)
    with _quiet(offline=hub_mirror is not None), TemporaryDirectory(prefix="rftlab-rows-") as empty:
        _check_config(hub_id, place, config)
        try:
            if place.revision is None:
                rows = _read_files(place, config, split, columns, empty, data_dir, change, change_split)
            elif place.export is not None:
                rows = _read_export(place.export[config or "default"], place.source, split, change_split)
            else:
                splits = datasets.get_dataset_split_names(
                    place.source, config, revision=place.revision, data_dir=data_dir
                )
                _check_split(place.source, split, splits, change_split)
                rows = datasets.load_dataset(
                    place.source, config, split=split, revision=place.revision, data_dir=data_dir
                )
        except READ_ERRORS as error:
            raise _unreadable(place.source, error) from error
    if rows is None or len(rows) == 0:
        raise UserError(f"split '{split}' of {place.source} is empty", "at least one row", change_split)
    return _select(rows, columns, split, place.source, change)


def _read_files(
    place: _Place,
    config: str | None,
    split: str,
    columns: Sequence[str],
    empty: str,
    data_dir: str | None,
    change: str,
    change_split: str,
) -> datasets.Dataset | None:
    """Read the files of a folder into memory; None if they have no row.

    `empty` is a folder without anything: given as the cache, it keeps the library from remembering another state.
    """
    builder = datasets.load_dataset_builder(place.source, config, cache_dir=empty, data_dir=data_dir)
    _check_split(place.source, split, list(builder.config.data_files or {}), change_split)
    stream = builder.as_streaming_dataset(split=split)
    assert isinstance(stream, datasets.IterableDataset)
    features = stream.features
    parts = []
    for table in stream.with_format("arrow").iter(BATCH):
        features = features or datasets.Features.from_arrow_schema(table.schema)
        whole = datasets.Dataset(table, info=datasets.DatasetInfo(features=features))
        parts.append(_select(whole, columns, split, place.source, change))
    return datasets.concatenate_datasets(parts) if parts else None


def _read_export(files: Mapping[str, list[str]], source: str, split: str, change_split: str) -> datasets.Dataset:
    """Read a split of a parquet export: its files are named, as the library knows no configs of such a branch."""
    _check_split(source, split, list(files), change_split)
    return datasets.load_dataset("parquet", data_files={split: files[split]}, split=split)


def _select(rows: datasets.Dataset, columns: Sequence[str], split: str, source: str, change: str) -> datasets.Dataset:
    """Keep the columns that are read, fields of records among them by their names with dots."""
    if not set(columns) <= set(rows.column_names):
        rows = rows.flatten()
    missing = [column for column in columns if column not in rows.column_names]
    if missing:
        raise UserError(
            f"split '{split}' of {source} has no column {', '.join(missing)} (it has {', '.join(rows.column_names)})",
            f"the columns {', '.join(columns)}",
            change,
        )
    return rows.select_columns(list(columns))


def _mirror_place(hub_id: str, hub_mirror: Path) -> _Place:
    if not hub_mirror.is_dir():
        raise UserError(
            f"no folder {hub_mirror}", "a folder laid out as <org>/<name>", "paths.hub_mirror, or data.source=bundled"
        )
    if not (hub_mirror / hub_id).is_dir():
        raise UserError(
            f"no dataset {hub_id} in {hub_mirror}",
            f"a folder {hub_mirror / hub_id}",
            "data.loader.hub_id or paths.hub_mirror, or data.source=bundled",
        )
    return _Place(source=str(hub_mirror / hub_id), revision=None)


def _hub_place(hub_id: str, revision: str | None) -> _Place:
    """Ask the hub once, with a short timeout, whether the dataset is there, and say in which commit it is read."""
    try:
        known = huggingface_hub.HfApi().dataset_info(hub_id, revision=revision, timeout=PROBE_TIMEOUT_S)
    except RepositoryNotFoundError as error:
        raise UserError(f"no dataset {hub_id} on the hub", "an existing dataset", "data.loader.hub_id") from error
    except RevisionNotFoundError as error:
        found = f"{hub_id} has no revision {revision} on the hub"
        raise UserError(found, "a branch or commit, or null for main", "data.loader.hub_revision") from error
    except (httpx.HTTPError, OSError) as error:  # no answer, an unfriendly one, or offline mode
        raise UserError(
            f"the hub cannot be reached for {hub_id} ({_first_line(error)})",
            "a network connection or a local copy",
            "paths.hub_mirror to a folder with the dataset, or data.source=bundled",
        ) from error
    commit = known.sha or revision or "main"
    log.info("%s is read from the hub at revision %s", hub_id, commit)
    if revision != EXPORT:
        return _Place(source=hub_id, revision=commit)
    names = [file.rfilename for file in known.siblings or ()]
    return _Place(source=hub_id, revision=commit, export=_exported(hub_id, commit, names))


def _exported(hub_id: str, commit: str, names: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Sort the files of a parquet export by config and split."""
    found: dict[str, dict[str, list[str]]] = {}
    for name in sorted(name for name in names if name.count("/") == 2 and name.endswith(".parquet")):
        config, split, _ = name.split("/")
        file = HUB_FILE.format(hub_id=hub_id, revision=commit, file=name)
        found.setdefault(config, {}).setdefault(split, []).append(file)
    return found


def _check_config(hub_id: str, place: _Place, config: str | None) -> None:
    """Compare the config with what the dataset offers; null is the only one, or `default` of a parquet export."""
    if place.export is not None:
        if (config or "default") not in place.export:
            expected = f"one of {', '.join(place.export)}"
            raise UserError(f"{hub_id} has no config '{config or 'default'}'", expected, "data.loader.hub_config")
        return
    try:
        configs = datasets.get_dataset_config_names(place.source, revision=place.revision)
    except READ_ERRORS as error:
        raise _unreadable(place.source, error) from error
    if config is not None and config not in configs:
        raise UserError(f"{hub_id} has no config '{config}'", f"one of {', '.join(configs)}", "data.loader.hub_config")


def _check_split(source: str, split: str, splits: Sequence[str], change: str) -> None:
    if split not in splits:
        raise UserError(
            f"{source} has no split '{split}' (it has {', '.join(splits)})", "the splits of the hub dataset", change
        )


def _unreadable(source: str, error: Exception) -> UserError:
    if str(error).startswith(SCRIPT):
        change = f"data.loader.hub_revision={EXPORT}, which the hub made of it, or paths.hub_mirror to a copy of that"
        return UserError(f"{source} is a dataset script, which nothing runs any more", "data files", change)
    return UserError(
        f"{source} cannot be read ({_first_line(error)})",
        "data files as the hub has them",
        "data.loader.hub_id or paths.hub_mirror, or repair the files",
    )


@contextmanager
def _quiet(offline: bool) -> Generator[None]:
    """Read without progress bars or download counts, offline without any network; then restore the settings."""
    bars = datasets.are_progress_bars_disabled()
    counts, offline_before = datasets.config.HF_UPDATE_DOWNLOAD_COUNTS, datasets.config.HF_HUB_OFFLINE
    hub_before = huggingface_hub.constants.HF_HUB_OFFLINE
    datasets.disable_progress_bars()
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    datasets.config.HF_HUB_OFFLINE = offline or offline_before
    huggingface_hub.constants.HF_HUB_OFFLINE = offline or hub_before
    try:
        yield
    finally:
        datasets.config.HF_UPDATE_DOWNLOAD_COUNTS, datasets.config.HF_HUB_OFFLINE = counts, offline_before
        huggingface_hub.constants.HF_HUB_OFFLINE = hub_before
        if not bars:
            datasets.enable_progress_bars()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
