"""``medrev-sample``: what a trained generator makes, as a grid of pictures and an array."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medrev.cli.common import command_parser, run_command
from medrev.cli.options import take_options
from medrev.errors import ConfigError, OutputError
from medrev.files import check_folder_name

if TYPE_CHECKING:
    from medrev.evaluation.sampling import Grid, Sampler

_KIND = {"group": "what is made (default: draws)"}
#: Columns of each kind where --count is not given.
_COUNTS = {
    "interpolate": 9,
    "axes": 7,
    "sweep": 7,
    "widest": 7,
    "scale": 7,
    "transfer": 8,
    "reconstruct": 8,
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What ``medrev-sample`` is told beside the device."""

    run: Path = field(metadata={"positional": True, "metavar": "RUN"})
    """run folder or .safetensors file of a model of model.kind flow"""
    output: Path | None = field(default=None, metadata={"metavar": "DIR"})
    """folder of the results (default: samples in RUN)"""
    overwrite: bool = False
    """replace existing results"""
    classes: tuple[str, ...] = field(default=(), metadata={"metavar": "NAME"})
    """only these classes"""
    count: int | None = field(default=None, metadata={"metavar": "N"})
    """columns of the grid: draws, steps, images (default: 10 draws)"""
    temperature: float = field(default=1.0, metadata={"metavar": "T"})
    """factor on the standard deviation of codes that are drawn; 0: the middle (default: 1)"""
    seed: int = field(default=0, metadata={"metavar": "N"})
    """of what is drawn (default: 0)"""
    interpolate: tuple[int, ...] = field(default=(), metadata={**_KIND, "metavar": "A B"})
    """from test image A to B (numbers from 0), in the full and in the restricted code"""
    sweep: tuple[int, ...] = field(default=(), metadata={**_KIND, "metavar": "DIM"})
    """dimensions of the code from -3 to 3 standard deviations"""
    widest: int | None = field(default=None, metadata={**_KIND, "metavar": "N"})
    """the same of the N dimensions that vary most, of priors that are restricted or of classes"""
    scale: bool = field(default=False, metadata=_KIND)
    """one code times factors from 0 to 2: from the most typical colours to too strong ones"""
    axes: bool = field(default=False, metadata=_KIND)
    """the first four principal axes of the codes of the test part"""
    transfer: tuple[int, ...] = field(default=(), metadata={**_KIND, "metavar": "A"})
    """the code of test images A for all classes, or for other test images"""
    reconstruct: bool = field(default=False, metadata=_KIND)
    """test images, decoded from their restricted and from their full code"""
    classifier: Path | None = field(default=None, metadata={**_KIND, "metavar": "RUN"})
    """tell the classes of draws and of test images (--count of each) by a model of model.kind
    classifier, and the Fréchet distance of its features"""


