"""Gradients, tables, JSON and pipelines."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fuzzing.case import Files, each_of, files_in, first_file
from medrev.config import load_pipeline
from medrev.config.schema import DTIData
from medrev.domains.tensor import find_cohort
from medrev.dti import Gradients, read_gradients
from medrev.evaluation import Results, heldout_markdown, read_heldout
from medrev.texts import read_json, read_table, read_text

PIPELINE: Mapping[str, Any] = {
    "name": "tiny",
    "seed": 3,
    "data": {"root": "cohort", "patches": {"size": 8}, "augmentation": {"noise": 1e-5}},
    "model": {"width": 4, "depth": 1, "norm": "none"},
    "method": {"kind": "paired", "discriminator": {"width": 4, "strided_layers": 1}},
    "training": {"steps": 4, "schedule": {"kind": "linear"}},
}


def gradient_seeds(folder: Path) -> list[Files]:
    angles = np.arange(12) + 0.5
    z, phi = angles / 12, np.pi * (1 + 5**0.5) * angles
    bvecs = np.stack([np.sqrt(1 - z**2) * np.cos(phi), np.sqrt(1 - z**2) * np.sin(phi), z], 1)
    cases = []
    for bvals in ([0, 0, *[1000] * 12], [0, 5, *[1000] * 6, *[2000] * 6]):
        gradients = Gradients(np.array(bvals, float), np.vstack([np.zeros((2, 3)), bvecs]))
        gradients.save(folder / "a.bval", folder / "a.bvec", overwrite=True)
        cases.append(files_in(folder))
    return cases


def read_gradient_files(folder: Path) -> None:
    """The gradients of 14 volumes, and the shells that a tensor is fitted to."""
    gradients = read_gradients(folder / "a.bval", folder / "a.bvec", 14)
    _ = gradients.shells
    gradients.shell(1500)


def table_seeds(folder: Path) -> list[Files]:
    rows = (
        "participant_id\tage\tsplit\ttensor\nsub-01\t31\ttrain\tt.nii\nsub-02\tn/a\ttest\tt.nii\n"
    )
    tables = {"a.tsv": rows, "a.csv": rows.replace("\t", ",")}
    return [{name: text.encode(), "t.nii": b"\0" * 400} for name, text in tables.items()]


def read_tables(folder: Path) -> None:
    """As a table, and as a list of subjects."""
    path = first_file(folder, ".tsv", ".csv")
    read_table(path)
    find_cohort(DTIData(root=folder, table=path)).part("train")


def json_seeds(folder: Path) -> list[Files]:
    results = {
        "rows": [{"subject": "a", "method": "model", "rmse": 1.5, "psnr": None}],
        "summary": {},
        "notes": ["one"],
    }
    sidecar = {"Description": "x", "TensorOrder": "fsl", "Sources": ["a.nii"], "VoxelSize": [1, 2]}
    return [{"a.json": json.dumps(document, indent=1).encode()} for document in (results, sidecar)]


def read_jsons(folder: Path) -> None:
    """As a document, a held-out table and a table of results."""
    path = folder / "a.json"
    each_of(
        lambda: read_json(path),
        lambda: read_json(path, lenient=True),
        lambda: heldout_markdown(read_heldout(read_text(path))),
        lambda: Results.from_json(read_text(path)),
    )


def yaml_seeds(folder: Path) -> list[Files]:
    extended = "extends: a.yaml\nmodel:\n  depth: 2\ntraining:\n  steps: 1e3\n"
    plain = yaml.safe_dump(dict(PIPELINE), sort_keys=False).encode()
    return [{"a.yaml": plain}, {"a.yaml": plain, "b.yaml": extended.encode()}]


def read_pipelines(folder: Path) -> None:
    """The pipeline, and the one that extends it."""
    each_of(*(lambda path=path: load_pipeline(path) for path in sorted(folder.glob("*.yaml"))))
