#!/usr/bin/env python
"""Put the best weights of a run into the package, as a model that medrev ships.

    python scripts/ship_model.py runs/dti_x2 dti-x2

Weights are stored with half the digits (float16), which halves the file; the header is the run's.
The model card, `medrev/models/NAME.md`, is written by hand.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

from medrev.errors import MedrevError
from medrev.files import atomic_path
from medrev.prediction import read_weights, weight_file
from medrev.prediction.shipped import MODELS

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    options = parser.parse_args(arguments)
    try:
        with safe_open(weight_file(options.run), framework="pt") as file:
            header = json.loads(file.metadata()["medrev"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except MedrevError as error:
        print(f"ship_model: error: {error}", file=sys.stderr)
        return 2
    header["pipeline"]["name"] = options.name.replace("-", "_")
    data = header["pipeline"]["data"]
    for key in ("root", "table"):  # paths of the machine that trained it
        if data.get(key):
            data[key] = Path(data[key]).name
    if "cache_dir" in data:  # that of whoever uses it
        data["cache_dir"] = None
    half = {name: v.half() if v.is_floating_point() else v for name, v in state.items()}
    path = MODELS / f"{options.name}.safetensors"
    path.parent.mkdir(exist_ok=True)
    header["pipeline"]["training"]["start_from"] = None
    header.pop("copy_of", None)  # of what a calibrated copy is one
    with atomic_path(path, overwrite=True) as temporary:
        save_file(half, temporary, metadata={"medrev": json.dumps(header)})
    read_weights(path)  # float16 ends at 65504
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
