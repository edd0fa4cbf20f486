#!/usr/bin/env bash
# hydra-core 1.3.8, omegaconf 2.3.1: an object that is given to hydra.utils.instantiate as a keyword argument arrives as it
# is, unless it is an instance of a dataclass: then the target receives a DictConfig with its fields instead. Methods and
# properties are gone, isinstance is False, and nothing warns; `_convert_="object"` gives an instance again, but a new one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet hydra-core==1.3.8 omegaconf==2.3.1
cd "$folder"
cat > mine.py <<'PY'
from dataclasses import dataclass


@dataclass
class Schedule:
    rate: float

    def at(self, step):
        return self.rate / step


class Plain:
    pass


def build(schedule, plain):
    return schedule, plain
PY
"$folder/venv/bin/python" - <<'PY'
from hydra.utils import instantiate
from mine import Plain, Schedule

schedule, plain = Schedule(rate=1.0), Plain()
got, same = instantiate({"_target_": "mine.build"}, schedule=schedule, plain=plain)
print(type(got).__name__, hasattr(got, "at"), same is plain)
assert type(got).__name__ == "DictConfig" and not isinstance(got, Schedule) and same is plain
again, _ = instantiate({"_target_": "mine.build", "_convert_": "object"}, schedule=schedule, plain=plain)
print(type(again).__name__, again is schedule)
assert isinstance(again, Schedule) and again is not schedule
PY
