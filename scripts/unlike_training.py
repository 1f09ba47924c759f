#!/usr/bin/env python
"""Does the score of a posterior tell damaged scans from clean ones?

    python scripts/unlike_training.py data/drawn --model dti-x2-posterior --rows rows.jsonl

Every scan of a cohort of raw DWI is scored as it is, and damaged in each of these ways: a lesion
of 10 mm radius (at least 2.5 voxels) in tissue, whose signals change and whose noise stays
(oedema: isotropic, 1.6e-3 mm²/s, 30 % brighter; infarct: half of the diffusivity, 30 % brighter;
bleed: 15 % of the signal); motion, every volume moved by 2 mm and turned by 2° (deviations);
b-vectors with a component turned round, or two exchanged, all six. Printed is the area under the
ROC curve against the clean scans, and the share of scans beyond the 99 % quantile of these. Of
wrong b-vectors it is a lower bound, the gain of the right ones alone, which the score of the clean
scan says. Rows are kept as they come; what is there is not computed again.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, binary_erosion
from scipy.spatial.transform import Rotation
from torch import Tensor

from medrev.config.schema import DTIData
from medrev.domains.score import LEAST, Score
from medrev.domains.tensor.degradation import crop_scan
from medrev.domains.tensor.domain import TensorDomain
from medrev.domains.tensor.find import find_cohort
from medrev.domains.tensor.reading import TensorScan, load_subject
from medrev.dti import COMPONENTS, fit_tensor
from medrev.dti.fit import Method as FitMethod
from medrev.errors import MedrevError
from medrev.prediction import Model, load_model, score_of
from medrev.volumes import voxel_size

__all__ = ["auc", "main", "scored"]

LESIONS = ("oedema", "infarct", "bleed")
KINDS = (*LESIONS, "motion", "b-vectors")
_RADIUS, _NOISE, _TISSUE_MD, _MOTION = 10.0, 1.5, 1.2e-3, 2.0


def fitted(scan: TensorScan, method: FitMethod) -> Tensor:
    """Tensors of the mask."""
    assert scan.dwi is not None
    assert scan.gradients is not None
    return (fit_tensor(scan.dwi, scan.gradients, scan.mask, method) * scan.mask).float()


def with_lesion(
    scan: TensorScan, tensors: Tensor, kind: str, rng: np.random.Generator, method: FitMethod
) -> Tensor:
    """Tensors of a scan with one lesion."""
    assert scan.dwi is not None
    assert scan.gradients is not None
    edges = np.array(voxel_size(scan.affine))
    md = (tensors[0] + tensors[3] + tensors[5]).numpy() / 3
    tissue = binary_erosion(scan.mask[0].numpy(), iterations=4) & (md < _TISSUE_MD)
    grid = np.stack(np.meshgrid(*map(np.arange, tissue.shape), indexing="ij"), axis=-1)
    centre = rng.choice(np.argwhere(tissue))
    distance = np.linalg.norm((grid - centre) * edges, axis=-1)
    share = np.clip((max(_RADIUS, 2.5 * edges.max()) - distance) / edges.mean() + 0.5, 0, 1)
    share = torch.from_numpy(share).float() * scan.mask[0]
    inside = share > 0
    old, part = tensors[:, inside], share[inside]
    water = torch.tensor([1.6e-3 * (row == column) for _, row, column in COMPONENTS])
    new = {"oedema": 0.15 * old + 0.85 * water[:, None], "infarct": 0.5 * old, "bleed": old}[kind]
    bright = 1 - 0.85 * part if kind == "bleed" else 1 + 0.3 * part
    b, g = (torch.tensor(np.array(a)).float() for a in (scan.gradients.bvals, scan.gradients.bvecs))
    pairs = [("xyz".index(row), "xyz".index(column)) for _, row, column in COMPONENTS]
    design = torch.stack([b * (1 + (i != j)) * g[:, i] * g[:, j] for i, j in pairs], 1)
    factor = bright * torch.exp(-design @ ((new - old) * part)).clamp(0.05, 20)
    noise = (1 - factor.square()).clamp(min=0).sqrt() * _NOISE
    signal = factor * scan.dwi[:, inside] + noise * torch.from_numpy(
        rng.standard_normal(factor.shape)
    )
    within = torch.ones(1, len(part), 1, 1, dtype=torch.bool)
    refit = fit_tensor(signal.float().abs()[:, :, None, None], scan.gradients, within, method)
    made = tensors.clone()
    made[:, inside] = refit[:, :, 0, 0].float()
    return made


def moved(scan: TensorScan, size: float, rng: np.random.Generator) -> TensorScan:
    """Every volume but the first moved by some mm and turned by as many degrees (deviations)."""
    assert scan.dwi is not None
    edges = np.array(voxel_size(scan.affine))
    dwi = scan.dwi.numpy().copy()
    centre = (np.array(dwi.shape[1:]) - 1) / 2
    for volume in dwi[1:]:
        turn = Rotation.from_rotvec(np.deg2rad(rng.normal(0, size, 3))).as_matrix()
        matrix = np.diag(1 / edges) @ turn @ np.diag(edges)
        offset = centre - matrix @ centre + rng.normal(0, size, 3) / edges
        volume[:] = affine_transform(volume, matrix, offset, order=3, mode="nearest").clip(min=0)
    return replace(scan, dwi=torch.from_numpy(dwi))


class Still(TensorDomain):
    """Tensors whose directions nobody doubts: lesions are looked for in places alone."""

    def mistaken(self, values: Tensor) -> dict[str, Tensor]:
        """Nothing."""
        return {}


def scored(
    scan: TensorScan, model: Model, method: FitMethod, seed: int
) -> dict[str, dict[str, Any]]:
    """Scores of a scan, as it is and damaged, by kind."""

    def score(tensors: Tensor, domain: type[TensorDomain] = TensorDomain) -> Score:
        source = domain(model.pipeline, "x")
        found = score_of(model, source, tensors, scan.mask, model.scale)
        assert found is not None
        return found.beside(source.tissue(tensors, scan.mask, scan.affine), model.metadata)

    rng = np.random.default_rng(seed)
    tensors = fitted(scan, method)
    clean = score(tensors)
    lesions = {
        kind: score(with_lesion(scan, tensors, kind, rng, method), Still).values for kind in LESIONS
    }
    return {
        "clean": clean.values,
        **lesions,
        "motion": score(fitted(moved(scan, _MOTION, rng), method)).values,
        "b-vectors": {"axes": [-gain for gain in clean.gains.values()]},
    }


def auc(clean: Sequence[float], other: NDArray[Any]) -> float:
    """Chance that a damaged scan's score is the larger one."""
    a, b = np.array(clean), other[:, None]
    return float(((b > a) + 0.5 * (b == a)).mean())


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--model", default="dti-x2-posterior")
    parser.add_argument("--rows", type=Path, default=Path("unlike_training.jsonl"))
    options = parser.parse_args(arguments)
    try:
        model, data = load_model(options.model, "cpu"), DTIData(root=options.cohort)
        cohort = find_cohort(data)
        options.rows.touch()
        rows = [json.loads(line) for line in options.rows.read_text().splitlines()]
        for number, subject in enumerate(cohort.subjects):
            if any(row["scan"] == subject.id for row in rows):
                continue
            scan = crop_scan(load_subject(subject, data), 2)
            row = {"scan": subject.id, **scored(scan, model, data.fit.method, number)}
            rows.append(row)
            with options.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(row, file=sys.stderr, flush=True)
    except MedrevError as error:
        print(f"unlike_training: error: {error}", file=sys.stderr)
        return 2
    print(
        f"{len(rows)} scans; area under the ROC curve, share beyond the 99 % quantile, and beyond "
        "what is told at least [%]"
    )
    for name in ("tail", "axes", "tissue"):
        clean = [row["clean"][name] for row in rows if name in row["clean"]]
        if not clean:
            continue
        last = np.percentile(clean, 99)
        print(f"{name:6} clean: median {np.median(clean):.3g}, 99 % quantile {last:.3g}")
        for kind in KINDS:
            some = [row[kind][name] for row in rows if name in row[kind]]
            if some:
                found = np.hstack(some)
                share = 100 * np.mean(found > last)
                told = 100 * np.mean(found > LEAST.get(name, last))
                print(f"{'':6} {kind:14} {auc(clean, found):.2f} {share:6.0f} {told:6.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
