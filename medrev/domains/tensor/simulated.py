"""Heads that are drawn, not read: a cohort without files."""

from math import floor
from pathlib import Path
from typing import NamedTuple

import torch

from medrev.config.schema import DTIData
from medrev.data.cohort import Cohort
from medrev.data.subject import Subject
from medrev.dti import Gradients
from medrev.volumes import Volume

#: Raised whenever a head of the same number becomes another one.
VERSION = 1


class Drawn(NamedTuple):
    """A scan as its files would give it."""

    dwi: Volume
    gradients: Gradients
    mask: Volume | None


def simulated_cohort(data: DTIData) -> Cohort:
    """Heads 0, 1, 2, …: those of the test, of validation, and of the training.

    More to train on leaves the others as they were.
    """
    counts = data.simulated.counts
    subjects: list[Subject] = []
    for part in ("test", "validation", "train"):
        first = len(subjects)
        subjects += [
            Subject(f"head-{number:04d}", split=part)
            for number in range(first, first + counts[part])
        ]
    return Cohort(tuple(subjects), "simulated", Path(), data.split)


def draw(subject: Subject, data: DTIData) -> Drawn:
    """Draw a head of `simulated_cohort` and scan it.

    Raises:
        ConfigError: The package that carries the tissue maps is missing.
    """
    from medrev.domains.tensor.simulation import draw_subject

    number, drawn = int(subject.id.split("-")[1]), data.simulated
    whole = floor((number + 1) * drawn.whole) > floor(number * drawn.whole)
    scan = draw_subject(drawn.seed, number, whole=whole, edge=drawn.edge)
    return Drawn(
        Volume(torch.from_numpy(scan.dwi).movedim(-1, 0).float(), scan.affine),
        Gradients(scan.bvals, scan.bvecs, subject.id),
        None if whole else Volume(torch.from_numpy(scan.mask)[None].float(), scan.affine),
    )
