"""Figures of experiments: maps of a test subject by several models, and a score by depth."""

import csv
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from experiment.document import Experiment
from experiment.rows import numbered
from medrev.dti import COMPONENTS, scalar_maps
from medrev.errors import ConfigError
from medrev.files import atomic_path
from medrev.volumes import Panel, Plane, View, upsample, write_montage

__all__ = ["MAPS", "draw_depth", "draw_maps", "draw_samples"]

#: What a figure of tensors can show.
MAPS = ("md", "fa", "ad", "rd", *COMPONENTS)
_VIEWS: tuple[View, ...] = ("sagittal", "coronal", "axial")


def draw_maps(experiment: Experiment, output: Path, maps: Sequence[str]) -> Path:
    """Input, truth and every trained model's result for the first test subject (RevGAN, figure 5).

    A row for each map and plane.

    Args:
        experiment: Its rows are the models.
        output: Folder of the runs; ``figure.png`` is written.
        maps: Of :data:`MAPS`.

    Raises:
        ConfigError: A map is not known, or nothing is trained.
    """
    from medrev.domains.kinds import dataset_of
    from medrev.prediction import load_model, translate

    wrong = sorted(set(maps) - set(MAPS))
    if wrong:
        raise ConfigError(f"--maps must be of {', '.join(MAPS)}, got {', '.join(wrong)}")
    runs = {row.name: output / name for name, row in numbered(experiment).items()}
    models = {name: load_model(run, "cpu") for name, run in runs.items() if run.is_dir()}
    if not models:
        raise ConfigError(f"no row of {experiment.title} is trained; train one first")
    first = next(iter(models.values()))
    dataset = dataset_of(first.pipeline, scale=first.scale)
    sample = dataset.read(dataset.members("test")[0])
    assert sample.x is not None
    assert sample.y is not None
    assert sample.mask is not None
    assert sample.affine is not None
    factor = sample.y.shape[-1] // sample.x.shape[-1]
    shown = {"input": upsample(sample.x[None], factor, "nearest")[0], "ground truth": sample.y}
    for name, model in models.items():
        own = dataset_of(model.pipeline, scale=model.scale)
        result = translate(model, own.x.encode(sample.x, model.scale))
        shown[name] = own.y.decode(result, model.scale)
    rows = []
    for kind in maps:
        values = {name: _map(tensors, kind) * (sample.mask > 0) for name, tensors in shown.items()}
        inside = values["ground truth"][sample.mask > 0]
        low, high = (float(inside.quantile(q)) for q in (0.01, 0.99))
        for view in _VIEWS:
            plane = Plane(sample.affine, sample.mask, view)
            rows.append(
                [
                    Panel(
                        plane.crop(plane.picture(volume)[..., 0]),
                        low=min(0.0, low),
                        high=high,
                        aspect=plane.aspect,
                        heading=name if not rows else "",
                        label=f"{kind}, {view}",
                    )
                    for name, volume in values.items()
                ]
            )
    path = output / "figure.png"
    write_montage(path, rows, title=f"{experiment.title}: {sample.id}", edge=200)
    return path


def draw_samples(experiment: Experiment, output: Path) -> list[Path]:
    """The first training and test samples of every run, with their reconstructions."""
    from medrev.domains.kinds import dataset_of
    from medrev.evaluation import translate_sample
    from medrev.prediction import load_model

    written = []
    for name, row in numbered(experiment).items():
        if not (output / f"{name}.json").exists():
            continue
        model = load_model(output / name, "cpu")
        data = dataset_of(model.pipeline, scale=model.scale)
        for part in ("train", "test"):
            path = output / f"{name}_{part}.png"
            if path.exists():
                continue
            samples = [data.read(member) for member in data.members(part)[: data.shown]]
            rows = [
                panels
                for sample in samples
                for panels in data.panels(translate_sample(model, sample, data.x, data.y))
            ]
            write_montage(path, rows, title=f"{row.name}, {part}", edge=220)
            written.append(path)
    return written


def draw_depth(experiment: Experiment, output: Path) -> Path:
    """The first score of the table in its paper's form against depth (RevGAN, figure 6a)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    text = (output / f"{experiment.form}.csv").read_text(encoding="utf-8")
    heading, *lines = csv.reader(text.splitlines())
    depths = [int(line[0].split()[-1]) for line in lines]
    column = next(n for n, name in enumerate(heading) if "acc." in name)
    figure = Figure(figsize=(5, 3.4), layout="tight")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot(depths, [float(line[column]) for line in lines], marker="o")
    axes.set(xlabel="depth", ylabel=heading[column], title=experiment.title)
    path = output / "figure.png"
    with atomic_path(path, overwrite=True) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
    return path


def _map(tensors: Tensor, kind: str) -> Tensor:
    """A map ``(1, I, J, K)`` of tensors in mm²/s."""
    if kind in COMPONENTS:
        return tensors[COMPONENTS.index(kind)][None]
    return torch.as_tensor(scalar_maps(tensors)[kind])[None]
