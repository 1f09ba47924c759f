"""Open a scene bundle with 3D Slicer's own readers, and say what they make of it.

    pip install slicer-core
    python scripts/check_slicer.py case.mrb --picture case.png

slicer-core is Slicer's C++ without its windows: the same scene, the same file readers, the same
slice pipeline. The exit code is 1 if Slicer has something to complain about or a volume is missing.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

VIEWS = ("Red", "Yellow", "Green", "Slice4")


@contextmanager
def native_messages() -> Iterator[list[str]]:
    """Collect what C++ writes to standard error, where Slicer's errors and warnings go."""
    lines: list[str] = []
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            lines += [line for line in file.read().decode(errors="replace").splitlines() if line]


def new_scene() -> Any:
    """An empty scene with what the application gives it: colours, orientations, a cache."""
    scene = slicer.vtkMRMLScene()
    scene.SetDataIOManager(slicer.vtkDataIOManager())
    cache = slicer.vtkCacheManager()
    scene.GetDataIOManager().SetCacheManager(cache)
    scene.logics = [slicer.vtkMRMLColorLogic(), slicer.vtkSlicerSegmentationsModuleLogic()]
    for logic in scene.logics:
        logic.SetMRMLScene(scene)
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    return scene


def open_scene(path: Path) -> tuple[Any, list[str]]:
    """A scene read from .mrml or .mrb, and Slicer's messages about it."""
    path = Path(path).resolve()
    told = slicer.vtkMRMLMessageCollection()
    with native_messages() as lines, tempfile.TemporaryDirectory() as cache:
        scene = new_scene()
        scene.GetDataIOManager().GetCacheManager().SetRemoteCacheDirectory(cache)
        if path.suffix == ".mrb":
            done = scene.ReadFromMRB(str(path), True, told)
        else:
            scene.SetURL(str(path))
            done = scene.Import(told)
    lines += [told.GetNthMessageText(n) for n in range(told.GetNumberOfMessages())]
    for node in nodes(scene, "vtkMRMLStorageNode"):
        own = node.GetUserMessages()
        lines += [own.GetNthMessageText(n) for n in range(own.GetNumberOfMessages())]
    if not done:
        lines.append(f"{path} was not read")
    return scene, lines


def nodes(scene: Any, cls: str) -> list[Any]:
    return [scene.GetNthNodeByClass(n, cls) for n in range(scene.GetNumberOfNodesByClass(cls))]


def missing(scene: Any) -> list[str]:
    """Volumes without voxels or colours; Slicer does not complain of those."""
    found = []
    for node in nodes(scene, "vtkMRMLVolumeNode"):
        if node.GetImageData() is None:
            found.append(f"{node.GetName()}: has no voxels")
        if node.GetDisplayNode() is None or node.GetDisplayNode().GetColorNode() is None:
            found.append(f"{node.GetName()}: has no colours")
    for node in nodes(scene, "vtkMRMLSegmentationNode"):
        if node.GetSegmentation().GetNumberOfSegments() == 0:
            found.append(f"{node.GetName()}: has no segments")
    return found


def affine(node: Any) -> np.ndarray:
    """Voxel → RAS mm of a volume node, or of the first segment of a segmentation node."""
    matrix = vtk.vtkMatrix4x4()
    if node.IsA("vtkMRMLSegmentationNode"):
        labelmap(node).GetImageToWorldMatrix(matrix)
    else:
        node.GetIJKToRASMatrix(matrix)
    return np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])


def labelmap(node: Any) -> Any:
    """The voxels of a segmentation's first segment."""
    image = slicer.vtkOrientedImageData()
    segment = node.GetSegmentation().GetNthSegmentID(0)
    node.GetBinaryLabelmapRepresentation(segment, image)
    return image


def voxels(node: Any) -> np.ndarray:
    """(I, J, K), of vectors (C, I, J, K), of tensors (I, J, K, 3, 3); as Slicer holds them."""
    segmentation = node.IsA("vtkMRMLSegmentationNode")
    image = labelmap(node) if segmentation else node.GetImageData()
    sizes = image.GetDimensions()
    data = image.GetPointData()
    if data.GetTensors() is not None:
        matrices = vtk_to_numpy(data.GetTensors()).reshape(*sizes[::-1], 3, 3)
        return matrices.transpose(2, 1, 0, 3, 4)
    values = vtk_to_numpy(data.GetScalars())
    if values.ndim == 2:
        return values.reshape(*sizes[::-1], -1).transpose(3, 2, 1, 0)
    return values.reshape(*sizes[::-1]).transpose(2, 1, 0)


def picture(scene: Any, view: str) -> np.ndarray:
    """What a slice view shows, (256, 256, 3) in 0 to 255, the first row on top."""
    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLScene(scene)
    logic.SetSliceNode(scene.GetNodeByID(f"vtkMRMLSliceNode{view}"))
    logic.SetSliceCompositeNode(scene.GetNodeByID(f"vtkMRMLSliceCompositeNode{view}"))
    logic.UpdatePipeline()
    blend = logic.GetBlend()
    blend.Update()
    image = blend.GetOutput()
    width, height, _ = image.GetDimensions()
    values = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)
    return np.ascontiguousarray(values[::-1, :, :3])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path, help=".mrb or .mrml")
    parser.add_argument("--picture", type=Path, help="PNG of the four slice views to write")
    arguments = parser.parse_args()
    scene, complaints = open_scene(arguments.scene)
    complaints += missing(scene)
    print(f"slicer-core (VTK {vtk.vtkVersion.GetVTKVersion()}): {arguments.scene}")
    for node in nodes(scene, "vtkMRMLVolumeNode") + nodes(scene, "vtkMRMLSegmentationNode"):
        if node.IsA("vtkMRMLVolumeNode") and node.GetImageData() is None:
            continue
        values = voxels(node)
        kind = node.GetClassName().removeprefix("vtkMRML").removesuffix("Node")
        span = f"{values.min():.4g} to {values.max():.4g}"
        print(f"  {kind:22} {node.GetName()}: {span}, {values.shape}")
    if arguments.picture is not None:
        from matplotlib import image

        shown = [view for view in VIEWS if scene.GetNodeByID(f"vtkMRMLSliceNode{view}")]
        tiles = [picture(scene, view) for view in shown]
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 2)
        rows = [np.hstack(tiles[n : n + 2]) for n in range(0, len(tiles), 2)]
        image.imsave(arguments.picture, np.vstack(rows))
        print(arguments.picture)
    for line in complaints:
        print(f"  ! {line}")
    print(f"{len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
