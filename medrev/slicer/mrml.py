"""The scene file of 3D Slicer (MRML): which volumes there are, and how they are shown.

Slicer resolves references while it reads, so a node stands after those that it refers to.
Geometry is never in the scene: it always comes from the volumes' own files.
"""

from urllib.parse import quote
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

#: Slicer's numbers of its layouts, and the slice views that they have.
LAYOUTS = {
    "two-by-two": (27, ("Red", "Yellow", "Green", "Slice4")),
    "four-up": (3, ("Red", "Yellow", "Green")),
    "side-by-side": (29, ("Red", "Yellow")),
}

#: Columns: right, up and out of the picture, in RAS, for the three orientations.
ORIENTATIONS = {
    "Axial": ((-1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "Sagittal": ((0, -1, 0), (0, 0, 1), (-1, 0, 0)),
    "Coronal": ((-1, 0, 0), (0, 0, 1), (0, 1, 0)),
}

#: Label and colour of Slicer's slice views.
VIEWS = {
    "Red": ("R", "0.952941 0.290196 0.2"),
    "Yellow": ("Y", "0.929412 0.835294 0.298039"),
    "Green": ("G", "0.431373 0.690196 0.294118"),
    "Slice4": ("4", "0.54902 0.54902 0.54902"),
}

#: Colouring of tensors by the direction of their largest eigenvalue, times FA.
COLOR_ORIENTATION = "10"
#: Tag of each kind of volume, and of its storage.
_NODES = {
    "scalar": ("Volume", "VolumeArchetypeStorage"),
    "color": ("VectorVolume", "VolumeArchetypeStorage"),
    "tensor": ("DiffusionTensorVolume", "NRRDStorage"),
    "mask": ("Segmentation", "SegmentationStorage"),
}
_OUTLINES = {
    "visibility": "true",
    "visibility2D": "true",
    "visibility3D": "false",
    "Visibility2DFill": "false",
    "Visibility2DOutline": "true",
}


class Document:
    """A scene that is put together node by node.

    Example:
        >>> scene = Document()
        >>> scene.volume("scalar", "FA", "Data/FA.nrrd", window=1, level=0.5)
        'vtkMRMLScalarVolumeNode1'
        >>> b'name="FA"' in scene.to_bytes()
        True
    """

    def __init__(self, program: str = "medrev") -> None:
        # The version names the scene's format: Slicer compares the number with its own.
        self.root = ElementTree.Element("MRML", version="Slicer 5.0.0 0", userTags="")
        self.root.append(ElementTree.Comment(f" written by {program} "))
        self.counts: dict[str, int] = {}

    def volume(
        self,
        kind: str,
        name: str,
        file: str,
        *,
        window: float = 255,
        level: float = 127.5,
        color: str = "Grey",
        description: str = "",
    ) -> str:
        """Add a volume or a segmentation, and give its id.

        Args:
            kind: scalar; color: red, green and blue; tensor, coloured by direction; mask, shown as
                outlines.
            name: Shown in Slicer's lists.
            file: Path from the scene file to the volume's.
            window: Width of the values that the colours span.
            level: Their middle.
            color: Slicer's colour table, such as Grey, Iron or Warm1.
            description: Shown beside the name.
        """
        tag, storage = _NODES[kind]
        cls = "ScalarVolume" if kind == "scalar" else tag
        if kind == "mask":
            shown = dict(_OUTLINES)
        else:
            table = f"vtkMRMLColorTableNode{color}"
            shown = {"references": _references(color=table), "colorNodeID": table}
            if kind == "tensor":
                shown["scalarInvariant"] = COLOR_ORIENTATION
            shown |= {"window": f"{window:.6g}", "level": f"{level:.6g}"}
            shown |= {"autoWindowLevel": "0", "interpolate": "1"}
        display = f"{tag}Display"
        ids = {
            "display": self._node(
                display, f"vtkMRML{cls}DisplayNode", name=f"{name} display", **shown
            ),
            "storage": self._node(
                storage, f"vtkMRML{storage}Node", name=f"{name} file", fileName=quote(file)
            ),
        }
        further = {"description": description} if description else {}
        return self._node(
            tag, f"vtkMRML{cls}Node", name=name, references=_references(**ids), **further
        )

    def layout(self, name: str) -> None:
        """Choose one of :data:`LAYOUTS`."""
        self._node(
            "Layout",
            "vtkMRMLLayoutNode",
            name="Layout",
            id="vtkMRMLLayoutNodevtkMRMLLayoutNode",
            singletonTag="vtkMRMLLayoutNode",
            currentViewArrangement=str(LAYOUTS[name][0]),
        )

    def slice_view(
        self,
        view: str,
        orientation: str,
        centre: NDArray[np.float64],
        width: float,
        *,
        background: str | None = None,
        foreground: str | None = None,
    ) -> None:
        """Add a slice view.

        Args:
            view: Red, Yellow, Green or Slice4.
            orientation: Axial, Sagittal or Coronal.
            centre: Middle of the picture, RAS mm.
            width: Edge of the square shown, mm.
            background: Id of the volume shown.
            foreground: Id of a volume above it, which a slider of Slicer fades in.
        """
        matrix = np.eye(4)
        matrix[:3, :3] = np.transpose(ORIENTATIONS[orientation])
        matrix[:3, 3] = centre
        label, color = VIEWS[view]
        self._node(
            "Slice",
            "vtkMRMLSliceNode",
            name=view,
            id=f"vtkMRMLSliceNode{view}",
            singletonTag=view,
            layoutName=view,
            layoutLabel=label,
            layoutColor=color,
            sliceToRAS=" ".join(f"{value:.9g}" for value in matrix.ravel()),
            fieldOfView=f"{width:.6g} {width:.6g} 1",
            dimensions="256 256 1",
            sliceVisibility="false",
        )
        self._node(
            "SliceComposite",
            "vtkMRMLSliceCompositeNode",
            name=f"{view} composite",
            id=f"vtkMRMLSliceCompositeNode{view}",
            singletonTag=view,
            layoutName=view,
            references=_references(backgroundVolume=background, foregroundVolume=foreground),
            foregroundOpacity="0",
            labelOpacity="1",
            linkedControl="1",
            hotLinkedControl="1",
        )

    def to_bytes(self) -> bytes:
        """The file's content."""
        ElementTree.indent(self.root)
        text: bytes = ElementTree.tostring(self.root, encoding="UTF-8", xml_declaration=True)
        return text + b"\n"

    def _node(self, tag: str, cls: str, *, id: str | None = None, **attributes: str) -> str:
        if id is None:
            self.counts[cls] = self.counts.get(cls, 0) + 1
            id = f"{cls}{self.counts[cls]}"
        ElementTree.SubElement(self.root, tag, {"id": id, **attributes})
        return id


def _references(**ids: str | None) -> str:
    """Slicer's notation of references: ``role:id;``."""
    return "".join(f"{role}:{id};" for role, id in ids.items() if id is not None)
