"""What a classifier that was trained here says of generated or coloured images."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrev.domains.dataset import AnyDataset
from medrev.domains.domain import Domain
from medrev.domains.kinds import dataset_of, domains_of
from medrev.domains.values import Prediction, Scan
from medrev.errors import InputError
from medrev.evaluate_options import EvaluationConfig
from medrev.evaluation.case import Case
from medrev.evaluation.classes import ALL_IMAGES
from medrev.evaluation.held_out import HeldOut
from medrev.evaluation.results import Record, Results
from medrev.evaluation.score import batches
from medrev.metrics import WHOLE
from medrev.nets import Classifier, Generator, evaluating
from medrev.prediction import Model, load_model, translate

#: Images that go through a network at once.
_BATCH = 100

#: X and y in network range, (B, …), and the names of their classes.
_Batch = tuple[Tensor, Tensor, list[str | None]]


@dataclass(frozen=True)
class Judgement:
    """What a classifier says of images that a model makes.

    Attributes:
        accuracy: Share of them that have their class; None where they have none.
        real_accuracy: The same of the test part's images.
        frechet: Fréchet distance of the classifier's features between both.
        count: Images made.
    """

    accuracy: float | None
    real_accuracy: float | None
    frechet: float
    count: int

    def records(self, method: str) -> Results:
        """As results of all images together."""
        values = {"label_accuracy": self.accuracy, "frechet": self.frechet}
        return Results.of(
            Record(ALL_IMAGES, method, name, WHOLE, None, value, "")
            for name, value in values.items()
            if value is not None
        )


def judge(
    model: Model,
    classifier: Model,
    dataset: AnyDataset,
    count: int,
    *,
    members: Sequence[Any] | None = None,
    temperature: float = 1.0,
    seed: int = 0,
) -> Judgement:
    """Tell the classes of what a model makes, and of true images, and compare their features.

    Of each class ``count`` images are drawn; of test images one colouring each; or ``count`` of
    nothing. Both are seen as the pictures that their files are.

    Args:
        model: A generator, or what colours images by itself.
        classifier: Trained on images of the same size, or of the same without their padding.
        dataset: The model's data.
        count: Images made of each class, of all test images or of nothing.
        members: The images (default: those of the test part).
        temperature: Factor on the deviations of codes that are drawn.
        seed: Of what is drawn.

    Raises:
        InputError: The classifier is none, or of other classes, sizes or channels.
    """
    net = classifier.translator
    if not isinstance(net, Classifier):
        raise InputError(
            f"{classifier.pipeline.name} is no classifier (model.kind "
            f"{classifier.pipeline.model.kind}); give a run of model.kind classifier"
        )
    names = list(classifier.metadata.get("images", {}).get("classes", ()))
    own = tuple(model.metadata.get("images", {}).get("classes", ()))
    if own and list(own) != names:
        raise InputError(
            f"the classifier must tell the classes that the generator makes, got {len(names)} "
            f"classes of {classifier.pipeline.name} and {len(own)} of {model.pipeline.name}"
        )
    members = dataset.members("test") if members is None else members
    total = min(count * max(1, len(own)), len(members))
    if total < 2:
        raise InputError(f"classes are told of 2 images or more, got {total}")
    members = [members[n * len(members) // total] for n in range(total)]  # of all classes
    see = _eyes(model, classifier)
    source = torch.Generator().manual_seed(seed)

    def draw(x: Tensor) -> Tensor:
        if isinstance(generator := model.translator, Generator):
            x = x.to(model.device)
            return generator.draw(x, temperature=temperature, generator=source)[:, 0].cpu()
        return torch.stack([translate(model, each) for each in x])

    of_images = len(model.pipeline.data.input_shape) > 1
    given = _true(dataset, members) if of_images else _classes(dataset, own, count)
    made = ((x, draw(x), labels) for x, _, labels in given)
    with evaluating(net):
        (drawn, right), (seen, truly) = (
            _judged(net, names, see, batches) for batches in (made, _true(dataset, members))
        )
    return Judgement(right, truly, frechet_distance(drawn, seen), len(drawn))


def judge_runs(cases: Sequence[Case], config: EvaluationConfig) -> Results:
    """`judge` the runs of held-out samples by the classifier of the options, if there is one.

    Raises:
        InputError: They are no generated or coloured images, or `judge` refuses.
    """
    first = next(iter(cases), None)
    if config.classifier is None or not isinstance(first, HeldOut):
        return Results.of(())
    dataset = dataset_of(first.pipeline, scale=first.scale)
    if not dataset.variants:
        raise InputError(
            "--classifier judges what runs colour (data.given lightness), got "
            f"{first.pipeline.name}: leave it out"
        )
    classifier = load_model(config.classifier, config.device)
    members = [case.member for case in cases if isinstance(case, HeldOut)]
    return Results.join(
        judge(
            load_model(path, config.device), classifier, dataset, len(members), members=members
        ).records(name)
        for name, path in first.models.items()
    )


def _judged(
    net: Classifier,
    names: list[str],
    see: Callable[[Tensor, Tensor], Tensor],
    batches: Iterator[_Batch],
) -> tuple[Tensor, float | None]:
    """The features of images (N, F), and the share of them whose class is told."""
    features, right, place = [], [], next(net.parameters()).device
    for x, y, labels in batches:
        seen = torch.stack([see(*each) for each in zip(x, y, strict=True)])
        found = net.features(seen.to(place))
        features.append(found.double().cpu())
        told = net.head(found).argmax(1).tolist()
        right += [names[n] == c for n, c in zip(told, labels, strict=True) if c in names]
    return torch.cat(features), sum(right) / len(right) if right else None


def _true(dataset: AnyDataset, members: Sequence[Any]) -> Iterator[_Batch]:
    """Images, as they are."""
    for x, y, samples in batches(dataset, map(dataset.read, members)):
        yield x, y, [sample.facts.get("label") for sample in samples]


def _classes(dataset: AnyDataset, classes: tuple[str, ...], count: int) -> Iterator[_Batch]:
    """So many x of each class, or of nothing; their y is empty."""
    for number, name in enumerate(classes or (None,)):
        x = dataset.x.encode(torch.tensor([float(number)][: len(classes)]), 1.0)
        for start in range(0, count, _BATCH):
            size = min(_BATCH, count - start)
            yield x.expand(size, -1), torch.empty(size, 0), [name] * size


def _eyes(model: Model, classifier: Model) -> Callable[[Tensor, Tensor], Tensor]:
    """What brings x and y of the model, in network range, to what the classifier sees."""
    (x_of, y_of), (_, sight) = domains_of(model.pipeline), domains_of(classifier.pipeline)
    channels, sizes = classifier.pipeline.data.channels[1], classifier.pipeline.data.sample_shape

    def see(x: Tensor, y: Tensor) -> Tensor:
        pixels = pixels_of_sample(x_of, y_of, x, y)
        edges = [(has - n) // 2 for has, n in zip(pixels.shape, sizes, strict=False)]
        if min(edges) < 0 or pixels.shape[2] != channels:
            raise InputError(
                f"{classifier.pipeline.name} sees images of {sizes} with {channels} channels, got "
                f"{pixels.shape[:2]} with {pixels.shape[2]} of {model.pipeline.name}"
            )
        for axis, (edge, size) in enumerate(zip(edges, sizes, strict=True)):
            pixels = pixels.take(range(edge, edge + size), axis)
        return sight.encode(torch.from_numpy(pixels).movedim(2, 0).float(), 255.0)

    return see


def pixels_of_sample(x_of: Domain, y_of: Domain, x: Tensor, y: Tensor) -> NDArray[np.uint8]:
    """The picture ``(H, W, C)`` of y ``(C_y, I, J)``, made of x ``(C_x, …)``; in network range."""
    scan = Scan(values=x_of.decode(x, 1.0), largest=255)
    scale = y_of.result_scale(scan, {}, model_scale=1.0, input_scale=1.0)[0]
    prediction = Prediction(values=y_of.decode(y, scale), scale=scale)
    output: Any = y_of.results(prediction, scan, source=x_of)["image"]
    pixels: NDArray[np.uint8] = output.pixels
    return pixels


def frechet_distance(a: Tensor, b: Tensor) -> float:
    r"""The Fréchet distance of normal distributions with the moments of features (N, F) and (M, F).

    .. math:: |\mu_a - \mu_b|^2 + \operatorname{tr}(C_a + C_b - 2 (C_a C_b)^{1/2})

    References:
        Heusel et al. (arXiv:1706.08500), eq. 6
    """
    first, second = (torch.cov(each.T.double()) for each in (a, b))
    values = torch.linalg.eigvals(first @ second).real.clamp(min=0)
    root = values.sqrt().sum()
    shift = (a.double().mean(0) - b.double().mean(0)).square().sum()
    return float(shift + first.trace() + second.trace() - 2 * root)
