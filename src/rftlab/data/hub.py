"""Rows of hub datasets, from a local mirror or from the hub; every failure is a `UserError` before anything is trained."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import datasets
import huggingface_hub
import numpy as np
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from rftlab.errors import UserError

T = TypeVar("T")

PROBE_TIMEOUT_S = 5.0  # a closed network is told within seconds, not after the library's retries


def read_split(hub_id: str, config: str | None, split: str, hub_mirror: Path | None, columns: Sequence[str]) -> datasets.Dataset:
    """Read some columns of one split of a hub dataset, from `<hub_mirror>/<hub_id>` where a mirror is given.

    Raises:
        UserError: the mirror, dataset, config, split or a column is missing, the split is empty, or the hub cannot be reached.
    """
    source = _hub_source(hub_id) if hub_mirror is None else _mirror_source(hub_id, hub_mirror)
    with _quiet(offline=hub_mirror is not None):
        _check_names(hub_id, source, config, split)
        try:
            rows = datasets.load_dataset(source, config, split=split)
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
            raise UserError(
                f"split '{split}' of {source} cannot be read ({_first_line(error)})",
                "readable data files as the hub has them",
                "data.loader.hub_id or paths.hub_mirror, or repair the files",
            ) from error
    missing = [column for column in columns if column not in rows.column_names]
    if missing:
        raise UserError(
            f"split '{split}' of {source} has no column {', '.join(missing)} (it has {', '.join(rows.column_names)})",
            f"the columns {', '.join(columns)}",
            "data.loader.hub_id to a dataset with that schema",
        )
    if len(rows) == 0:
        raise UserError(f"split '{split}' of {source} is empty", "at least one row", "data.loader.hub_id or paths.hub_mirror")
    return rows.select_columns(list(columns))


def take(examples: Sequence[T], n: int | None, rng: np.random.Generator) -> list[T]:
    """Keep a random subset of at most n examples, in the order given; None keeps all."""
    if n is None or n >= len(examples):
        return list(examples)
    return [examples[int(i)] for i in np.sort(rng.choice(len(examples), size=n, replace=False))]


def check_source(source: str) -> None:
    """Refuse a data source other than `bundled` or `hub`."""
    if source not in ("bundled", "hub"):
        raise UserError(f"data.source={source}", "bundled or hub", "data.source")


def _mirror_source(hub_id: str, hub_mirror: Path) -> str:
    if not hub_mirror.is_dir():
        raise UserError(f"no folder {hub_mirror}", "a folder laid out as <org>/<name>", "paths.hub_mirror, or data.source=bundled")
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
    except (HfHubHTTPError, OSError, *_transport_errors()) as error:
        raise UserError(
            f"the hub cannot be reached for {hub_id} ({_first_line(error)})",
            "a network connection or a local copy",
            "paths.hub_mirror to a folder with the dataset, or data.source=bundled",
        ) from error
    return hub_id


def _transport_errors() -> tuple[type[Exception], ...]:
    """Name the connection errors of the HTTP client that huggingface_hub brings along."""
    import httpx2

    return (httpx2.TransportError,)


def _check_names(hub_id: str, source: str, config: str | None, split: str) -> None:
    """Compare config and split with what the dataset offers."""
    try:
        configs = datasets.get_dataset_config_names(source)
    except (OSError, datasets.exceptions.DatasetsError) as error:
        raise UserError(
            f"{source} holds no dataset ({_first_line(error)})",
            "data files as the hub has them",
            "data.loader.hub_id or paths.hub_mirror",
        ) from error
    if config is not None and config not in configs:
        raise UserError(f"{hub_id} has no config '{config}'", f"one of {', '.join(configs)}", "data.loader.hub_config")
    splits = datasets.get_dataset_split_names(source, config)
    if split not in splits:
        raise UserError(
            f"{source} has no split '{split}' (it has {', '.join(splits)})",
            "the splits of the hub dataset",
            "data.loader.hub_id or paths.hub_mirror",
        )


@contextmanager
def _quiet(offline: bool) -> Iterator[None]:
    """Read without progress bars or download counting, and without any network when offline; then restore the settings."""
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
