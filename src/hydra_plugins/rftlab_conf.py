"""Source of our config files: the files without their tables, and the entries of the tables as if they were files."""

from copy import copy, deepcopy
from pathlib import Path

from hydra._internal.core_plugins import file_config_source
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import Container, DictConfig, OmegaConf

from rftlab.config.files import typed_entry, typed_file
from rftlab.config.layers import find, folders, refuse_own
from rftlab.config.scales import Tables
from rftlab.config.texts import restore

# `${equal:${KEY},VALUE}` in our files: a default that holds for one value of another key alone, e.g. of `data.source`
OmegaConf.register_new_resolver("equal", lambda found, wanted: found == wanted, replace=True)


class TablesSource(file_config_source.FileConfigSource):
    """Serve files and entries; listings, and so completion and messages, know the files alone."""

    def __init__(self, provider: str, path: str) -> None:
        """Read from the folder `path`, with or without the scheme."""
        super().__init__(provider, path)
        self._tables = Tables(Path(self.path), self._restore)
        self._kept: dict[str, tuple[tuple[int, int], ConfigResult]] = {}  # files as they were read, by their stamps

    def __deepcopy__(self, memo: dict[int, object]) -> "TablesSource":
        """Share what was read: Hydra copies its sources for each config that it composes."""
        return copy(self)

    def _restore(self, content: object, text: str, file: str) -> None:
        restore(content, text, file, self._get_header_dict(text).get("package"))

    @staticmethod
    def scheme() -> str:
        """Return what search paths say before `://`."""
        return "rftlab"

    def is_config(self, config_path: str) -> bool:
        """Say whether there is such an entry or file."""
        return self._tables.find(config_path) is not None or find(Path(self.path), self._file(config_path)).is_file()

    def is_group(self, config_path: str) -> bool:
        """Say whether there is such a folder."""
        return bool(folders(Path(self.path), config_path)) if config_path else super().is_group(config_path)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """List what is in a folder, the user's own files among it."""
        places = folders(Path(self.path), config_path) if config_path else [Path(self.path)]
        inside = [file_config_source.FileConfigSource(self.provider, str(folder.absolute())) for folder in places]
        return sorted({name for source in inside for name in source.list("", results_filter)})

    def load_config(self, config_path: str) -> ConfigResult:
        """Make the config of an entry, or read a file; Hydra changes what it is given, so it gets a copy."""
        if (entry := self._tables.find(config_path)) is not None:
            return self._result(typed_entry(Path(self.path), entry), {"package": entry.package})
        path = find(Path(self.path), self._file(config_path))
        refuse_own(Path(self.path), config_path)
        if not path.is_file():
            return super().load_config(config_path)  # which says so
        stat = path.stat()
        stamp = stat.st_mtime_ns, stat.st_size
        if config_path not in self._kept or self._kept[config_path][0] != stamp:
            self._kept[config_path] = stamp, self._read(config_path, path)
        kept = self._kept[config_path][1]
        return self._result(deepcopy(kept.config), dict(kept.header))

    def _read(self, config_path: str, path: Path) -> ConfigResult:
        if (file := self._tables.read(config_path)) is not None:
            result = self._result(OmegaConf.create(dict(file.values)), self._get_header_dict(file.text))
        else:
            folder = file_config_source.FileConfigSource(self.provider, str(path.parent.absolute()))
            result = folder.load_config(path.name)
            restore(result.config, path.read_text(encoding="utf-8"), config_path, result.header.get("package"))
        if isinstance(result.config, DictConfig):
            package = result.header.get("package")
            result.config = typed_file(Path(self.path), config_path, result.config, package)
        return result

    def _file(self, config_path: str) -> str:
        return self._normalize_file_name(config_path).removesuffix(".yaml")

    def _result(self, config: Container, header: dict[str, str | None]) -> ConfigResult:
        return ConfigResult(config=config, path=self.full_path(), provider=self.provider, header=header)


class TablesSearchPath(SearchPathPlugin):
    """Let the folder of the main config be read by `TablesSource`."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Change the scheme of the main folder."""
        for element in search_path.get_path():
            if element.provider == "main" and "://" not in element.path:
                element.path = f"{TablesSource.scheme()}://{element.path}"
