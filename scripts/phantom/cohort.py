"""The subjects of the sample cohort that is shipped."""

from medrev.domains.tensor.simulation import SubjectSpec

__all__ = ["COHORT"]

# fmt: off
_LOW, _MID, _HIGH = (0.0, -20.0, -16.0), (0.0, -20.0, 8.0), (0.0, -20.0, 34.0)

COHORT: tuple[SubjectSpec, ...] = (
    SubjectSpec(
        name="sub-01", shape=(66, 80, 56), voxel=(2.5, 2.5, 2.5), axes="LAS", tilt=6,
        directions=12, snr=58, averages=2, psf_width=0.35, head=0.88, mask_offset=0.0, tracts=10,
        sulci=2.5, note="whole brain",
    ),
    SubjectSpec(
        name="sub-02", shape=(74, 90, 24), axes="RAS", tilt=14, centre=_MID, directions=12, snr=50,
        psf="fourier", psf_width=0.6, noise_blur=0.25, mask_offset=1.5, md=0.97, fa=0.03,
        bundle_power=4, sulci=3.0, note="slab, basal ganglia",
    ),
    SubjectSpec(
        name="sub-03", shape=(74, 88, 25), axes="LPS", tilt=9, centre=_HIGH, directions=12, b=1100,
        b_spread=4, snr=45, averages=4, psf_width=0.2, mask_offset=-1.0, head=0.9, crispness=3.2,
        lesions=5, sulci=3.5, note="slab, vertex; lesions",
    ),
    SubjectSpec(
        name="sub-04", shape=(62, 24, 64), voxel=(2.4, 2.4, 2.4), axes="LSA", tilt=12,
        centre=(0.0, -32.0, 4.0), directions=12, b=900, snr=70, psf_width=0.4, noise_blur=0.3,
        background="air", mask_offset=2.0, mask_jitter=1.4, ventricles=0.8, atrophy=0.6, md=1.05,
        fa=-0.04, scalp=0.5, note="slab, coronal slices; wide ventricles, air kept",
    ),
    SubjectSpec(
        name="sub-05", shape=(68, 80, 26), voxel=(2.2, 2.2, 2.2), axes="RPS", tilt=20, centre=_LOW,
        directions=12, snr=52, psf="fourier", psf_width=0.4, mask_offset=0.5, bundle_power=2,
        tracts=24, sulci=2.5, note="slab, brainstem and cerebellum",
    ),
    SubjectSpec(
        name="sub-06", shape=(24, 90, 72), axes="RAS", tilt=7, centre=(28.0, -20.0, 5.0),
        directions=12, snr=52, averages=5, background="air", psf_width=0.45, noise_blur=0.45,
        mask_offset=1.0, fa=0.05, crispness=2.2, sulci=2.5,
        note="slab, sagittal, one hemisphere; air kept",
    ),
    SubjectSpec(
        name="sub-07", shape=(72, 88, 24), axes="LAS", tilt=24, centre=_MID, directions=12, b0=2,
        b=800, snr=64, psf_width=0.3, mask_offset=-0.5, ventricles=1.6, atrophy=1.0, lesions=8,
        head=0.9, md=1.08, fa=-0.05, folding=1.3, mask_jitter=1.5, sulci=5.0,
        note="slab; enlarged ventricles, lesions",
    ),
    SubjectSpec(
        name="sub-08", shape=(70, 86, 24), voxel=(2.1, 2.1, 2.4), axes="RAS", tilt=16,
        centre=(0.0, -20.0, 18.0), directions=13, snr=40, averages=2, psf="fourier", psf_width=1.0,
        mask_offset=1.0, noise_slope=0.25, note="slab, anisotropic voxels",
    ),
    SubjectSpec(
        name="sub-09", shape=(60, 76, 54), voxel=(2.5, 2.5, 2.5), axes="LPS", tilt=18,
        directions=12, b=1200, snr=58, psf_width=0.3, mask_offset=-1.5, head=0.86, crispness=3.5,
        folding=1.4, ventricles=-0.5, tracts=30, bundle_power=2.5, sulci=2.8,
        note="whole brain, tight mask",
    ),
    SubjectSpec(
        name="sub-10", shape=(72, 88, 24), axes="RPI", tilt=11, centre=(0.0, -20.0, 22.0),
        directions=12, b_spread=6, snr=50, psf_width=0.3, noise_blur=0.2, shift=0.12, dropout=1,
        mask_offset=0.5, note="slab; misaligned volumes, one dropout",
    ),
    SubjectSpec(
        name="sub-11", shape=(72, 86, 24), voxel=(2.1, 2.1, 2.1), axes="LAS", tilt=3,
        centre=(0.0, -20.0, -2.0), directions=12, snr=80, averages=4, psf_width=0.5,
        noise_blur=0.4, mask_offset=1.5, crispness=2.4, bundle_power=5, tracts=6, md=0.94, fa=0.06,
        bias=0.2, sulci=2.2, note="slab",
    ),
    SubjectSpec(
        name="sub-12", split="validation", shape=(72, 88, 24), axes="RAS", tilt=12,
        centre=(0.0, -20.0, 12.0), directions=12, snr=50, psf_width=0.3, mask_offset=0.5,
        note="slab",
    ),
    SubjectSpec(
        name="sub-13", split="test", shape=(71, 87, 25), voxel=(2.1, 2.1, 2.1), axes="RAS",
        tilt=17, centre=(0.0, -20.0, 14.0), directions=12, snr=52, averages=3, psf_width=0.35,
        noise_blur=0.2, mask_offset=0.5, note="slab, odd grid",
    ),
    SubjectSpec(
        name="sub-14", split="test", shape=(68, 80, 24), voxel=(2.2, 2.2, 2.2), axes="LAS",
        tilt=13, centre=(0.0, -20.0, 2.0), directions=12, snr=55, psf="fourier", psf_width=0.5,
        mask_offset=1.0, ventricles=0.4, note="slab",
    ),
)
# fmt: on
