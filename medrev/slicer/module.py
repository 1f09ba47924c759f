"""A command-line module at work: NRRD from Slicer in, NRRD for Slicer out, progress in between."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape

from medrev.errors import InputError
from medrev.files import ensure_writable_folder
from medrev.prediction import infer_file
from medrev.progress import progress_listener
from medrev.slicer.results import find_results, output_volumes
from medrev.slicer.scene import SceneVolume
from medrev.volumes import to_numpy, write_scalar_nrrd, write_tensor_nrrd

#: Share of the time that passes before the network begins, and until it ends.
BEGIN, END = 0.1, 0.9


def run_module(
    *,
    kind: Literal["tensor", "scalar"],
    input: str | Path,
    output: str | Path,
    model: str | Path | None = None,
    mask: str | Path | None = None,
    fa: str | Path | None = None,
    md: str | Path | None = None,
    direction: Literal["forward", "inverse"] = "forward",
    device: str = "auto",
) -> None:
    """Translate a volume that Slicer has written, and write the result where Slicer reads it.

    The numbers are those of ``medrev-infer``, which does the work. Files that exist are replaced:
    they are Slicer's.

    Args:
        kind: What Slicer gives and takes.
        input: NRRD: of tensors nine components with a measurement frame.
        output: NRRD to write: of tensors as :func:`medrev.volumes.write_tensor_nrrd`.
        model: Weight file, run folder or name of a shipped model (default: the shipped one for what
            the input is).
        mask: Label volume on the input's grid.
        fa: NRRD of the result's fractional anisotropy to write.
        md: NRRD of the result's mean diffusivity to write.
        direction: ``forward`` or ``inverse``.
        device: auto, cpu, cuda, cuda:N or mps.

    Raises:
        MedrevError: As :func:`medrev.prediction.infer_file`; the input does not give ``kind``.
    """
    if model is not None and not str(model).strip():
        model = None
    output = Path(output)
    ensure_writable_folder(output.parent)
    with tempfile.TemporaryDirectory(prefix=".medrev-", dir=output.parent) as folder:
        infer_file(
            input,
            model=model,
            mask=mask,
            output=folder,
            direction=direction,
            device=device,
            quick_look=False,
            show_progress=False,
        )
        volumes = output_volumes(find_results(folder))
    first, maps = volumes[0], {volume.name: volume for volume in volumes}
    if first.kind != kind:
        raise InputError(
            f"{input}: gives {first.kind} volumes, not {kind} ones: use the module for those"
        )
    _write(output, first)
    for path, name in ((fa, "output FA"), (md, "output MD")):
        if path is not None and name in maps:
            _write(Path(path), maps[name])


@contextmanager
def told_to_slicer(name: str) -> Iterator[None]:
    """Tell Slicer on standard output that a module begins, how far it is, and that it ends.

    Example:
        >>> with told_to_slicer("medrev"):
        ...     pass  # doctest: +ELLIPSIS
        <filter-start>...<filter-name>medrev</filter-name>...
        <filter-progress>1.000</filter-progress>
        <filter-end>...<filter-name>medrev</filter-name>...
    """
    start = time.monotonic()
    furthest = 0.0

    def hear(title: str, share: float) -> None:
        nonlocal furthest
        furthest = max(furthest, BEGIN + (END - BEGIN) * share)
        _say("filter-progress", f"{furthest:.3f}")

    named = f"<filter-name>{escape(name)}</filter-name>"
    _say("filter-start", f"{named}<filter-comment>{escape(name)}</filter-comment>")
    try:
        with progress_listener(hear):
            yield
        _say("filter-progress", "1.000")
    finally:
        _say("filter-end", f"{named}<filter-time>{time.monotonic() - start:.1f}</filter-time>")


def _write(path: Path, volume: SceneVolume) -> None:
    write = write_tensor_nrrd if volume.kind == "tensor" else write_scalar_nrrd
    write(path, to_numpy(volume.data), volume.affine, overwrite=True)


def _say(tag: str, content: str) -> None:
    print(f"<{tag}>{content}</{tag}>", file=sys.stdout, flush=True)
