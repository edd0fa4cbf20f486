"""The file of a site, `conf/local/slurm.yaml`: its mistakes are named with the file, before Hydra merges it."""

from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rftlab.config.texts import refuse_rewritten
from rftlab.config.yaml_files import unreadable
from rftlab.errors import UserError

KINDS = {
    "setup": (list, 'a list of shell lines, e.g. ["module load cuda || exit 1"]'),
    "sbatch": (dict, "e.g. {exclude: node7}"),
}


def check_site_file(path: Path) -> None:
    """Refuse a file that is no YAML, no mapping, or has keys that the launcher lacks; no file is fine.

    Raises:
        UserError: What was found, and where.
    """
    if not path.exists():
        return
    from rftlab.config.schema.launcher import SlurmLauncher

    where = f"{path.parent.parent.name}/{path.parent.name}/{path.name}"
    try:
        text = path.read_text()
        values = yaml.safe_load(text)
        OmegaConf.load(path)  # refuses what is written twice
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise unreadable(where, error) from None
    if values is None:
        return
    if not isinstance(values, dict):
        raise UserError(f"{where} holds {str(values)[:60]!r}", "lines of KEY: VALUE, with the colon", where)
    refuse_rewritten(text, ("sbatch",), where)
    known = sorted(f.name for f in fields(SlurmLauncher))
    for key, value in values.items():
        if key not in known:
            raise UserError(
                f"{where}: key {key}", f"one of {', '.join(known)}; other options of sbatch go under sbatch", where
            )
        if key == "timeout_min" and ":" in str(yaml.load(text, yaml.BaseLoader)[key]):  # YAML reads 4:00:00 as seconds
            raise UserError(f"{where}: timeout_min with a colon", "minutes, e.g. 240", f"timeout_min in {where}")
        kind, expected = KINDS.get(key, (None, ""))
        if kind is not None and value is not None and not isinstance(value, kind):
            raise UserError(f"{where}: {key}: {value}", expected, f"{key} in {where}")
        try:
            OmegaConf.structured(SlurmLauncher)[key] = value
        except OmegaConfBaseException:
            kinds = get_type_hints(SlurmLauncher)
            expected = str(kinds[key]).removeprefix("<class '").removesuffix("'>").replace(" | None", ", or null")
            raise UserError(f"{where}: {key}: {value}", expected, f"{key} in {where}") from None
