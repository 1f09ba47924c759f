"""The command-line modules of 3D Slicer: an executable and its XML description for each."""

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from medrev import __version__
from medrev.errors import OutputError
from medrev.files import atomic_path
from medrev.prediction import load_model

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
    """The XML description of a module.

    Args:
        kind: ``tensor`` or ``scalar``: the volumes that the module takes and gives.
        model: Weight file that it proposes.

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
