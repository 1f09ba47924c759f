"""Subjects of the sample cohort: a head of a given spec, its scan, and the truth behind that."""

import numpy as np

from medrev.domains.tensor.simulation import Subject, SubjectSpec, build_head, scan_head

__all__ = ["fit_tensor", "simulate_subject", "truth_of"]


def simulate_subject(spec: SubjectSpec, seed: int, *, fine: int = 2) -> Subject:
    """Simulate one subject.

    Args:
        spec: What to simulate.
        seed: Seed of everything that is left to chance; the same seed gives the same bytes.
        fine: Sub-voxels per voxel along each axis (true partial volume: signals are averaged).
    """
    # one stream per stage: a change in one leaves the others as they were
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(4)]
    head = build_head(spec, streams[0], streams[1], fine=fine)
    return scan_head(head, spec, streams[2], streams[3])


def truth_of(subject: Subject) -> np.ndarray:
    """Tensor fitted to the noise-free signals, shape (I, J, K, 6), mm²/s, FSL frame."""
    return fit_tensor(subject.clean, subject.bvals, subject.bvecs, subject.mask)


def fit_tensor(
    signals: np.ndarray, bvals: np.ndarray, bvecs: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """Weighted least squares tensor by dipy: Dxx, Dxy, Dxz, Dyy, Dyz, Dzz, shape (I, J, K, 6)."""
    from dipy.core.gradients import gradient_table as dipy_table
    from dipy.reconst.dti import TensorModel

    table = dipy_table(bvals, bvecs=bvecs)
    inside = mask > 0
    fit = TensorModel(table, fit_method="WLS", min_signal=1e-2).fit(signals[inside].astype(float))
    rows, columns = np.triu_indices(3)
    out = np.zeros((*mask.shape, 6), np.float32)
    out[inside] = fit.quadratic_form[:, rows, columns]
    return out
