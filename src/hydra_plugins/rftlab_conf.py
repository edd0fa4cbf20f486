"""Source of our config files: the files without their tables, and the entries of the tables as if they were files."""

from pathlib import Path

from hydra._internal.core_plugins import file_config_source
from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from rftlab.config.files import typed_entry, typed_file
from rftlab.config.scales import Tables


class TablesSource(file_config_source.FileConfigSource):
    """Serve files and entries; listings, and so completion and messages, know the files alone."""

    def __init__(self, provider: str, path: str) -> None:
        """Read from the folder `path`, with or without the scheme."""
        super().__init__(provider, path)
        self._tables = Tables(Path(self.path))

    @staticmethod
    def scheme() -> str:
        """Return what search paths say before `://`."""
        return "rftlab"

    def is_config(self, config_path: str) -> bool:
        """Say whether there is such an entry or file."""
        return self._tables.find(config_path) is not None or super().is_config(config_path)

    def load_config(self, config_path: str) -> ConfigResult:
        """Make the config of an entry, or read a file."""
        root = Path(self.path)
        if (entry := self._tables.find(config_path)) is not None:
            return self._result(typed_entry(root, entry), {"package": entry.package})
        if (file := self._tables.read(config_path)) is not None:
            read, header = OmegaConf.create(dict(file.values)), self._get_header_dict(file.text)
        else:
            result = super().load_config(config_path)
            read, header = result.config, result.header
        if not isinstance(read, DictConfig):
            return result
        return self._result(typed_file(root, config_path, read, header.get("package")), header)

    def _result(self, config: DictConfig, header: dict[str, str | None]) -> ConfigResult:
        return ConfigResult(config=config, path=self.full_path(), provider=self.provider, header=header)


class TablesSearchPath(SearchPathPlugin):
    """Let the folder of the main config be read by `TablesSource`."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Change the scheme of the main folder."""
        for element in search_path.get_path():
            if element.provider == "main" and "://" not in element.path:
                element.path = f"{TablesSource.scheme()}://{element.path}"
