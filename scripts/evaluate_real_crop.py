"""Score a model on real diffusion data: the in-vivo crop packaged with dipy (2 mm, 10^3 voxels).

The crop (``small_64D``: one b0, 64 directions, b = 1000) lies at the ventricles and is noisy. The
low-resolution twin is the block mean of the tensors, or the refit of block means of the signal.

    python scripts/evaluate_real_crop.py runs/hcp_dti_sr
"""

import argparse
import sys
from pathlib import Path

import torch
from dipy.data import get_fnames

from medrev.domains.sample import Outcome
from medrev.dti import fit_tensor, read_gradients
from medrev.errors import MedrevError
from medrev.evaluation import heldout_markdown, score
from medrev.metrics import BASELINES, Settings, interpolate
from medrev.prediction import load_model, translate
from medrev.volumes import block_mean, read_nifti


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="run folder or weight file")
    args = parser.parse_args()
    try:
        model = load_model(args.model, "cpu")
        files = get_fnames(name="small_64D")
        volume = read_nifti(files[0])
        gradients = read_gradients(files[1], files[2], volume.shape[0])
        gradients = gradients.in_voxel_frame(volume.affine.numpy())
        dwi = volume.as_tensor()
        mask = torch.ones(1, *dwi.shape[1:])
        high = fit_tensor(dwi, gradients, mask)
        means = block_mean(dwi[None], 2)[0]
        lows = {
            "tensor twin": block_mean(high[None], 2)[0],
            "DWI twin": fit_tensor(means, gradients, torch.ones(1, *means.shape[1:])),
        }
        for name, low in lows.items():
            outputs = {"model": translate(model, low / model.scale) * model.scale}
            outputs |= {mode: interpolate(low, 2, mode) for mode in BASELINES}
            made = Outcome(
                outputs=outputs, reference=high, mask=mask, settings=Settings(tensors=True)
            )
            print(f"{name}\n\n{heldout_markdown(score(name, [made]))}")
    except MedrevError as error:
        print(f"evaluate_real_crop: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