def build_parser() -> argparse.ArgumentParser:
    """The options of ``medrev-sample``."""
    return command_parser(
        "medrev-sample",
        Options,
        device=True,
        description="Draw images from a trained flow, and print the paths of the files written:\n"
        "a picture, the same as an array, and a JSON file that says what is what.",
        epilog="examples:\n"
        "  medrev-sample runs/cinn_mnist --classes 3 5 --temperature 0.7\n"
        "  medrev-sample runs/cinn_mnist --transfer 0 1 2\n"
        "  medrev-sample runs/generative_celeba --interpolate 3 17\n"
        "  medrev-sample runs/cinn_mnist --classifier runs/mnist_classifier --count 100",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``medrev-sample`` and return its exit code."""
    return run_command(build_parser, _sample, argv, memory_advice="try a lower --count")


def _sample(arguments: argparse.Namespace) -> None:
    options = take_options(Options, arguments)
    unset = Options(run=options.run)
    kinds = [n for n in (*_COUNTS, "classifier") if getattr(options, n) != getattr(unset, n)]
    if len(kinds) > 1:
        raise ConfigError(f"give one of --{' and --'.join(kinds)}")
    if options.interpolate and len(options.interpolate) != 2:
        raise ConfigError(f"--interpolate needs two images, got {len(options.interpolate)}")
    kind = kinds[0] if kinds else "draws"
    most = 100_000 if kind == "classifier" else 1000
    if options.count is not None and not 1 <= options.count <= most:
        raise ConfigError(f"--count must be at least 1, got {options.count} (at most {most})")
    if options.classes and kind not in ("draws", "sweep", "widest", "scale", "axes"):
        raise ConfigError(f"--classes has no effect with --{kind}: leave it out")
    if options.temperature != 1 and kind not in ("draws", "classifier"):
        raise ConfigError(f"--temperature has no effect with --{kind}: leave it out")

    base = options.run if options.run.is_dir() else options.run.parent
    folder = options.output or base / "samples"
    check_folder_name(folder)
    files = [folder / f"{kind}{ending}" for ending in (".json", ".npy", ".png")]
    if kind == "classifier":
        files += sorted(folder.glob("generative-1.*"))
    existing = next((file for file in files if file.exists()), None)
    if existing is not None and not options.overwrite:
        raise OutputError(f"{existing} exists already; give --overwrite to replace it")

    from medrev.evaluation.sampling import Sampler
    from medrev.prediction import load_model

    model = load_model(options.run, arguments.device)
    sampler = Sampler(model, temperature=options.temperature, seed=options.seed)
    about: dict[str, Any] = {
        "Model": model.pipeline.name,
        "SHA256": model.sha256,
        "Kind": kind,
        "Temperature": options.temperature,
        "Seed": options.seed,
    }
    if options.classifier is not None:
        from medrev.evaluation import judge, paper_table

        classifier = load_model(options.classifier, arguments.device)
        found = judge(
            model,
            classifier,
            sampler.dataset,
            options.count or 100,
            temperature=options.temperature,
            seed=options.seed,
        )
        values = dataclasses.asdict(found)
        _write(
            folder / f"{kind}.json", about | {"Classifier": classifier.sha256, **values}, options
        )
        table = paper_table("generative-1", found.records(model.pipeline.name))
        table.write(folder / "generative-1", overwrite=options.overwrite)
        shown = {name: value for name, value in values.items() if value is not None}
        print(*(f"{name}: {value:.4g}" for name, value in shown.items()), sep="\n", file=sys.stderr)
        return
    grid = _grid(sampler, kind, options)
    _write_grid(folder / f"{kind}.png", grid, about, options)


def _grid(sampler: "Sampler", kind: str, options: Options) -> "Grid":
    count = options.count or _COUNTS.get(kind, 10)
    classes = options.classes
    make: dict[str, Callable[[], Grid]] = {
        "draws": lambda: sampler.draw(count, classes),
        "interpolate": lambda: sampler.interpolate(
            options.interpolate[0], options.interpolate[1], count
        ),
        "sweep": lambda: sampler.sweep(options.sweep, count, classes),
        "widest": lambda: sampler.widest(options.widest or 0, count, classes),
        "scale": lambda: sampler.scale(count, classes),
        "axes": lambda: sampler.axes(count, classes),
        "transfer": lambda: sampler.transfer(options.transfer, count),
        "reconstruct": lambda: sampler.reconstruct(count),
    }
    return make[kind]()


def _write_grid(path: Path, grid: "Grid", about: dict[str, Any], options: Options) -> None:
    """Write the picture, the array and what they are, all or none."""
    from contextlib import ExitStack

    import numpy as np

    from medrev.files import atomic_path, ensure_writable_folder
    from medrev.volumes import write_pixels

    ensure_writable_folder(path.parent)
    files = [path, path.with_suffix(".npy"), path.with_suffix(".json")]
    with ExitStack() as stack:
        picture, array, text = (
            stack.enter_context(atomic_path(file, options.overwrite)) for file in files
        )
        write_pixels(picture, grid.picture(), overwrite=True)
        with array.open("wb") as file:
            np.save(file, grid.pixels, allow_pickle=False)
        about = about | {"Rows": grid.rows, "Columns": grid.columns, **grid.facts}
        text.write_text(_json(about), encoding="utf-8")
    print(*files, sep="\n")


def _write(path: Path, document: dict[str, Any], options: Options) -> None:
    from medrev.files import atomic_path, ensure_writable_folder

    ensure_writable_folder(path.parent)
    with atomic_path(path, options.overwrite) as temporary:
        temporary.write_text(_json(document), encoding="utf-8")
    print(path)


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
