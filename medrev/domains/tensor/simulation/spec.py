"""What one simulated subject is."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SubjectSpec:
    """Everything about one subject that is not left to chance.

    Attributes:
        name: Participant label, e.g. "sub-01".
        split: "train", "validation" or "test".
        shape: Grid size (I, J, K).
        voxel: Voxel size in mm along each image axis.
        axes: Scanner direction in which each image axis points, e.g. "LAS".
        tilt: Oblique rotation of the grid in degrees, about a random axis.
        centre: MNI point in mm in the middle of the field of view (before the head's own pose).
        directions: Number of diffusion directions.
        b0: Number of volumes without diffusion weighting.
        b: b-value in s/mm²; `b_spread` is its standard deviation over the volumes.
        snr: White matter b0 signal over the noise of one (already averaged) volume.
        averages: Magnitude images behind every volume; few means a higher Rician floor.
        noise_blur: Gaussian width, in voxels, of the correlation a resampling leaves in noise.
        noise_slope: Relative spread of the noise level over the head (parallel imaging).
        psf: "gauss", "fourier" (k-space cut in the first two axes, with its ringing) or "window".
        psf_width: Gaussian width in voxels, or for "fourier" the apodisation from 0 to 1.
        window: For "window": the share of k-space that was measured and its apodisation from 0 to
            1, for each axis. What was not measured is filled with zeros, in the noise, too; a
            share of 0 stands for a slice profile of `psf_width`.
        head: Size of the head relative to the (large) ICBM-152 average.
        crispness: Exponent that sharpens the tissue probabilities.
        folding: Weight of the subject's own random sulci.
        sulci: How open the sulci of the atlas's own cortex are.
        ventricles: Growth (> 0) or narrowing of the ventricles.
        atrophy: Widening of the sulcal CSF.
        lesions: Number of lesion or oedema blobs.
        md: Factor on all tissue diffusivities.
        fa: Shift of white matter anisotropy.
        bundle_power: How strongly one bundle dominates where several meet.
        tracts: Number of additional random tracts.
        mask_offset: Distance in mm from the brain surface to the mask edge (> 0 is loose).
        mask_jitter: Standard deviation of that distance in mm.
        background: "zero" outside a dilated mask or "air" (noise kept).
        scalp: Signal of the scalp relative to white matter.
        bias: Spread of the receive field.
        shift: Standard deviation of the misalignment between volumes, in voxels.
        dropout: Number of volumes with a mild signal loss in a few slices.
        note: A remark for participants.tsv.
    """

    name: str
    split: str = "train"
    shape: tuple[int, ...] = (72, 88, 36)
    voxel: tuple[float, float, float] = (2.0, 2.0, 2.0)
    axes: str = "LAS"
    tilt: float = 10.0
    centre: tuple[float, ...] = (0.0, -20.0, 8.0)
    directions: int = 15
    b0: int = 1
    b: float = 1000.0
    b_spread: float = 0.0
    snr: float = 60.0
    averages: int = 3
    noise_blur: float = 0.0
    noise_slope: float = 0.1
    psf: str = "gauss"
    psf_width: float = 0.3
    window: tuple[tuple[float, float], ...] = ((1.0, 0.0), (1.0, 0.0), (0.0, 0.0))
    head: float = 0.9
    crispness: float = 2.5
    folding: float = 1.0
    sulci: float = 3.0
    ventricles: float = 0.0
    atrophy: float = 0.0
    lesions: int = 0
    md: float = 1.0
    fa: float = 0.0
    bundle_power: float = 3.0
    tracts: int = 14
    mask_offset: float = 0.5
    mask_jitter: float = 1.0
    background: str = "zero"
    scalp: float = 0.3
    bias: float = 0.12
    shift: float = 0.0
    dropout: int = 0
    note: str = "whole-brain slab"
