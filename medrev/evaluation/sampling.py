"""What a generator makes, as rows of pictures: draws, interpolations, style axes, transfers."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrev.domains.dataset import AnyDataset
from medrev.domains.kinds import dataset_of, domains_of
from medrev.errors import InputError
from medrev.evaluation.judging import pixels_of_sample
from medrev.nets import ClassPrior, NormalPrior, evaluating
from medrev.options import HOTTEST
from medrev.prediction.model import Model, generator_of

#: Images whose codes the style axes are found from.
_CODES = 2000
#: How far a dimension or an axis is followed, in standard deviations.
_REACH = 3.0
#: Axes that are shown.
_AXES = 4


@dataclass(frozen=True, eq=False)
class Grid:
    """Pictures in rows and columns.

    Attributes:
        pixels: ``(rows, columns, H, W, C)``, uint8.
        rows: What each row is.
        columns: What each column is.
        facts: What was measured on the way.
    """

    pixels: NDArray[np.uint8]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    facts: dict[str, Any]

    def picture(self, gap: int = 1) -> NDArray[np.uint8]:
        """All in one, ``(H, W, C)``, white between them."""
        rows, columns, height, width, channels = self.pixels.shape
        sheet = np.full(
            (rows * (height + gap) - gap, columns * (width + gap) - gap, channels), 255, np.uint8
        )
        for i, j in np.ndindex(rows, columns):
            top, left = i * (height + gap), j * (width + gap)
            sheet[top : top + height, left : left + width] = self.pixels[i, j]
        return sheet


class Sampler:
    """Makes pictures with a generator.

    Raises:
        InputError: The model is of another kind, or the temperature below 0 or above 100.
    """

    def __init__(self, model: Model, *, temperature: float = 1.0, seed: int = 0) -> None:
        if not 0 <= temperature <= HOTTEST:
            raise InputError(
                f"the temperature must be 0 or more, got {temperature} (at most {HOTTEST})"
            )
        self.model, self.net = model, generator_of(model)
        self.temperature, self.seed = temperature, seed
        self.x, self.y = domains_of(model.pipeline)
        self.classes: tuple[str, ...] = tuple(model.metadata.get("images", {}).get("classes", ()))

    @functools.cached_property
    def dataset(self) -> AnyDataset:
        """The data of the model's run.

        Raises:
            InputError: It is not where it was.
        """
        return dataset_of(self.model.pipeline)

    def draw(self, count: int, classes: Sequence[str] = ()) -> Grid:
        """Draws: of every class the same codes; of test images several each; or of nothing."""
        noise = self._noise(count)
        given = self._given(classes, 8)
        rows = [
            self._decoded(noise, x) + ([] if y is None else [self._pixels(y, x)])
            for x, y, _ in given
        ]
        columns = [f"draw {n + 1}" for n in range(count)]
        columns += [] if given[0][1] is None else ["true"]
        return self._grid(rows, [name for *_, name in given], columns)

    def scale(self, count: int, classes: Sequence[str] = ()) -> Grid:
        """A code of typical length, times factors from 0 to 2 (cINN, figure 14)."""
        noise = self._noise(1)
        factors = torch.linspace(0, 2, count)[:, None]
        codes = factors * noise * self.net.flow.dimensions**0.5 / noise.norm()
        given = self._given(classes, 4)
        rows = [self._decoded(codes, x, temperature=1.0) for x, _, _ in given]
        steps = tuple(f"{factor:.3g}" for factor in factors[:, 0].tolist())
        return self._grid(rows, [name for *_, name in given], steps)

    def interpolate(self, first: int, second: int, count: int) -> Grid:
        """From the code of one test image to that of another, in full and in restricted space."""
        (x, a, name), (other, b, other_name) = self._test([first, second])
        both = torch.stack([x, other])
        codes = self._there(self.net.encode, torch.stack([a, b]), both)
        shares = torch.linspace(0, 1, count)[:, None]
        rows = [
            self._of_codes((1 - shares) * z[0] + shares * z[1], x.expand(count, *x.shape))
            for z in (codes, self._there(self.net.prior.restrict, codes, both))
        ]
        steps = tuple(f"{share:.3g}" for share in shares[:, 0].tolist())
        title = f"{name} to {other_name}"
        return self._grid(rows, (f"{title}, full", f"{title}, restricted"), steps)

    def sweep(self, dimensions: Sequence[int], count: int, classes: Sequence[str] = ()) -> Grid:
        """Codes whose dimensions go, one by one, from −3 to 3 standard deviations.

        Dimensions are numbers from 0; with classes codes are those of the first.
        """
        size = self.net.flow.dimensions
        wrong = [n for n in dimensions if not 0 <= n < size]
        if wrong:
            raise InputError(f"the code has the dimensions 0 to {size - 1}, got {wrong[0]}")
        steps = torch.linspace(-_REACH, _REACH, count)
        rows = []
        for dimension in dimensions:
            noise = torch.zeros(count, size)
            noise[:, dimension] = steps
            rows.append(self._decoded(noise, self._shown(classes, count), temperature=1.0))
        return self._grid(rows, [f"dimension {n}" for n in dimensions], _signed(steps))

    def widest(self, number: int, count: int, classes: Sequence[str] = ()) -> Grid:
        """`sweep` of the dimensions that vary most, means over classes.

        Raises:
            InputError: The code has fewer that vary, or all of them vary alike.
        """
        prior = self.net.prior
        deviations = prior.deviations()
        most = int((deviations > 0).sum())
        if type(prior) is NormalPrior or not 0 < number <= most:
            raise InputError(
                f"--widest must be 1 to the dimensions of which codes vary ({most}), of a model "
                f"whose prior is restricted or of classes, got {number} of {type(prior).__name__}"
            )
        values, indices = deviations.topk(number)
        facts: dict[str, Any] = {"deviations": values.tolist()}
        if isinstance(prior, ClassPrior):
            used = prior.used().sum(dim=1).tolist()
            facts["used_dimensions"] = dict(zip(self.classes, used, strict=True))
        return replace(self.sweep(indices.tolist(), count, classes), facts=facts)

    def axes(self, count: int, classes: Sequence[str] = ()) -> Grid:
        """The first principal components of the codes of the test part (cINN, figure 4)."""
        codes = []
        total = min(_CODES, len(self.dataset.members("test")))
        for start in range(0, total, 100):
            x, y = _stacked(list(self._test(range(start, min(start + 100, total)))))
            codes.append(self._there(self.net.encode, y, x))
        z = torch.cat(codes)
        mean = z.mean(dim=0)
        _, values, vectors = torch.linalg.svd(z - mean, full_matrices=False)
        steps = torch.linspace(-_REACH, _REACH, count)
        deviations = values / max(1, len(z) - 1) ** 0.5
        rows = [
            self._of_codes(mean + (steps * deviation)[:, None] * axis, self._shown(classes, count))
            for deviation, axis in zip(deviations[:_AXES], vectors, strict=False)
        ]
        shares = (deviations.square() / deviations.square().sum()).tolist()
        names = [f"axis {n + 1}" for n in range(len(rows))]
        return self._grid(rows, names, _signed(steps), variance=shares[: len(rows)])

    def transfer(self, images: Sequence[int], count: int) -> Grid:
        """Codes of test images, decoded for other classes, or ``count`` others where x is one."""
        if self.classes:
            given = [(self._class(name), name) for name in self.classes]
        else:
            if len(self.model.pipeline.data.input_shape) == 1:
                raise InputError(
                    f"{self.model.pipeline.name} makes images from nothing: there is no other x "
                    "to transfer a code to"
                )
            given = [(x, name) for x, _, name in self._test(range(count))]
        rows, names = [], []
        for x, y, name in self._test(images):
            z = self._there(self.net.encode, y[None], x[None]).expand(len(given), -1)
            made = self._of_codes(z, torch.stack([other for other, _ in given]))
            rows.append([self._pixels(y, x), *made])
            names.append(name)
        return self._grid(rows, names, ("the image", *(name for _, name in given)))

    def reconstruct(self, count: int) -> Grid:
        """Test images, and what is decoded of their codes, restricted to the prior and in full."""
        some = list(self._test(range(count)))
        x, y = _stacked(some)
        z = self._there(self.net.encode, y, x)
        near = self._there(self.net.decode, self._there(self.net.prior.restrict, z, x), x)
        back = self._there(self.net.decode, z, x)
        rows = [
            [self._pixels(v, c) for v, c in zip(each, x, strict=True)] for each in (y, near, back)
        ]
        return self._grid(
            rows,
            ("the image", "restricted", "full"),
            [name for _, _, name in some],
            error_full=float((back - y).abs().mean()),
            error_restricted=float((near - y).abs().mean()),
        )

    # What pictures are made of.

    def _there(self, call: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """Compute where the weights are."""
        with evaluating(self.net):
            return call(*(each.to(self.model.device) for each in inputs)).cpu()

    def _noise(self, count: int) -> Tensor:
        if count < 1:
            raise InputError(f"the number of samples must be at least 1, got {count}")
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn(count, self.net.flow.dimensions, generator=generator)

    def _decoded(
        self, noise: Tensor, x: Tensor, temperature: float | None = None
    ) -> list[NDArray[np.uint8]]:
        """Pictures of codes drawn with given standard normal numbers (n, D)."""
        x = x if len(x) == len(noise) and x.dim() > 1 else x.expand(len(noise), *x.shape)
        scale = self.temperature if temperature is None else temperature
        return self._of_codes(self._there(self.net.prior, scale * noise[:, None], x)[:, 0], x)

    def _of_codes(self, z: Tensor, x: Tensor) -> list[NDArray[np.uint8]]:
        made = self._there(self.net.decode, z, x)
        return [self._pixels(y, given) for y, given in zip(made, x, strict=True)]

    def _pixels(self, y: Tensor, x: Tensor) -> NDArray[np.uint8]:
        """The picture ``(H, W, C)`` of y in network range."""
        return pixels_of_sample(self.x, self.y, x, y)

    def _class(self, name: str) -> Tensor:
        number = torch.tensor([float(self.classes.index(name))])
        return self.x.encode(number, 1.0)

    def _given(
        self, classes: Sequence[str], images: int
    ) -> list[tuple[Tensor, Tensor | None, str]]:
        """X, true y and name of what is drawn for: classes, first test images, or nothing."""
        unknown = next((name for name in classes if name not in self.classes), None)
        if self.classes and unknown is not None:
            raise InputError(
                f"{self.model.pipeline.name} was trained on the classes "
                f"{', '.join(self.classes)}, got {unknown}"
            )
        if unknown is not None:
            raise InputError(f"{self.model.pipeline.name} knows no classes, got {unknown}")
        if self.classes:
            return [(self._class(name), None, name) for name in classes or self.classes]
        if len(self.model.pipeline.data.input_shape) == 1:
            return [(torch.zeros(0), None, "drawn")]
        return list(self._test(range(images)))

    def _shown(self, classes: Sequence[str], count: int) -> Tensor:
        """X of the first class, or of the first test image, or nothing, (count, …)."""
        x = self._given(classes, 1)[0][0]
        return x.expand(count, *x.shape)

    def _test(self, numbers: Sequence[int]) -> Iterator[tuple[Tensor, Tensor, str]]:
        """X and y in network range, and the name, of images of the test part.

        Raises:
            InputError: There is no such image.
        """
        members = self.dataset.members("test")
        for number in numbers:
            if not 0 <= number < len(members):
                if isinstance(numbers, range) and number:
                    return
                raise InputError(
                    f"the test part has the images 0 to {len(members) - 1}, got {number}"
                )
            sample = self.dataset.read(members[number])
            label = sample.facts.get("label")
            name = sample.id if label is None else f"{sample.id} ({label})"
            yield *self.dataset.encoded(sample), name

    def _grid(
        self,
        rows: Sequence[Sequence[NDArray[np.uint8]]],
        names: Sequence[str],
        columns: Sequence[str],
        **facts: Any,
    ) -> Grid:
        return Grid(np.stack([np.stack(row) for row in rows]), tuple(names), tuple(columns), facts)


def _stacked(some: Sequence[tuple[Tensor, Tensor, str]]) -> tuple[Tensor, Tensor]:
    """X and y of images, (B, …) each."""
    return torch.stack([x for x, _, _ in some]), torch.stack([y for _, y, _ in some])


def _signed(steps: Tensor) -> tuple[str, ...]:
    return tuple(f"{step:+.2g} std" for step in steps.tolist())
