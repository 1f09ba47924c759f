"""From the files that medrev wrote to a scene: each map as what it is, beside its input."""

import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray

from medrev.domains.bids import source_path
from medrev.domains.intensity.names import contrast_words
from medrev.domains.outputs import is_own, sidecar_of
from medrev.domains.score import told_doubts
from medrev.dti import color_fa, from_voxel_frame, read_gradients, scalar_maps, tensor_convention
from medrev.errors import GradientError, InputError
from medrev.files import check_file, files_below, not_there
from medrev.slicer.scene import ColorTable, Layout, SceneVolume, check_scene_path, write_scene
from medrev.texts import read_json
from medrev.volumes import (
    VOLUMES,
    Volume,
    as_affine,
    read_header,
    read_volume,
    strip_suffix,
    to_numpy,
    without_twins,
)

logger = logging.getLogger(__name__)


class _Look(NamedTuple):
    """How a map is called and shown."""

    name: str
    window: float | None = None
    level: float | None = None
    color_table: ColorTable = "Grey"


#: Maps by their BIDS ``param`` with ``desc-sr``; others are called as their sidecar describes them.
LOOKS = {
    "fa": _Look("FA", 1.0, 0.5),
    "md": _Look("MD", 0.003, 0.0015),
    "ad": _Look("AD", 0.003, 0.0015),
    "rd": _Look("RD", 0.003, 0.0015),
    "s0": _Look("S0"),
}
#: What tells the maps of one result apart by name.
OWN = re.compile(r"_(?:model|param|desc|stat)-[A-Za-z0-9]+|_[A-Za-z0-9]+$")
ENTITY = re.compile(r"(?<=_)(param|desc)-([A-Za-z0-9]+)")


def bundle_from_results(
    results: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    *,
    input: str | Path | None = None,
    name: str | None = None,
    layout: Layout = "two-by-two",
    overwrite: bool = False,
) -> Path:
    """Write a scene bundle of the files that ``medrev-infer`` wrote, now or long ago.

    Only the files and their sidecars are used. The scene has the output's tensors, coloured by
    direction, the same colours as a volume of red, green and blue, every map, the mask, and the
    input.

    Args:
        results: Folder of the results, or the files themselves (sidecars may be among them).
        output: File to write, ``.mrb`` (default: named like the results, in the current folder).
        input: What the results were made from (default: where the sidecars say it was; left out
            if it is not there any more).
        name: Beginning of the files' names, where a folder holds the results of several inputs.
        layout: As :func:`write_scene`.
        overwrite: Replace an existing file.

    Raises:
        InputError: If there are no results, those of several inputs, a sidecar is missing or does
            not say order and frame of the tensors, or a volume cannot be read or shown.
        OutputError: If the bundle exists or cannot be written.
    """
    files = find_results(results, name)
    target = f"{_base(files[0])}.mrb" if output is None else output
    check_scene_path(target, overwrite=overwrite)
    outputs = output_volumes(files)
    brain = outputs[-1] if outputs[-1].kind == "mask" else None
    before = input_volumes(_sidecar(files[0]), input, folder=files[0].parent, brain=brain)
    alike = [volume for volume in before if volume.kind == outputs[0].kind] or before
    return write_scene(
        target,
        outputs + before,
        background=outputs[0].name,
        compare=alike[0].name if alike else None,
        layout=layout,
        overwrite=overwrite,
    )


def find_results(results: str | Path | Sequence[str | Path], name: str | None = None) -> list[Path]:
    """The volumes of one result in a folder, those with a sidecar by medrev, or of files.

    Names of files begin as given.

    Raises:
        InputError: If there are none, or those of several inputs.
    """
    given = [Path(p) for p in ([results] if isinstance(results, str | Path) else results)]
    if len(given) == 1 and not given[0].is_file():
        where = str(given[0])
        if not given[0].is_dir():
            raise InputError(f"{where}: no such file or folder of results{not_there(where)}")
        volumes = without_twins(file for file in sorted(given[0].iterdir()) if _is_volume(file))
        files = list(filter(is_own, volumes))
    else:
        where = "the files given"
        files = [file for file in given if _is_volume(file)]
        for file in files:
            check_file(file)
    if name is not None:
        files = [file for file in files if file.name.startswith(name)]
    if not files:
        beginning = "" if name is None else f" and a name that begins with '{name}'"
        inner = [] if name is not None or len(given) > 1 else files_below(given[0])
        one = next((file.parent for file in inner if _is_volume(file) and is_own(file)), None)
        advice = "the folder that medrev-infer wrote to" if one is None else f"one of them: {one}"
        raise InputError(
            f"{where}: no volume with a sidecar by medrev{beginning}"
            + (" but in the folders in it" if one is not None else "")
            + f": give {advice}"
        )
    made: dict[tuple[str, str], str] = {}
    for file in files:
        sidecar = _sidecar(file)
        source = str((sidecar.get("Sources") or [""])[0])
        made.setdefault((source, str(sidecar.get("Direction"))), _base(file))
    if len(made) > 1:
        names = list(made.values())
        some = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
        raise InputError(
            f"{where}: results of {len(names)} inputs ({some}): choose one by the beginning of "
            "its name"
        )
    return files


