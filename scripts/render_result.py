"""Draw a held-out subject's input, cubic interpolation, output and reference.

python scripts/render_result.py dti-x2 --data pipelines/hcp_dti_sr.yaml --output result.png
"""

import argparse
import sys
from pathlib import Path

from medrev.config import load_pipeline
from medrev.domains.kinds import dataset_of
from medrev.errors import InputError, MedrevError
from medrev.evaluation import translate_sample
from medrev.prediction import load_model
from medrev.training import save_picture


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="run folder, weight file or shipped model")
    parser.add_argument("--data", type=Path, help="pipeline whose data is shown (default: its own)")
    parser.add_argument("--subject", help="a test subject (default: the first)")
    parser.add_argument("--output", type=Path, required=True, help="the PNG")
    args = parser.parse_args()
    try:
        model = load_model(args.model, "cpu")
        pipeline = model.pipeline if args.data is None else load_pipeline(args.data)
        data = dataset_of(pipeline, scale=model.scale)
        subjects = data.members("test")
        chosen = [s for s in subjects if args.subject in (None, s.id)]
        if not chosen:
            names = ", ".join(s.id for s in subjects)
            raise InputError(f"--subject must be one of {names}, got {args.subject}")
        sample = data.read(chosen[0])
        done = translate_sample(model, sample, data.x, data.y, inverse=data.scores_inverse)
        args.output.parent.mkdir(parents=True, exist_ok=True)
        save_picture(args.output, model, data, model.pipeline.name, [done])
    except MedrevError as error:
        print(f"render_result: error: {error}", file=sys.stderr)
        return 2
    print(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
