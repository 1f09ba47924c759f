#!/usr/bin/env python
"""Measure the way back of a tensor model, from fine to coarse, beside the plain block mean.

    python scripts/measure_inverse.py runs/hcp_dti_sr

Held-out subjects of the run's cohort; the reference is the low-resolution input that was made from
their raw DWI.
"""

import argparse
import sys
from pathlib import Path

from medrev.domains.kinds import dataset_of
from medrev.domains.sample import Outcome
from medrev.errors import MedrevError
from medrev.evaluation import heldout_markdown, score
from medrev.metrics import Settings
from medrev.prediction import load_model, translate
from medrev.volumes import block_mean


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="run folder")
    args = parser.parse_args()
    try:
        model = load_model(args.model, "cpu")
        dataset = dataset_of(model.pipeline, scale=model.scale)
        factor, scores = model.pipeline.data.factor, []
        for ready in dataset.prepare(dataset.members("test")):
            back = translate(model, ready.y / model.scale, inverse=True) * model.scale
            mask = (block_mean(ready.mask[None], factor)[0] >= 0.5).float()
            settings = Settings(tensors=True, edge=3)
            outputs = {"inverse": back, "block mean": block_mean(ready.y[None], factor)[0]}
            scores.append(
                score(
                    ready.id,
                    [Outcome(outputs=outputs, reference=ready.x, mask=mask, settings=settings)],
                )
            )
        print("\n\n".join(heldout_markdown(each) for each in scores))
    except MedrevError as error:
        print(f"measure_inverse: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