def output_volumes(files: Sequence[Path]) -> list[SceneVolume]:
    """The volumes of one result, as a scene shows them.

    Returns:
        Tensors, colours and maps, and last the brain mask; without a file of the mask it is where
        the tensors, or the synthetic contrast, are not zero.

    Raises:
        InputError: If a volume or its sidecar cannot be read, or does not say what it is.
    """
    found: dict[str, list[SceneVolume]] = {"tensor": [], "color": [], "scalar": [], "mask": []}
    for file in files:
        if _is_rgb(file):
            continue  # the tensors have the same colours
        read = read_volume(file)
        if strip_suffix(file).removesuffix(".seg").endswith("_mask"):
            volume = SceneVolume("brain mask", read.values, read.affine, "mask")
        elif read.shape[0] == 6:
            tensor = _in_voxel_frame(read, _sidecar(file), file)
            about = _description("mm²/s", _sidecar(file))
            volume = SceneVolume("output tensors", tensor, read.affine, "tensor", description=about)
        elif read.shape[0] == 3:
            whole = read.values / (255 if read.values.max() > 1 else 1)
            volume = SceneVolume("output colour FA", whole, read.affine, "color")
        else:
            volume = _map(file, read, {other.name for other in found["scalar"]})
        found[volume.kind].append(volume)
    found["scalar"].sort(key=lambda volume: volume.color_table != "Grey")  # doubts come last
    if not found["tensor"] and not found["mask"] and found["scalar"]:
        first = found["scalar"][0]
        inside = torch.as_tensor(first.data) != 0
        if bool(inside.any()):
            found["mask"].append(SceneVolume("brain mask", inside, first.affine, "mask"))
    for volume in found["tensor"]:
        data = torch.as_tensor(volume.data)
        if not found["color"]:
            world = from_voxel_frame(data, volume.affine, "ras")
            colors = SceneVolume("output colour FA", color_fa(world), volume.affine, "color")
            found["color"].append(colors)
        if not found["mask"] and bool(data.any()):
            inside = (data != 0).any(dim=0)
            found["mask"].append(SceneVolume("brain mask", inside, volume.affine, "mask"))
    return [volume for volumes in found.values() for volume in volumes]


def input_volumes(
    sidecar: dict[str, Any],
    input: str | Path | None = None,
    *,
    folder: Path = Path(),
    brain: SceneVolume | None = None,
) -> list[SceneVolume]:
    """What the result was made from, as a scene shows it.

    Args:
        sidecar: Of a map of the result; its ``Sources`` say where the input was.
        input: Where the input is now.
        folder: Relative sources are also looked for here.
        brain: Mask; outside of it the tensors of the input are not shown.

    Returns:
        Of tensors: the tensors and their FA. Of raw DWI: the mean of the volumes without diffusion
        weighting. Of anything else with one volume: that. Nothing if the input is not there any
        more.

    Raises:
        InputError: If ``input`` was given and cannot be read.
    """
    sources = [source_path(str(source), folder) for source in sidecar.get("Sources") or []]
    places = (
        [Path(input)]
        if input is not None
        else [
            place
            for source in sources[:1]
            for place in (source, folder / source, folder / source.name)
        ]
    )
    path = next((place for place in places if place.exists()), None)
    if path is None:
        if input is not None:
            raise InputError(f"{input}: no such file{not_there(input)}")
        logger.warning("warning: the input is not there any more: the scene shows the output only")
        return []
    if sidecar.get("InputKind") == "dwi":
        return [_without_weighting(path, sources)]
    if sidecar.get("InputKind") == "scalar":
        scan = read_volume(path, allow_nan=True)
        name = " ".join(["input", *_contrast(sidecar, "InputContrast")])
        return [SceneVolume(name, scan.values[:1].nan_to_num(0, 0, 0), scan.affine)]
    read = read_volume(path)
    if read.shape[0] != 6:
        return [SceneVolume("input", read.values[:1], read.affine)]
    tensor = _in_voxel_frame(read, sidecar, path)
    if brain is not None:
        tensor = tensor * _on_grid(brain, tensor.shape[1:], read.affine)
    fa = scalar_maps(tensor)["fa"]
    return [
        SceneVolume("input tensors", tensor, read.affine, "tensor", description="mm²/s"),
        SceneVolume("input FA", fa, read.affine, window=1.0, level=0.5),
    ]


