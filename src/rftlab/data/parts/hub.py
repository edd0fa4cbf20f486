"""Rows of hub datasets, from a local mirror or from the hub; every failure is a `UserError`."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import datasets
import datasets.config
import datasets.exceptions
import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.utils import httpx  # the client that it uses, under the name that it exports

from rftlab.errors import UserError

# pyarrow's errors are ValueErrors; the client's own come where the connection breaks half-way
READ_ERRORS = (OSError, ValueError, datasets.exceptions.DatasetsError, httpx.HTTPError)
PROBE_TIMEOUT_S = 5.0  # a closed network is told within seconds, not after the library's retries


def read_split(
    hub_id: str, config: str | None, split: str, hub_mirror: Path | None, columns: Sequence[str]
) -> datasets.Dataset:
    """Read some columns of one split of a hub dataset, from `<hub_mirror>/<hub_id>` where a mirror is given.

    A name with dots is a field inside a column; what stands beside it in the column is not read.

    Raises:
        UserError: mirror, dataset, config, split or a column is missing, the split is empty, or the hub is unreachable.
    """
    source = _hub_source(hub_id) if hub_mirror is None else _mirror_source(hub_id, hub_mirror)
    with _quiet(offline=hub_mirror is not None):
        _check_names(hub_id, source, config, split)
        try:
            rows = datasets.load_dataset(source, config, split=split)
        except READ_ERRORS as error:
            raise (
                _empty(source, split) if _holds_no_rows(source, config, split) else _unreadable(source, error)
            ) from error
    if any("." in column for column in columns):
        rows = rows.flatten()
    missing = [column for column in columns if column not in rows.column_names]
    if missing:
        raise UserError(
            f"split '{split}' of {source} has no column {', '.join(missing)} (it has {', '.join(rows.column_names)})",
            f"the columns {', '.join(columns)}",
            "data.loader.hub_id to a dataset with that schema",
        )
    if len(rows) == 0:
        raise UserError(
            f"split '{split}' of {source} is empty", "at least one row", "data.loader.hub_id or paths.hub_mirror"
        )
    return rows.select_columns(list(columns))


def _mirror_source(hub_id: str, hub_mirror: Path) -> str:
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
    return str(hub_mirror / hub_id)


def _hub_source(hub_id: str) -> str:
    """Ask the hub once, with a short timeout, whether the dataset is there."""
    try:
        huggingface_hub.HfApi().dataset_info(hub_id, timeout=PROBE_TIMEOUT_S)
    except RepositoryNotFoundError as error:
        raise UserError(f"no dataset {hub_id} on the hub", "an existing dataset", "data.loader.hub_id") from error
    except (httpx.HTTPError, OSError) as error:  # no answer, an unfriendly one, or offline mode
        raise UserError(
            f"the hub cannot be reached for {hub_id} ({_first_line(error)})",
            "a network connection or a local copy",
            "paths.hub_mirror to a folder with the dataset, or data.source=bundled",
        ) from error
    return hub_id


def _check_names(hub_id: str, source: str, config: str | None, split: str) -> None:
    """Compare config and split with what the dataset offers."""
    try:
        configs = datasets.get_dataset_config_names(source)
    except READ_ERRORS as error:
        raise _unreadable(source, error) from error
    if config is not None and config not in configs:
        raise UserError(f"{hub_id} has no config '{config}'", f"one of {', '.join(configs)}", "data.loader.hub_config")
    try:
        splits = datasets.get_dataset_split_names(source, config)
    except READ_ERRORS as error:
        raise _unreadable(source, error) from error
    if split not in splits:
        raise UserError(
            f"{source} has no split '{split}' (it has {', '.join(splits)})",
            "the splits of the hub dataset",
            "data.loader.hub_id or paths.hub_mirror",
        )


def _holds_no_rows(source: str, config: str | None, split: str) -> bool:
    """Tell whether a split is parquet files without a row, which the library cannot read."""
    files = (datasets.load_dataset_builder(source, config).config.data_files or {}).get(split, [])
    try:
        return bool(files) and sum(pq.read_metadata(file).num_rows for file in files) == 0
    except (OSError, pa.ArrowInvalid):
        return False  # not parquet, or damaged: the error at hand says more


def _unreadable(source: str, error: Exception) -> UserError:
    return UserError(
        f"{source} cannot be read ({_first_line(error)})",
        "data files as the hub has them",
        "data.loader.hub_id or paths.hub_mirror, or repair the files",
    )


def _empty(source: str, split: str) -> UserError:
    return UserError(
        f"split '{split}' of {source} is empty", "at least one row", "data.loader.hub_id or paths.hub_mirror"
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
