"""The modules' files: what Slicer reads of them, and how the scripts start."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from medrev.errors import CheckpointError, OutputError
from medrev.slicer import install_modules
from medrev.slicer.module import MODULES, describe

ctk_cli = pytest.importorskip("ctk_cli", reason="a parser of module descriptions: ctk-cli")

ORDER = ("name", "longflag", "index", "description", "label", "default", "channel", "element")


@pytest.fixture
def echo(tmp_path):
    """Stands for a Python: says how it was called, and from which environment."""
    path = tmp_path / "my python"
    path.write_text(
        '#!/bin/sh\nif [ "$2" = "-c" ]; then exit 0; fi\n'
        'for word in "$@"; do echo "$word"; done\n'
        'echo "home=$PYTHONHOME path=$PYTHONPATH library=$LD_LIBRARY_PATH"\nexit 3\n'
    )
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("kind", MODULES)
def test_the_description_is_read_without_a_warning(tmp_path, caplog, kind):
    path = tmp_path / "module.xml"
    path.write_bytes(describe(kind, "/models/a & <b>.safetensors"))
    with caplog.at_level(logging.DEBUG):
        module = ctk_cli.CLIModule(str(path))
        arguments, options, outputs = module.classifyParameters()
    assert caplog.records == []
    assert [argument.name for argument in arguments] == ["input", "output"]
    assert [argument.channel for argument in arguments] == ["input", "output"]
    assert {argument.subtype for argument in arguments} == {kind}
    maps = ["fa", "md"] if kind == "tensor" else []
    assert [option.name for option in options] == ["mask", *maps, "model", "direction", "device"]
    assert outputs == []
    defaults = {option.name: option.default for option in options}
    assert defaults["model"] == "/models/a & <b>.safetensors"
    assert defaults["direction"] == "forward"
    assert options[-2].elements == ["forward", "inverse"]


@pytest.mark.parametrize("kind", MODULES)
def test_elements_stand_in_the_order_of_the_schema(kind):
    for group in ElementTree.fromstring(describe(kind)).iter("parameters"):
        assert [node.tag for node in group][:2] == ["label", "description"]
        for parameter in group[2:]:
            places = [ORDER.index(node.tag) for node in parameter]
            assert places == sorted(places)


@pytest.mark.parametrize("kind", MODULES)
def test_every_option_of_the_description_is_one_of_the_command(kind):
    from medrev.cli.slicer_module import build_parser

    known = {word for action in build_parser()._actions for word in action.option_strings}
    flags = ElementTree.fromstring(describe(kind)).iter("longflag")
    assert {f"--{flag.text}" for flag in flags} <= known


def test_modules_have_no_dot_in_their_name_and_can_be_executed(tmp_path, echo):
    files = install_modules(tmp_path / "new" / "modules", python=echo)
    assert [file.name for file in files] == [
        "MedrevTensor",
        "MedrevTensor.xml",
        "MedrevScalar",
        "MedrevScalar.xml",
    ]
    for script, description in zip(files[::2], files[1::2], strict=True):
        assert os.access(script, os.X_OK)
        assert not description.stat().st_mode & 0o111  # root may execute what nobody may: none
        told = subprocess.run([script, "--xml"], capture_output=True, check=True, timeout=120)
        assert told.stdout == description.read_bytes()


def test_the_script_starts_the_python_given_apart_from_slicers(tmp_path, echo):
    script = install_modules(tmp_path / "it's a folder", python=echo)[2]
    environment = {**os.environ, "PYTHONHOME": "/a", "PYTHONPATH": "/b", "LD_LIBRARY_PATH": "/c"}
    words = ["/tmp/in put.nrrd", "out;put.nrrd", "--model", "$HOME"]
    run = subprocess.run(
        [script, *words], capture_output=True, text=True, check=False, env=environment, timeout=120
    )
    assert run.returncode == 3
    assert run.stdout.splitlines() == [
        "-I",
        "-m",
        "medrev.cli.slicer_module",
        "scalar",
        *words,
        "home= path= library=",
    ]


def test_modules_that_exist_stay_unless_they_may_be_replaced(tmp_path, echo):
    (tmp_path / "modules").mkdir()
    mine = tmp_path / "modules" / "MedrevScalar.xml"
    mine.write_text("mine")
    with pytest.raises(OutputError, match=r"MedrevScalar\.xml exists already; give --overwrite"):
        install_modules(mine.parent, python=echo)
    assert [file.name for file in mine.parent.iterdir()] == ["MedrevScalar.xml"]
    install_modules(mine.parent, python=echo, overwrite=True)
    assert mine.read_text() != "mine"


def test_what_cannot_work_is_refused(tmp_path, echo, monkeypatch):
    folder = tmp_path / "modules"
    with pytest.raises(CheckpointError, match="no such run folder or weight file"):
        install_modules(folder, python=echo, model=tmp_path / "missing")
    with pytest.raises(OutputError, match="is no Python that can be run"):
        install_modules(folder, python=tmp_path / "missing")
    with pytest.raises(OutputError, match="has no medrev of its own"):
        install_modules(folder, python="/bin/false")
    assert not folder.exists()
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OutputError, match="is a file, not a folder"):
        install_modules(file / "modules", python=echo)
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(OutputError, match="Windows"):
        install_modules(folder, python=echo)


def test_the_default_python_is_this_one(tmp_path):
    if not Path(sys.prefix, "lib").is_dir():
        pytest.skip("no environment")
    script = install_modules(tmp_path)[0]
    assert f" {sys.executable} -I -m medrev.cli.slicer_module tensor " in script.read_text()