def _without_weighting(path: Path, sources: Sequence[Path]) -> SceneVolume:
    """The mean of the b = 0 volumes; the first volume where the b-values are not to be found."""
    count = read_header(path).shape[0]
    chosen = [0]
    beside = [path.with_name(source.name) for source in sources]
    for gradients in (sources[1:3], beside[1:3]):
        if len(gradients) == 2 and all(file.is_file() for file in gradients):
            with suppress(GradientError):
                read_from = read_gradients(gradients[0], gradients[1], count)
                chosen = [int(n) for n in np.flatnonzero(read_from.b0)]
                break
    read = read_volume(path, volumes=chosen)
    return SceneVolume("input b = 0", read.values.mean(dim=0), read.affine)


def _map(file: Path, volume: Volume, taken: set[str]) -> SceneVolume:
    """A scalar map under a name of its own."""
    sidecar, entities = _sidecar(file), dict(ENTITY.findall(strip_suffix(file)))
    look = LOOKS.get(entities.get("param", "")) if entities.get("desc", "sr") == "sr" else None
    if "Contrast" in sidecar and entities.get("desc") in ("synth", "sr"):
        look = _Look(" ".join(_contrast(sidecar, "Contrast")) or "volume")
    if look is None:
        look = _Look(str(sidecar.get("Description") or strip_suffix(file)), color_table="Warm1")
    base = name = f"output {look.name}"
    number = 2
    while name in taken:
        name, number = f"{base} ({number})", number + 1
    return SceneVolume(
        name,
        volume.values,
        volume.affine,
        window=look.window,
        level=look.level,
        color_table=look.color_table,
        description=_description(str(sidecar.get("Units") or ""), sidecar),
    )


def _description(units: str, sidecar: dict[str, Any]) -> str:
    """What Slicer shows of a volume: its unit, what is guaranteed of it, and why to doubt it."""
    said = [*sidecar.get("Guarantees", ()), *told_doubts(sidecar)]
    return ". ".join(filter(None, [units, *said]))


def _contrast(sidecar: dict[str, Any], key: str) -> list[str]:
    """What a sidecar says of a contrast, in words."""
    name = sidecar.get(key)
    return [contrast_words(name)] if isinstance(name, str) else []


def _in_voxel_frame(volume: Volume, sidecar: dict[str, Any], file: Path) -> torch.Tensor:
    """Tensors as medrev holds them, by what the file or its sidecar says of them."""
    says = sidecar.get("TensorOrder"), sidecar.get("TensorFrame")
    assert volume.header is not None
    convention = tensor_convention(volume.header, sidecar=says)
    if convention.origin != "header" and None in says:
        raise InputError(
            f"{file}: the sidecar must give TensorOrder and TensorFrame of the tensors"
        )
    return convention.in_voxel_frame(volume.values, volume.affine)


def _on_grid(mask: SceneVolume, shape: Sequence[int], affine: NDArray[Any]) -> torch.Tensor:
    """A mask on another grid: the value at the nearest voxel, False outside."""
    inside = torch.as_tensor(to_numpy(mask.data)).reshape(mask.data.shape[-3:]) != 0
    to_mask = np.linalg.solve(as_affine(mask.affine), affine)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).reshape(3, -1)
    nearest = np.rint(to_mask[:3, :3] @ index + to_mask[:3, 3:]).astype(int)
    limits = np.array(inside.shape)[:, None]
    within = ((nearest >= 0) & (nearest < limits)).all(axis=0)
    i, j, k = torch.as_tensor(np.clip(nearest, 0, limits - 1))
    return (inside[i, j, k] & torch.as_tensor(within)).reshape(tuple(shape))


def _is_rgb(file: Path) -> bool:
    """Whether a NIfTI file has colours as one value per voxel."""
    if read_header(file).format != "NIfTI":
        return False
    image: Any = nib.load(file)
    return image.get_data_dtype().fields is not None


def _sidecar(file: Path) -> dict[str, Any]:
    try:
        return read_json(sidecar_of(file))
    except InputError as error:
        raise InputError(f"{file} needs its sidecar: {error}") from error


def _is_volume(file: Path) -> bool:
    return file.name.endswith(VOLUMES) and not file.name.startswith(".")


def _base(file: Path) -> str:
    """The name of a map without what tells it from the other maps of a result."""
    return OWN.sub("", strip_suffix(file))
