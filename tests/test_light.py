"""Imports: what a command leaves out, and that what is asked for all the same is the real thing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = (
    "accelerate", "datasets", "mlflow", "nltk", "peft", "scipy.stats", "sklearn", "sympy",
    "torch._dynamo.convert_frame", "torch._inductor", "torch.distributed.tensor",
)  # fmt: skip
LIBRARIES = ("torch", "transformers", "pandas", "scipy")
TINY = [
    "data=narrativeqa", "algo.loop.prompts_per_iteration=4", "algo.loop.samples_per_prompt=2", "eval.n_train=1",
    "algo.loop.minibatch_size=8", "algo.loop.microbatch_size=8", "algo.loop.iterations=1", "eval.n_validation=1",
    "eval.n_test=1", "eval.probe_prompts=1", "data.loader.n_train=8", "data.loader.n_validation=2", "runtime.threads=1",
    "data.loader.n_test=2", "tracking=none",
]  # fmt: skip
AT_THE_END = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps([name for name, module in sys.modules.items() if module is not None])))
"""


def python(code: str, *arguments: str) -> list[str]:
    """Run code in a process of its own; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": f"src{os.pathsep}.", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def loaded(command: str, *arguments: str) -> set[str]:
    """Run a command; returns the modules that it has imported by its end."""
    code = f"{AT_THE_END}\nfrom rftlab.entries import start\nstart({command!r})"
    return set(json.loads(python(code, *arguments)[-1]))


def light(code: str) -> list[str]:
    return python(f"import sys\nfrom rftlab.light import *\nlighten()\n{code}")


@pytest.mark.slow
def test_a_run_on_bundled_rows_imports_none_of_what_takes_long_and_no_run_needs(tmp_path: Path) -> None:
    modules = loaded("train", *TINY, f"paths.outputs={tmp_path}")
    assert "transformers.models.t5.modeling_t5" in modules
    assert not modules & set(HEAVY)


@pytest.mark.slow
def test_the_process_that_jobs_are_forked_from_imports_neither() -> None:
    modules = set(python("import sys, rftlab.launch.libraries\nprint(*sys.modules, sep='\\n')"))
    assert {"torch", "rftlab.loops.online"} <= modules
    modules = set(light("import rftlab.launch.libraries\nprint(*sys.modules, sep='\\n')"))
    assert {"torch", "rftlab.loops.online"} <= modules
    assert not modules & set(HEAVY)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [("train", ["--help"]), ("train", ["--cfg", "job"]), ("train", ["-m", "seed=0,1", "sweep.dry_run=true"]),
     ("sweep", ["status"]), ("diagnose", ["--help"])],
)  # fmt: skip
def test_what_trains_nothing_imports_no_library(command: str, arguments: list[str], tmp_path: Path) -> None:
    own = {"train": [f"paths.outputs={tmp_path}"], "sweep": ["--outputs", str(tmp_path)]}.get(command, [])
    assert not loaded(command, *arguments, *own) & set(LIBRARIES)


def test_an_optimiser_steps_without_the_compiler_and_torch_compile_gets_the_real_one() -> None:
    said = light(
        "import torch\n"
        "layer = torch.nn.Linear(2, 1)\n"
        "optimizer = torch.optim.AdamW(layer.parameters())\n"
        "layer(torch.ones(2)).sum().backward()\n"
        "before = layer.weight.clone()\n"
        "optimizer.step(); optimizer.zero_grad()\n"
        "print(bool((before != layer.weight).all()), 'torch._dynamo.convert_frame' in sys.modules)\n"
        "compiled = torch.compile(lambda x: 2 * x, backend='eager')\n"
        "print(compiled(torch.ones(1)).item(), 'torch._dynamo.convert_frame' in sys.modules)\n"
        "print(torch._dynamo is sys.modules['torch._dynamo'], torch._dynamo.is_compiling())"
    )
    assert said == ["True False", "2.0 True", "True False"]


def test_a_gradient_of_torch_func_needs_no_compiler() -> None:
    said = light(
        "import torch\n"
        "print(torch.func.vmap(torch.func.grad(lambda x: x**3))(torch.tensor([1.0, 2.0])).tolist())\n"
        "print('torch._dynamo.convert_frame' in sys.modules)\n"
        "print(torch._dynamo.compiled_autograd.compiled_autograd_enabled, 'torch._dynamo.convert_frame' in sys.modules)"
    )
    assert said == ["[3.0, 12.0]", "False", "False True"]


def test_a_module_inside_the_compiler_is_loaded_once_and_with_its_package() -> None:
    said = light(
        "import torch\n"
        "import torch._dynamo.utils as first\n"
        "import torch._dynamo\n"
        "import torch._dynamo.convert_frame\n"
        "print(first is sys.modules['torch._dynamo.utils'], first.__name__, hasattr(torch._dynamo, 'optimize'))\n"
        "print(first.counters is torch._dynamo.convert_frame.counters)"  # which took it when the package was loaded
    )
    assert said == ["True torch._dynamo.utils True", "True"]


def test_the_names_of_transformers_are_those_that_it_reads_itself(tmp_path: Path) -> None:
    code = (
        "import os\nos.environ['XDG_CACHE_HOME'] = sys.argv[1]\n"
        "import transformers\n"
        "print(len(dir(transformers)), transformers.T5Config.__module__, len(os.listdir(sys.argv[1] + '/rftlab')))\n"
        "from transformers.utils.import_utils import define_import_structure as ours\n"
        "print(ours(transformers.models.__path__[0]) == ours.read(transformers.models.__path__[0]))\n"
        "print(ours(transformers.models.__path__[0], 'm') == ours.read(transformers.models.__path__[0], 'm'))"
    )
    code = f"import sys\nfrom rftlab.light import *\nlighten()\n{code}"
    first, second = python(code, str(tmp_path)), python(code, str(tmp_path))
    assert first == second
    assert first[1:] == ["True", "True"]
    (file,) = (tmp_path / "rftlab").iterdir()
    file.write_text("[[")  # as after a full disk
    assert python(code, str(tmp_path)) == first


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "rftlab").write_text("")
    said = python(
        "import os, sys\nos.environ['XDG_CACHE_HOME'] = sys.argv[1]\n"
        "from rftlab.light import *\nlighten()\nimport transformers\nprint(transformers.T5Config.__name__)",
        str(tmp_path),
    )
    assert said == ["T5Config"]


def test_a_module_imported_alone_leaves_its_package_as_if_it_had_not_been_asked_for() -> None:
    said = light(
        "porter = import_alone('nltk.stem.porter')\n"
        "stayed = [name for name in sys.modules if name.split('.')[0] == 'nltk']\n"
        "print(stayed, porter.PorterStemmer().stem('relational'))\n"
        "import nltk\n"
        "print(nltk.internals.is_writable('.'), nltk.PorterStemmer().stem('relational'))\n"
        "print(import_alone('nltk.stem.porter') is nltk.stem.porter, nltk.stem is sys.modules['nltk.stem'])"
    )
    assert said == ["[] relat", "True relat", "True True"]


def test_what_is_absent_for_a_block_is_found_after_it() -> None:
    said = light(
        "with absent('colorsys'):\n"
        "    try:\n        import colorsys\n        print('there')\n"
        "    except ImportError:\n        print('absent')\n"
        "import colorsys\n"
        "with absent('colorsys'):\n    import colorsys\n    print('there')"
    )
    assert said == ["absent", "there"]


def test_importing_collects_nothing_and_leaves_the_collector_as_it_was() -> None:
    said: Any = light(
        "import gc\n"
        "with importing():\n    print(gc.isenabled())\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 0)\n"
        "gc.disable()\n"
        "with importing():\n    pass\n"
        "print(gc.isenabled())"
    )
    assert said == ["False", "True True", "False"]
