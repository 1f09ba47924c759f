"""The command-line modules of 3D Slicer: what is installed of each, and one at work.

An executable and its XML description for each; NRRD from Slicer in, NRRD for Slicer out, progress
in between.
"""

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from medrev import __version__
from medrev.errors import InputError, OutputError
from medrev.files import atomic_path, ensure_writable_folder
from medrev.prediction import infer_file, load_model
from medrev.progress import progress_listener
from medrev.slicer.results import find_results, output_volumes
from medrev.slicer.scene import SceneVolume
from medrev.volumes import to_numpy, write_scalar_nrrd, write_tensor_nrrd

#: Name of the executable of each module. Slicer takes a name with a dot for a script.
MODULES = {"tensor": "MedrevTensor", "scalar": "MedrevScalar"}

_WHAT = {"tensor": "diffusion tensors", "scalar": "a scalar volume such as T1w or T2w"}
_WAYS = {
    "tensor": "forward: low to high resolution; inverse: high to low",
    "scalar": "forward: from the model's source contrast to its target; inverse: back",
}


@dataclass(frozen=True)
class _Parameter:
    """One parameter; the order of the fields is that of the schema."""

    tag: str
    name: str
    label: str
    description: str
    index: int | None = None
    default: str = ""
    channel: str = ""
    elements: tuple[str, ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)

    def add_to(self, group: ElementTree.Element) -> None:
        node = ElementTree.SubElement(group, self.tag, self.attributes)
        _text(node, "name", self.name)
        if self.index is None:
            _text(node, "longflag", self.name)
        else:
            _text(node, "index", str(self.index))
        _text(node, "description", self.description)
        _text(node, "label", self.label)
        if self.default:
            _text(node, "default", self.default)
        if self.channel:
            _text(node, "channel", self.channel)
        for element in self.elements:
            _text(node, "element", element)


def describe(kind: str, model: str = "") -> bytes:
    """The XML description of a module for volumes of a kind, and the model that it proposes.

    Example:
        >>> b"<title>medrev: tensors</title>" in describe("tensor")
        True
    """
    root = ElementTree.Element("executable")
    _text(root, "category", "Super-resolution" if kind == "tensor" else "Image Synthesis")
    _text(root, "title", "medrev: tensors" if kind == "tensor" else "medrev: scalar volumes")
    _text(
        root,
        "description",
        f"Apply a trained model of medrev to {_WHAT[kind]}. For research, not for diagnosis.",
    )
    _text(root, "version", __version__)
    _text(root, "license", "Apache-2.0")
    _text(root, "contributor", "medrev developers")
    _group(root, "Volumes", "What goes in and what comes out", _volumes(kind))
    _group(root, "Model", "What is applied, and where", _options(kind, model))
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return text + b"\n"


def _volumes(kind: str) -> list[_Parameter]:
    image = {"type": kind, "fileExtensions": ".nrrd"}
    parameters = [
        _Parameter(
            "image",
            "input",
            "Input volume",
            f"Volume to translate: {_WHAT[kind]}",
            index=0,
            channel="input",
            attributes=image,
        ),
        _Parameter(
            "image",
            "output",
            "Output volume",
            "The result",
            index=1,
            channel="output",
            attributes=image,
        ),
        _Parameter(
            "image",
            "mask",
            "Brain mask",
            "Label volume on the grid of the input; without one, the voxels that are not zero",
            channel="input",
            attributes={"type": "label", "fileExtensions": ".nrrd"},
        ),
    ]
    if kind == "tensor":
        parameters += [
            _Parameter(
                "image",
                name,
                f"Output {name.upper()}",
                f"{words} of the result",
                channel="output",
                attributes={"type": "scalar", "fileExtensions": ".nrrd"},
            )
            for name, words in (("fa", "Fractional anisotropy"), ("md", "Mean diffusivity, mm²/s"))
        ]
    return parameters


