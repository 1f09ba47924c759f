"""The model card of a run: what the model is, what it saw, how far it can be trusted."""

from medrev import __version__
from medrev.config.schema import Pipeline
from medrev.evaluation import Table

__all__ = ["model_card"]


def model_card(
    pipeline: Pipeline,
    *,
    parameters: int,
    scale: float,
    subjects: dict[str, int],
    step: int,
    degradations: list[str],
    table: Table | None,
) -> str:
    """Write the model card as Markdown.

    Args:
        pipeline: The experiment.
        parameters: Parameters of the translator.
        scale: Diffusivity (mm²/s) that is 1 in the network.
        subjects: Number of subjects by part.
        step: Training step of the weights that count.
        degradations: How the low-resolution twins were made (dwi, tensor, mixed).
        table: Errors on the test subjects.
    """
    data, model, method = pipeline.data, pipeline.model, pipeline.method
    factor = data.degradation.factor
    results = (
        f"{table.to_markdown()}\nOn {len(table.subjects)} test subject(s) that training never saw; "
        "mean ± standard deviation over subjects.\n"
        if table
        else "No test subjects were set aside.\n"
    )
    adversary = f"adversary x{method.adversarial_weight:g} ({method.adversarial_loss} loss)"
    return f"""# {pipeline.name}

{pipeline.description or "A reversible translator between two resolutions of diffusion tensors."}

## Model

- Task: {factor}x super-resolution of diffusion tensors; in reverse, {factor}x averaging.
- Network: {model.kind}, width {model.width}, {model.summary}, norm {model.norm}; {parameters:,} \
parameters in both directions.
- Training: {method.kind}, {adversary if method.adversarial_weight else "no adversary"}; \
weights of step {step}, seed {pipeline.seed}, {pipeline.training.precision}.
- Written by medrev {__version__}; the whole pipeline is in pipeline.yaml, versions and data in \
environment.json.

## Data

- Subjects: {", ".join(f"{count} {part}" for part, count in subjects.items())}.
- Low-resolution twins: {", ".join(degradations)} \
(dwi: mean of raw volumes over {factor}³ blocks, then fit; tensor: block mean of tensors).
- Numbers inside: diffusivity / {scale:.6g} mm²/s; components Dxx, Dxy, Dxz, Dyy, Dyz, Dzz in the \
voxel frame.

## Results

{results}
## Limits

- The output is an estimate: structures below the input's resolution come from the training data, \
not from the subject. Do not read diagnoses off it.
- Resolution, b-values, field strength and pathology unlike those of the training data are untested.
- The low-resolution input of training was made by averaging; a scanner's own low-resolution scan \
differs.
"""
