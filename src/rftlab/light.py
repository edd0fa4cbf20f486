"""Import torch and transformers without parts that no run uses: three of every five seconds of their import.

`lighten` says so before either is imported; what is asked for all the same is loaded then, only later:

- `torch._dynamo`, the compiler's front end, which optimisers and decorators ask for what does nothing where nothing is
  compiled. A stand-in answers that; at the first other question the module itself takes its place.
- What transformers imports for object detection (scipy) and for models that lie on several devices
  (`torch.distributed.tensor`): it is told, as in a build of torch without these, that there is none.
- The list of the names in its two thousand files, which transformers makes twice at every start by reading all of them:
  it is kept in the user's cache.
"""

import gc
import hashlib
import importlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

DYNAMO = "torch._dynamo"
FLAGS = "transformers.utils.import_utils"
ABSENT = ("is_accelerate_available", "is_scipy_available", "is_torch_distributed_available")
ALONE = (f"{DYNAMO}._trace_wrapped_higher_order_op",)  # needs nothing of its package; transformers builds masks with it
Structure = dict[frozenset[str], dict[str, set[str]]]


def lighten() -> None:
    """Make the imports of this process light, from here on; what is imported already stays as it is."""
    if not any(isinstance(finder, _Light) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Light())


@contextmanager
def importing() -> Generator[None]:
    """Import within the block without garbage collection, which would look through all that is there again and again.

    What is there at the end stays: later collections need not look at it.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was:
            gc.enable()


def import_alone(name: str) -> ModuleType:
    """Import a module without what the `__init__` of its packages imports; for one that needs nothing of that.

    Afterwards it is as if the packages had not been asked for: whoever imports them later gets them whole, with modules
    of their own. A module that stayed behind would be found then, but not as an attribute of its package.
    """
    bare = []
    names = name.split(".")
    for package in (".".join(names[:length]) for length in range(1, len(names))):
        if package not in sys.modules:
            sys.modules[package] = _bare(package)
            bare.append(package)
    try:
        return importlib.import_module(name)
    finally:
        for loaded in [module for module in sys.modules if bare and f"{module}.".startswith(f"{bare[0]}.")]:
            del sys.modules[loaded]


def _bare(name: str) -> ModuleType:
    above = name.rpartition(".")[0]
    spec = PathFinder.find_spec(name, sys.modules[above].__path__ if above else None)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    module = ModuleType(name)
    module.__path__, module.__spec__ = list(spec.submodule_search_locations or ()), spec
    return module


@contextmanager
def absent(name: str) -> Generator[None]:
    """Let no import within the block find a module, unless it is there already; for what does without it."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # ty: ignore[invalid-assignment]
    try:
        yield
    finally:
        del sys.modules[name]


class _Light(MetaPathFinder):
    """Comes before Python's own finders, for the modules named above."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Say where a module comes from; None leaves it to the next finder."""
        if fullname == FLAGS:
            return _followed_by(PathFinder.find_spec(fullname, path), _without_parts)
        if fullname == DYNAMO:
            return _stand_in(PathFinder.find_spec(fullname, path))
        if fullname.startswith(DYNAMO + ".") and fullname not in ALONE and isinstance(sys.modules[DYNAMO], _StandIn):
            _real_dynamo()
            if fullname in sys.modules:  # its package has imported it by now
                return _once(sys.modules[fullname])
        return None


