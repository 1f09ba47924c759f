"""The model card of a run: what the model is, what it saw, how far it can be trusted."""

from medrev import __version__
from medrev.config.schema import FCN8sModel
from medrev.evaluation import HeldoutTable
from medrev.training.tasks import Task

__all__ = ["model_card"]


def model_card(task: Task, *, parameters: int, step: int, table: HeldoutTable | None) -> str:
    """Write the model card as Markdown.

    Args:
        task: The experiment and its data.
        parameters: Parameters of the translator.
        step: Training step of the weights that count.
        table: Errors on the test part.
    """
    pipeline, facts = task.pipeline, task.card()
    model, method = pipeline.model, pipeline.method
    several = table is not None and len(table.subjects) > 1
    spread = f"; mean ± standard deviation over {facts.subject}s" if several else ""
    ways = "" if isinstance(model, FCN8sModel) else " in both directions"
    results = (
        f"{table.to_markdown()}\nOn {task.counts['test']} test {facts.subject}(s) that training "
        f"never saw{spread}.\n"
        if table
        else f"No test {facts.subject}s were set aside.\n"
    )
    counts = ", ".join(f"{count} {part}" for part, count in task.counts.items())
    return f"""# {pipeline.name}

{pipeline.description or "A translator in two directions."}

## Model

- Task: {facts.task}.
- Network: {model.kind}, width {model.width}, {model.summary}, norm {model.norm}; {parameters:,} \
parameters{ways}.
- Training: {method.kind}, {method.summary}; \
weights of step {step}, seed {pipeline.seed}, {pipeline.training.precision}.
- Written by medrev {__version__}; the whole pipeline is in pipeline.yaml, versions and data in \
environment.json.

## Data

{_items((f"{facts.subject.capitalize()}s: {counts}.", *facts.data))}

## Results

{results}
## Limits

{_items(facts.limits)}
"""


def _items(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)
