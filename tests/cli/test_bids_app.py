"""medrev-bids-app: the words of a BIDS App, a derivative dataset, a table of the group."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch

from medrev.cli.bids_app import main
from medrev.report.group import group_table
from medrev.volumes import Volume, write_nifti


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Two heads with T1w volumes of 2 mm."""
    root = tmp_path_factory.mktemp("bids app") / "data"
    for name in ("sub-01", "sub-02"):
        head = torch.zeros(1, 12, 12, 12)
        generator = torch.Generator().manual_seed(int(name[-1]))
        head[:, 2:10, 2:10, 2:10] = 500 + 50 * torch.rand(1, 8, 8, 8, generator=generator)
        folder = root / name / "anat"
        folder.mkdir(parents=True)
        affine = np.diag([2.0, 2, 2, 1])
        write_nifti(folder / f"{name}_T1w.nii.gz", Volume(head, affine))
    (root / "dataset_description.json").write_text('{"Name": "two", "BIDSVersion": "1.10.0"}')
    return root


@pytest.fixture(scope="module")
def results(dataset, tmp_path_factory):
    """Of both subjects, one after the other."""
    out = tmp_path_factory.mktemp("out") / "medrev"
    for option, label in (("--participant-label", "01"), ("--participant_label", "sub-02")):
        words = [str(dataset), str(out), "participant", option, label]
        assert main([*words, "--model", "t1-x2", "--quiet", "--no-quick-look"]) == 0
    return out


def test_participants_become_a_derivative_dataset(results):
    assert {path.name for path in results.iterdir()} == {
        "sub-01",
        "sub-02",
        "dataset_description.json",
        ".bidsignore",
    }
    described = json.loads((results / "dataset_description.json").read_text())
    assert described["DatasetType"] == "derivative"
    (sidecar,) = results.glob("sub-01/anat/*.json")
    assert json.loads(sidecar.read_text())["Sources"] == ["bids:data:sub-01/anat/sub-01_T1w.nii.gz"]


def test_the_group_is_a_table_of_the_maps(dataset, results, capsys):
    assert main([str(dataset), str(results), "group"]) == 0
    table = results / "group_maps.tsv"
    assert capsys.readouterr().out.splitlines() == [str(table), str(table.with_suffix(".json"))]
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["participant_id"] for row in rows] == ["sub-01", "sub-02"]
    assert {row["model"] for row in rows} == {"t1-x2"}
    assert all((results / row["file"]).is_file() for row in rows)
    assert all(400 < float(row["mean"]) < 600 for row in rows)
    assert all(float(row["volume_ml"]) == pytest.approx(8 * 8**3 / 1000, rel=0.1) for row in rows)
    assert json.loads(table.with_suffix(".json").read_text()).keys() == rows[0].keys()
    assert main([str(dataset), str(results), "group", "--participant-label", "02"]) == 0
    assert len(table.read_text().splitlines()) == 2
    table.write_text("mine")
    assert main([str(dataset), str(results), "group"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert table.read_text() == "mine"
    assert main([str(dataset), str(results), "group", "--overwrite"]) == 0


def test_a_subject_whose_name_begins_with_color_has_its_row(results, tmp_path):
    for file in results.glob("sub-01/anat/*_T1w.*"):
        shutil.copy(file, tmp_path / file.name.replace("sub-01", "sub-color01"))
    (row,) = group_table(tmp_path)
    assert row["participant_id"] == "sub-color01"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "out", "participant"], "bids_dir must be a folder, got nowhere"),
        (["data", "data/../data", "participant"], "output_dir must be another folder than the d"),
        (["data", "out", "group"], "run the level participant first"),
        (["data", "out", "group", "--ensemble", "2"], "--ensemble says how subjects are"),
        (["data", "out", "group", "--model", "t1-x2"], "--model says how subjects are"),
        (["data", "out", "group", "--workers", "2"], "--workers says how subjects are"),
        (["data", "out", "group", "--threads", "2"], "--threads says how subjects are"),
        (
            ["data", "out", "participant", "--participant-label", "09", "--model", "t1-x2"],
            "no such participant: 09; ",
        ),
    ],
)
def test_what_cannot_be_is_one_line_and_2(dataset, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(dataset)
    assert main(words) == 2
    (line,) = [text for text in capsys.readouterr().err.splitlines() if "error" in text]
    assert message in line
    assert not (tmp_path / "out").exists()


def test_other_levels_are_wrong_usage(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["data", "out", "session"])
    assert caught.value.code == 2
    assert "invalid choice: 'session'" in capsys.readouterr().err