class _Found(Loader):
    """Gives a module that is loaded."""

    def __init__(self, module: ModuleType, own: ModuleSpec | None = None) -> None:
        self.module, self.own = module, own

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its own spec back."""
        module.__spec__ = self.own or module.__spec__


def _once(module: ModuleType) -> ModuleSpec:
    """Say that a module is there already: Python would load it again by its own spec, unless it has none."""
    spec = ModuleSpec(module.__name__, _Found(module, module.__spec__))
    module.__spec__ = None
    return spec


def _followed_by(spec: ModuleSpec | None, change: Callable[[ModuleType], None]) -> ModuleSpec | None:
    """Let `change` have a module right after it was loaded."""
    if spec is None or spec.loader is None:
        return spec
    execute = spec.loader.exec_module

    def both(module: ModuleType) -> None:
        execute(module)
        change(module)

    spec.loader.exec_module = both
    return spec


# --- torch._dynamo ----------------------------------------------------------------------------------------------------


class _NoCompiledAutograd:
    """What `torch.func` asks of `torch._dynamo.compiled_autograd`; for all else, the module itself."""

    _disable = staticmethod(nullcontext)

    def __getattr__(self, name: str) -> Any:
        return getattr(_real_dynamo().compiled_autograd, name)


class _StandIn(ModuleType):
    """What is asked of `torch._dynamo` where nothing is compiled; for all else, the module itself."""

    compiled_autograd = _NoCompiledAutograd()

    @staticmethod
    def disable(fn: Any = None, *_: Any, **__: Any) -> Any:
        """Keep the compiler, which is not there, from a function."""
        return fn if fn is not None else lambda function: function

    allow_in_graph = disable

    @staticmethod
    def assume_constant_result(fn: Any) -> Any:
        """Mark a function for the compiler, as the module itself does."""
        fn._dynamo_marked_constant = True
        return fn

    @staticmethod
    def graph_break(*_: Any, **__: Any) -> None:
        """Do nothing, as outside of a compiled function."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_real_dynamo(), name)


def _stand_in(real: ModuleSpec | None) -> ModuleSpec | None:
    if real is None or not isinstance(sys.modules.get(DYNAMO), (_StandIn, type(None))):
        return real
    module = _StandIn(DYNAMO)
    module.__file__ = real.origin
    spec = ModuleSpec(DYNAMO, _Found(module), origin=real.origin, is_package=True)
    spec.submodule_search_locations = real.submodule_search_locations
    return spec


def _real_dynamo() -> ModuleType:
    """Put the module itself in the place of its stand-in."""
    if isinstance(sys.modules.get(DYNAMO), _StandIn):
        lights = [finder for finder in sys.meta_path if isinstance(finder, _Light)]
        for light in lights:
            sys.meta_path.remove(light)
        del sys.modules[DYNAMO]
        try:
            real = importlib.import_module(DYNAMO)
        finally:
            sys.meta_path[:0] = lights
        for name in ALONE:
            if name in sys.modules:
                setattr(real, name.rpartition(".")[2], sys.modules[name])
    return sys.modules[DYNAMO]


# --- transformers -----------------------------------------------------------------------------------------------------


def _without_parts(flags: ModuleType) -> None:
    for name in ABSENT:
        setattr(flags, name, lambda: False)
    vars(flags)["define_import_structure"] = _Structures(flags.define_import_structure)


class _Structures:
    """transformers' `define_import_structure`, which reads a whole folder, with its answer for the models kept."""

    def __init__(self, read: Callable[..., Structure]) -> None:
        self.read = read
        self.known: dict[Path, Structure] = {}

    def __call__(self, module_path: str | Path, prefix: str | None = None) -> Structure:
        """Return the names of every module below a folder, or beside a file, by the backends that they need."""
        folder = Path(module_path)
        folder = folder if folder.is_dir() else folder.parent
        if folder.name != "models":
            return self.read(module_path, prefix)
        if folder not in self.known:
            self.known[folder] = _kept(folder, lambda: self.read(folder))
        above = f"{prefix}." if prefix else ""
        return {
            backends: {f"{above}{module}": set(names) for module, names in modules.items()}
            for backends, modules in self.known[folder].items()
        }


def _kept(folder: Path, read: Callable[[], Structure]) -> Structure:
    """Return what a file of the user's cache says, or read the folder and write that file.

    It goes by version, place and time of the installed folder; copies that are being developed are read anew.
    """
    version = importlib.metadata.version("transformers")
    mark = f"{folder} {folder.stat().st_mtime_ns} {folder.parent.stat().st_mtime_ns}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "rftlab")
    file = cache / f"transformers-{version}-{hashlib.sha256(mark.encode()).hexdigest()[:16]}.json"
    if "dev" in version:
        return read()
    with suppress(OSError, ValueError, TypeError):
        return {
            frozenset(backends): {module: set(names) for module, names in modules.items()}
            for backends, modules in json.loads(file.read_text())
        }
    from rftlab.files import write_atomic  # needs a package: a Python without the environment is told so first

    structure = read()
    with suppress(OSError):  # no home, or one that cannot be written to
        cache.mkdir(parents=True, exist_ok=True)
        lines = [
            [sorted(backends), {m: sorted(names) for m, names in modules.items()}]
            for backends, modules in structure.items()
        ]
        write_atomic(file, json.dumps(lines))
    return structure
