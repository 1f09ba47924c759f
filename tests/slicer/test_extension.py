"""The extension of 3D Slicer: its files agree, and what it does without Slicer is done here.

Of Slicer itself there are stand-ins that save and load a volume; the translation between is real.
"""

import importlib
import json
import re
import shutil
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from medrev.volumes import read_volume, write_scalar_nrrd

ROOT = Path(__file__).parents[2]
HERE = ROOT / "deployment" / "slicer"
AFFINE = np.array([[0, -2.0, 0, 5], [2.0, 0, 0, -3], [0, 0, 2.0, 7], [0, 0, 0, 1]])


@pytest.fixture
def process(monkeypatch):
    """The extension's part that needs no Slicer."""
    monkeypatch.syspath_prepend(str(HERE / "Medrev"))
    yield importlib.import_module("MedrevLib.process")
    for name in [name for name in sys.modules if name.split(".")[0] in ("MedrevLib", "Medrev")]:
        del sys.modules[name]


@pytest.fixture
def scan(tmp_path):
    """A head of 12 × 12 × 12 voxels as Slicer saves it."""
    values = np.zeros((12, 12, 12), np.float32)
    values[2:10, 2:10, 2:10] = np.random.default_rng(0).uniform(400, 600, (8, 8, 8))
    return write_scalar_nrrd(tmp_path / "scan.nrrd", values, AFFINE)


class TestFiles:
    def test_every_file_that_cmake_names_is_there(self):
        for text in (HERE / "Medrev" / "CMakeLists.txt", HERE / "CMakeLists.txt"):
            for name in re.findall(r"[\w/${}]+\.(?:py|png)", text.read_text()):
                assert (HERE / "Medrev" / name.replace("${MODULE_NAME}", "Medrev")).is_file(), name

    def test_every_script_is_named(self):
        text = (HERE / "Medrev" / "CMakeLists.txt").read_text().replace("${MODULE_NAME}", "Medrev")
        for path in (HERE / "Medrev").rglob("*.py"):
            assert path.relative_to(HERE / "Medrev").as_posix() in text

    def test_the_entry_of_the_index_has_its_keys(self):
        entry = json.loads((HERE / "Medrev.json").read_text())
        assert entry.keys() >= {
            "build_dependencies",
            "build_subdirectory",
            "category",
            "scm_revision",
            "scm_url",
            "tier",
        }
        assert (
            f'set(EXTENSION_CATEGORY "{entry["category"]}")'
            in (HERE / "CMakeLists.txt").read_text()
        )


class TestProcess:
    def test_the_shipped_models_are_listed_without_an_import(self, process):
        shipped = sorted(path.stem for path in (ROOT / "medrev" / "models").glob("*.safetensors"))
        assert "t1-x2" in shipped
        assert process.models() == ["automatic", *shipped]

    def test_where_medrev_is_missing_there_are_none(self, process, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        assert process.models() is None

    @pytest.mark.parametrize("version", [(3, 9, 10), (3, 10, 1)])
    def test_an_old_slicer_is_told(self, process, version):
        with pytest.raises(process.MedrevError, match=r"needs Python 3\.11, this Slicer has 3\."):
            process.check_python(version)

    def test_a_new_one_is_not(self, process):
        process.check_python((3, 12, 10))

    def test_the_words_of_a_command(self, process):
        words = process.command("p", "tensor", "a.nrrd", "b.nrrd", mask="m.nrrd", inverse=True)
        assert words[1:6] == ["-m", "medrev.cli.slicer_module", "tensor", "a.nrrd", "b.nrrd"]
        assert words[6:] == ["--mask", "m.nrrd", "--direction", "inverse"]
        assert process.command("p", "scalar", "a", "b", model="t1-x2")[-2:] == ["--model", "t1-x2"]

    @pytest.mark.parametrize(
        ("line", "share"),
        [
            ("<filter-progress>0.420</filter-progress>", 0.42),
            ("<filter-progress>7</filter-progress>", 1.0),
            ("<filter-progress>x</filter-progress>", None),
            ("mask: nonzero, 512 voxels", None),
        ],
    )
    def test_how_far_it_is(self, process, line, share):
        assert process.share_of(line) == share

    def test_a_volume_is_translated(self, process, scan, tmp_path):
        shares, result = [], tmp_path / "fine.nrrd"
        process.run(
            process.command(sys.executable, "scalar", scan, result, model="t1-x2"),
            lambda share, line: shares.append(share) or True,
        )
        assert read_volume(result).shape == (1, 24, 24, 24)
        assert shares == sorted(shares)
        assert shares[-1] == 1

    def test_an_error_is_one_line(self, process, tmp_path):
        words = process.command(sys.executable, "scalar", tmp_path / "no.nrrd", tmp_path / "b.nrrd")
        with pytest.raises(process.MedrevError, match=r"no\.nrrd: no such file") as caught:
            process.run(words)
        assert "\n" not in str(caught.value)

    def test_the_user_stops_it(self, process):
        words = [sys.executable, "-c", "import time; print('on', flush=True); time.sleep(60)"]
        start = time.monotonic()
        with pytest.raises(process.MedrevError, match="stopped"):
            process.run(words, lambda share, line: line != "on")
        assert time.monotonic() - start < 30


class Node(SimpleNamespace):
    """A volume of the scene, which lies in a file."""

    def IsA(self, kind):  # noqa: N802
        return kind == self.kind

    def GetName(self):  # noqa: N802
        return "head"


@pytest.fixture
def slicer(process, monkeypatch):
    """Slicer's modules as far as the logic of the extension asks for them."""

    def save(node, file):
        shutil.copy(node.file, file)
        return True

    def load(file, properties):
        return properties["name"], read_volume(file)

    parts = SimpleNamespace(saveNode=save, loadVolume=load, installed=[])
    parts.pip_install = parts.installed.append
    scene = SimpleNamespace(GenerateUniqueName=lambda name: name)
    base = {
        f"ScriptedLoadableModule{end}": type("Base", (), {})
        for end in ("", "Widget", "Logic", "Test")
    }
    made = {
        "slicer": {"util": parts, "mrmlScene": scene},
        "slicer.ScriptedLoadableModule": base,
        "ctk": {},
        "qt": {},
        "vtk": {},
    }
    for name, content in made.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(shutil, "which", lambda name: sys.executable)
    return importlib.import_module("Medrev"), parts


def test_the_logic_takes_a_volume_of_the_scene_and_gives_one(slicer, scan, process):
    module, _ = slicer
    logic = module.MedrevLogic()
    node = Node(kind="vtkMRMLScalarVolumeNode", file=scan)
    name, result = logic.process(node)  # with the model for what it is
    assert name == "head medrev"
    assert result.shape == (1, 24, 24, 24)
    with pytest.raises(process.MedrevError, match="choose a volume"):
        logic.process(None)


def test_it_installs_what_is_named_and_never_whatever_has_the_name(slicer, process, monkeypatch):
    module, parts = slicer
    monkeypatch.delenv("MEDREV_SOURCE", raising=False)
    with pytest.raises(process.MedrevError, match="no package index has medrev: start Slicer with"):
        module.MedrevLogic().install()
    monkeypatch.setenv("MEDREV_SOURCE", "medrev-0.1.0-py3-none-any.whl")
    module.MedrevLogic().install()
    assert parts.installed == ["medrev-0.1.0-py3-none-any.whl"]
