"""3D Slicer's module: a volume in, a model of medrev, one button, a volume out."""

import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

import ctk
import qt
import slicer
import vtk
from MedrevLib import process
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

__all__ = ["Medrev", "MedrevLogic", "MedrevTest", "MedrevWidget"]

_FILE = "weight file …"


class Medrev(ScriptedLoadableModule):
    """What Slicer's list of modules says."""

    def __init__(self, parent):
        super().__init__(parent)
        parent.title = "medrev"
        parent.categories = ["Super-resolution"]
        parent.contributors = ["medrev developers"]
        parent.helpText = (
            "Diffusion tensors and scalar MR volumes on a finer grid, by models that medrev ships "
            "or that you have trained. For research, not for diagnosis."
        )
        parent.acknowledgementText = "Apache-2.0"


class MedrevWidget(ScriptedLoadableModuleWidget):
    """The module's panel."""

    def setup(self):
        """Lay it out."""
        super().setup()
        self.logic = MedrevLogic()
        self.stopped = False
        box = ctk.ctkCollapsibleButton()
        box.text = "Super-resolution"
        self.layout.addWidget(box)
        form = qt.QFormLayout(box)

        volumes = ["vtkMRMLScalarVolumeNode", "vtkMRMLDiffusionTensorVolumeNode"]
        self.input = self._selector(volumes, none=False, new=False)
        form.addRow("Volume:", self.input)
        self.mask = self._selector(["vtkMRMLLabelMapVolumeNode"], none=True, new=False)
        self.mask.setToolTip("Without one, the voxels that are not zero")
        form.addRow("Brain mask:", self.mask)
        self.model = qt.QComboBox()
        form.addRow("Model:", self.model)
        self._fill_models()

        self.button = qt.QPushButton("Apply")
        form.addRow(self.button)
        self.bar = qt.QProgressBar()
        self.bar.setRange(0, 100)
        self.bar.hide()
        form.addRow(self.bar)
        self.said = qt.QLabel("")
        self.said.setWordWrap(True)
        form.addRow(self.said)
        self.layout.addStretch(1)
        self.button.connect("clicked(bool)", self.onButton)
        self.model.connect("activated(int)", self.onModel)
        self.running = False

    def onModel(self, index):
        """Let the user choose a weight file."""
        if self.model.itemText(index) != _FILE:
            return
        file = qt.QFileDialog.getOpenFileName(None, "Model", "", "Weights (*.safetensors)")
        if file:
            self.model.insertItem(index, file)
        self.model.setCurrentIndex(index if file else 0)

    def onButton(self, *_):
        """Begin, or stop what is running."""
        if self.running:
            self.stopped = True
            return
        self.running, self.stopped = True, False
        self.button.text = "Stop"
        self.bar.show()
        try:
            with slicer.util.tryWithErrorDisplay("medrev could not do it.", waitCursor=False):
                if not self._install():
                    return
                self.logic.process(
                    self.input.currentNode(),
                    model=self.model.currentText,
                    mask=self.mask.currentNode(),
                    on_progress=self._show,
                )
                self.said.text = "done"
        finally:
            self.running = False
            self.button.text = "Apply"
            self.bar.hide()

    def _show(self, share, line):
        self.bar.setValue(round(100 * share))
        self.said.text = line
        slicer.app.processEvents()
        return not self.stopped

    def _install(self):
        """Install medrev into Slicer's Python, if the user agrees."""
        process.check_python()
        if process.models() is not None:
            return True
        question = (
            "medrev and PyTorch (1 GB and more) are not installed in Slicer yet. Install now?"
        )
        if not slicer.util.confirmOkCancelDisplay(question):
            return False
        self.said.text = "installing"
        slicer.app.processEvents()
        self.logic.install()
        self._fill_models()
        return True

    def _fill_models(self):
        self.model.clear()
        self.model.addItems([*(process.models() or [process.AUTOMATIC]), _FILE])

    def _selector(self, kinds, *, none, new):
        selector = slicer.qMRMLNodeComboBox()
        selector.nodeTypes = kinds
        selector.noneEnabled, selector.addEnabled, selector.removeEnabled = none, new, False
        selector.setMRMLScene(slicer.mrmlScene)
        return selector


class MedrevLogic(ScriptedLoadableModuleLogic):
    """What the panel asks for; scripts may call it, too."""

    def install(self):
        """Install medrev by Slicer's pip, from where ``MEDREV_SOURCE`` says.

        Raises:
            MedrevError: It says nothing: no package index has medrev, and what somebody else may
                put there under this name is not to be run.
        """
        source = os.environ.get("MEDREV_SOURCE")
        if not source:
            raise process.MedrevError(
                "no package index has medrev: start Slicer with MEDREV_SOURCE set to a wheel or a "
                "checkout"
            )
        slicer.util.pip_install(source)

    def process(self, volume, *, model=process.AUTOMATIC, mask=None, on_progress=None):
        """Translate a volume of the scene.

        Args:
            volume: A scalar or a tensor volume.
            model: Name of a shipped model, a weight file, a run folder, or ``automatic``.
            mask: A label volume on its grid.
            on_progress: Called with the share that is done and a line; False stops.

        Returns:
            The new volume.

        Raises:
            MedrevError: It cannot be done, and why.
        """
        if volume is None:
            raise process.MedrevError("choose a volume")
        kind = "tensor" if volume.IsA("vtkMRMLDiffusionTensorVolumeNode") else "scalar"
        with tempfile.TemporaryDirectory() as folder:
            given, result = Path(folder, "input.nrrd"), Path(folder, "output.nrrd")
            brain = Path(folder, "mask.nrrd") if mask is not None else None
            for node, file in ((volume, given), (mask, brain)):
                if node is not None and not slicer.util.saveNode(node, str(file)):
                    raise process.MedrevError(f"{node.GetName()} could not be written")
            words = process.command(_python(), kind, given, result, model=model, mask=brain)
            logging.info(" ".join(words))
            process.run(words, on_progress or (lambda share, line: True))
            name = slicer.mrmlScene.GenerateUniqueName(f"{volume.GetName()} medrev")
            return slicer.util.loadVolume(str(result), {"name": name})


def _python():
    """Slicer's Python as a program."""
    return shutil.which("PythonSlicer") or Path(sys.executable).with_name("PythonSlicer")


class MedrevTest(ScriptedLoadableModuleTest):
    """Run by Slicer's *Reload and Test*."""

    def runTest(self):
        """A volume of noise, twice as fine."""
        import numpy as np

        slicer.mrmlScene.Clear()
        volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "noise")
        slicer.util.updateVolumeFromArray(volume, np.random.default_rng(0).random((16, 16, 16)))
        matrix = vtk.vtkMatrix4x4()
        volume.SetIJKToRASMatrix(matrix)
        result = MedrevLogic().process(volume, model="t1-x2")
        assert result.GetImageData().GetDimensions() == (32, 32, 32)
        self.delayDisplay("passed")