def _options(kind: str, model: str) -> list[_Parameter]:
    return [
        _Parameter(
            "file",
            "model",
            "Model",
            "Weight file (.safetensors) of a run of medrev-train, in its folder checkpoints/best",
            default=model,
            channel="input",
            attributes={"fileExtensions": ".safetensors"},
        ),
        _Parameter(
            "string-enumeration",
            "direction",
            "Direction",
            _WAYS[kind],
            default="forward",
            elements=("forward", "inverse"),
        ),
        _Parameter(
            "string-enumeration",
            "device",
            "Device",
            "auto takes a GPU where there is one",
            default="auto",
            elements=("auto", "cpu", "cuda", "mps"),
        ),
    ]


def _group(
    root: ElementTree.Element, label: str, description: str, parameters: list[_Parameter]
) -> None:
    group = ElementTree.SubElement(root, "parameters")
    _text(group, "label", label)
    _text(group, "description", description)
    for parameter in parameters:
        parameter.add_to(group)


def _text(parent: ElementTree.Element, tag: str, text: str) -> None:
    ElementTree.SubElement(parent, tag).text = text


#: What Slicer sets for its own Python and libraries, and another Python must not see.
SLICERS_OWN = (
    "PYTHONHOME",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "DYLD_LIBRARY_PATH",
    "SSL_CERT_FILE",
)


def install_modules(
    folder: str | Path,
    *,
    model: str | Path | None = None,
    python: str | Path = sys.executable,
    overwrite: bool = False,
) -> list[Path]:
    """Write the modules that run medrev inside 3D Slicer.

    Each is a short shell script, because Slicer would run a ``.py`` file in its own Python, which
    has no medrev, and an XML file beside it, which Slicer reads instead of starting the script.
    Slicer finds them once the folder is among its additional module paths.

    Args:
        folder: Where the modules go; a folder of their own, because Slicer looks at every file.
        model: Run folder or weight file that the modules propose.
        python: The Python that has medrev.
        overwrite: Replace existing modules.

    Returns:
        The files written: each module followed by its description.

    Raises:
        OutputError: If a module exists, the folder cannot be written, the Python has no medrev, or
            the system is Windows.
        CheckpointError: If the model cannot be used.
    """
    folder = Path(folder)
    if sys.platform == "win32":
        raise OutputError("modules for Slicer are shell scripts, which Windows does not run")
    files = {kind: (folder / name, folder / f"{name}.xml") for kind, name in MODULES.items()}
    for file in (file for pair in files.values() for file in pair):
        if file.exists() and not overwrite:
            raise OutputError(f"{file} exists already; give --overwrite to replace it")
    python = _python_with_medrev(Path(python))
    weights = "" if model is None else str(Path(load_model(model, "cpu").path or "").resolve())
    for kind, (script, description) in files.items():
        with atomic_path(description, overwrite) as temporary:
            temporary.write_bytes(describe(kind, weights))
        with atomic_path(script, overwrite) as temporary:
            temporary.write_text(_script(kind, python), encoding="utf-8")
            temporary.chmod(0o755)
    return [file for pair in files.values() for file in pair]


def _python_with_medrev(python: Path) -> Path:
    """The absolute path of a Python, as it was given: its links tell its environment."""
    path = Path(os.path.abspath(python))
    try:
        run = subprocess.run(
            [path, "-I", "-c", "import medrev"],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    except subprocess.TimeoutExpired as error:
        raise OutputError(f"{path}: has not answered within 120 s; give another Python") from error
    except OSError as error:
        raise OutputError(f"{path}: is no Python that can be run: {error.strerror}") from error
    if run.returncode != 0:
        raise OutputError(
            f"{path}: has no medrev of its own: install it there (by its own python -m pip), "
            "not by PYTHONPATH, which Slicer changes"
        )
    return path


def _script(kind: str, python: Path) -> str:
    unset = " ".join(f"-u {name}" for name in SLICERS_OWN)
    return f"""#!/bin/sh
# A command-line module of 3D Slicer, written by "medrev-slicer install".
if [ "$1" = "--xml" ]; then
    exec cat "$0.xml"
fi
exec env {unset} \\
    {shlex.quote(str(python))} -I -m medrev.cli.slicer_module {kind} "$@"
"""


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
