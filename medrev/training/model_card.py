"""The model card of a run: what the model is, what it saw, how far it can be trusted."""

from collections.abc import Sequence

from medrev import __version__
from medrev.config.schema import ClassifierModel, FCN8sModel, FlowModel, Model
from medrev.domains.dataset import AnyDataset
from medrev.evaluation import Results, heldout_markdown

__all__ = ["model_card"]


def model_card(
    dataset: AnyDataset,
    *,
    parameters: int,
    step: int,
    heldout: Results | None,
    warnings: Sequence[str] = (),
) -> str:
    """Write the model card as Markdown.

    Args:
        dataset: The data, and its pipeline.
        parameters: Parameters of the translator.
        step: Training step of the weights that count.
        heldout: Errors on the test part.
        warnings: What was warned of in training.
    """
    pipeline, facts = dataset.pipeline, dataset.card()
    model, method = pipeline.model, pipeline.method
    several = heldout is not None and len(heldout.subjects) > 1
    spread = f"; mean ± standard deviation over {dataset.noun}s" if several else ""
    one_way = isinstance(model, FCN8sModel | FlowModel | ClassifierModel)
    ways = "" if one_way else " in both directions"
    results = (
        f"{heldout_markdown(heldout)}\nOn {dataset.counts['test']} test {dataset.noun}(s) that "
        f"training never saw{spread}.\n"
        if heldout is not None
        else f"No test {dataset.noun}s were set aside.\n"
    )
    counts = ", ".join(f"{count} {part}" for part, count in dataset.counts.items())
    return f"""# {pipeline.name}

{pipeline.description or "A translator in two directions."}

## Model

- Task: {facts.task}.
- Network: {model.kind}, {_network(model)}; {parameters:,} parameters{ways}.
- Training: {method.kind}, {method.summary}; \
weights of step {step}, seed {pipeline.seed}, {pipeline.training.precision}.
- Written by medrev {__version__}; the whole pipeline is in pipeline.yaml, versions and data in \
environment.json.

## Data

{_items((f"{dataset.noun.capitalize()}s: {counts}.", *facts.data))}

## Results

{results}
## Limits

{_items((*facts.limits, *(f"Warning: {line}." for line in warnings)))}
"""


def _network(model: Model) -> str:
    """What a network is made of, in words."""
    if isinstance(model, FlowModel):
        return model.summary
    return f"width {model.width}, {model.summary}, norm {model.norm}"


def _items(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)
