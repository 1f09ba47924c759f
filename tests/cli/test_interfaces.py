"""Descriptions of commands for other programs say what the commands take, and are up to date."""

import json
import shlex
from pathlib import Path

import pytest

from medrev.cli.interfaces import COMMANDS, boutiques_descriptor, main, nipype_interface, parser_of
from medrev.errors import ConfigError

KEPT = sorted((Path(__file__).parents[2] / "deployment" / "boutiques").glob("*.json"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_the_descriptors_kept_are_those_of_the_commands(path):
    """Else: ``python -m medrev.cli.interfaces COMMAND > deployment/boutiques/COMMAND.json``."""
    assert json.loads(path.read_text(encoding="utf-8")) == boutiques_descriptor(path.stem)


def test_they_are_those_of_inference():
    assert [path.stem for path in KEPT] == ["medrev-bids-app", "medrev-infer"]


def command_line(descriptor, values):
    """What Boutiques makes of a descriptor: flags and values in place of the keys."""
    line = descriptor["command-line"]
    for each in descriptor["inputs"]:
        words = [
            each[key] for key in ("command-line-flag",) if key in each and each["id"] in values
        ]
        if each["id"] in values and each["type"] != "Flag":
            words.append(values[each["id"]])
        line = line.replace(each["value-key"], " ".join(words))
    return line.split()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_reads_what_its_descriptor_writes(command):
    descriptor, parser = boutiques_descriptor(command), parser_of(command)
    values = {
        each["id"]: "cpu" if each["id"] == "device" else str(each.get("value-choices", ["1"])[-1])
        for each in descriptor["inputs"]
        if each["id"] != "verbose"  # which excludes quiet
    }
    program, *words = command_line(descriptor, values)
    assert program == command
    parsed = vars(parser.parse_intermixed_args(words))
    for each in descriptor["inputs"]:
        value = parsed[each["id"].removeprefix("no_")]
        if each["id"] == "verbose":
            assert value is False
        elif each["type"] == "Flag":
            assert value is not each["id"].startswith("no_"), each["id"]
        else:
            (value,) = value if isinstance(value, list) else (value,)
            assert str(value) in (values[each["id"]], "1.0"), each["id"]


def test_unknown_commands_are_named(capsys):
    with pytest.raises(ConfigError, match=r"must be one of medrev-infer, .* got 'medrev-fly'"):
        boutiques_descriptor("medrev-fly")
    assert main(["medrev-fly"]) == 2
    assert "got 'medrev-fly'" in capsys.readouterr().err


def test_an_interface_of_nipype(tmp_path):
    pytest.importorskip("nipype")
    app = nipype_interface("medrev-bids-app")(
        bids_dir="/my data",
        output_dir="/out",
        analysis_level="participant",
        participant_label=["01", "02"],
        ensemble=8,
        voxel_size=[1.0, 1.0, 1.5],
        model=["a", "b"],
        no_quick_look=True,
    )
    program, *words = shlex.split(app.cmdline)
    assert (program, words[:3]) == ("medrev-bids-app", ["/my data", "/out", "participant"])
    parsed = parser_of("medrev-bids-app").parse_intermixed_args(words)
    assert parsed.participant_label == ["01", "02"]
    assert (parsed.ensemble, parsed.voxel_size) == (8, [1.0, 1.0, 1.5])
    assert [str(path) for path in parsed.model] == ["a", "b"]
    assert parsed.quick_look is False  # --no-quick-look was given
