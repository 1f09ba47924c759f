"""What 3D Slicer is told of a command-line module: its XML description.

References:
    The Slicer Execution Model; the schema of CommonTK's command-line modules, which fixes the order
    of the elements of a parameter.
"""

from dataclasses import dataclass, field
from xml.etree import ElementTree

from medrev import __version__

__all__ = ["MODULES", "describe"]

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
