"""What codes are drawn from, and generators: a flow with it."""

import math

import torch
from torch import Tensor, nn

from medrev.errors import InputError
from medrev.nets.flows.flow import Flow
from medrev.nets.translator import Translator, evaluating


class NormalPrior(nn.Module):
    """Standard normal in each of the D dimensions of a code."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.dimensions = dimensions

    def forward(self, noise: Tensor, x: Tensor) -> Tensor:
        """Make codes (B, n, D) of standard normal numbers (B, n, D) for conditions (B, …)."""
        return noise

    def restrict(self, z: Tensor, x: Tensor) -> Tensor:
        """Bring codes (B, D) to the space that is drawn from."""
        return z

    def deviations(self) -> Tensor:
        """Standard deviation of every dimension, (D,)."""
        return torch.ones(self.dimensions)


class RestrictedPrior(NormalPrior):
    """Standard normal in so many dimensions, zero in the others.

    Which ones is no choice of the user: `choose` takes those in which codes vary most.

    Attributes:
        index: Which ones, (used,).

    References:
        Schirrmeister et al., *Training Generative Reversible Networks* (arXiv:1806.01610), 3.1.
    """

    index: Tensor

    def __init__(self, dimensions: int, used: int) -> None:
        super().__init__(dimensions)
        self.register_buffer("index", torch.arange(used))

    def choose(self, codes: Tensor) -> None:
        """Use the dimensions in which codes (N, D) have the largest deviation."""
        deviation = codes.double().std(dim=0)
        self.index.copy_(deviation.topk(len(self.index)).indices.sort().values)

    def forward(self, noise: Tensor, x: Tensor) -> Tensor:
        """Zero outside of the used dimensions."""
        return self._only(noise)

    def restrict(self, z: Tensor, x: Tensor) -> Tensor:
        """Zero outside of the used dimensions."""
        return self._only(z)

    def deviations(self) -> Tensor:
        """1 in the used dimensions, else 0."""
        return self._only(super().deviations().to(self.index.device))

    def _only(self, z: Tensor) -> Tensor:
        return torch.zeros_like(z).index_copy(-1, self.index, z.index_select(-1, self.index))


class ClassPrior(NormalPrior):
    """A normal distribution of independent dimensions for each class, learnt.

    Attributes:
        mean: (K, D), of K classes.
        log_std: Logarithms of the standard deviations, (K, D).

    References:
        Schirrmeister et al. (arXiv:1806.01610), section 3.2.
    """

    #: Standard deviation above which a dimension is used: ten times that of the perturbation.
    USED = 0.1

    def __init__(self, dimensions: int, classes: int) -> None:
        super().__init__(dimensions)
        self.mean = nn.Parameter(torch.zeros(classes, dimensions))
        self.log_std = nn.Parameter(torch.zeros(classes, dimensions))

    @torch.no_grad()
    def fit(self, codes: Tensor, labels: Tensor) -> None:
        """Take means and deviations of codes (N, D) of every class, labels (N,), that occurs."""
        for label in labels.unique():
            of_class = codes[labels == label]
            self.mean[label] = of_class.mean(dim=0)
            if len(of_class) > 1:
                self.log_std[label] = of_class.std(dim=0).clamp(min=1e-3).log()

    def forward(self, noise: Tensor, x: Tensor) -> Tensor:
        """Scale and shift for the class of each condition (B, K)."""
        label = x.argmax(dim=1)
        return self.mean[label][:, None] + self.log_std[label].exp()[:, None] * noise

    def deviations(self) -> Tensor:
        """Means over the classes."""
        return self.log_std.detach().exp().mean(dim=0)

    def used(self) -> Tensor:
        """Whether a class uses a dimension, (K, D)."""
        return self.log_std.exp() > self.USED

    def restrict(self, z: Tensor, x: Tensor) -> Tensor:
        """The mean of its class where a dimension is not used."""
        label = x.argmax(dim=1)
        return torch.where(self.used()[label], z, self.mean[label])


class Generator(Translator):
    """Makes y from x: decodes a code that is drawn from a distribution.

    x is what the flow is conditioned on, or, where it has no condition, what the distribution of
    codes depends on (classes), or nothing. As a translator it gives the y of the middle of that
    distribution; `draw` draws.

    Example:
        >>> from medrev.config.schema import FlowModel
        >>> from medrev.nets import multiscale_flow
        >>> model = FlowModel(stages=[{"couplings": 2, "hidden": 4}])
        >>> flow = multiscale_flow(model, shape=(1, 4, 4))
        >>> generator = Generator(flow, NormalPrior(flow.dimensions))
        >>> generator.draw(torch.zeros(2, 0), 3).shape
        torch.Size([2, 3, 1, 4, 4])
    """

    has_inverse = False

    def __init__(self, flow: Flow, prior: NormalPrior) -> None:
        super().__init__()
        self.flow = flow
        self.prior = prior

    def log_prob(self, y: Tensor, x: Tensor) -> Tensor:
        """Return ln p(y | x) in nats, (B,), of y (B, *shape) with standard normal codes."""
        return self.flow.log_prob(y, self._condition(x))

    def first_nonfinite(self, y: Tensor, x: Tensor) -> str | None:
        """Name what first gives NaN or infinity; None if nothing does (`Flow.first_nonfinite`)."""
        return self.flow.first_nonfinite(y, self._condition(x))

    def encode(self, y: Tensor, x: Tensor) -> Tensor:
        """Map y (B, *shape) to codes (B, D)."""
        return self.flow.encode(y, self._condition(x))

    def decode(self, z: Tensor, x: Tensor) -> Tensor:
        """Map codes (B, D) to y (B, *shape)."""
        return self.flow.decode(z, self._condition(x))

    def draw(
        self,
        x: Tensor,
        n: int = 1,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw n of y for each of the conditions, in evaluation mode, without gradients.

        Args:
            x: Conditions (B, …).
            n: How many.
            temperature: Factor on the deviations of the distribution; 0: its middle.
            generator: Source of the random numbers, on any device; None: PyTorch's.

        Returns:
            (B, n, *shape).

        Raises:
            InputError: A number is too small.
        """
        if n < 1:
            raise InputError(f"the number of samples must be at least 1, got {n}")
        if not 0 <= temperature < math.inf:
            raise InputError(f"the temperature must be 0 or more, got {temperature}")
        device = torch.device("cpu") if generator is None else generator.device
        noise = torch.randn(len(x), n, self.flow.dimensions, generator=generator, device=device)
        with evaluating(self):
            z = self.prior(temperature * noise.to(x.device), x)
            return self.flow.decode_many(z, self._condition(x))

    def translate(self, x: Tensor) -> Tensor:
        """Make the y of the middle of the distribution."""
        zero = x.new_zeros(len(x), 1, self.flow.dimensions)
        return self.flow.decode_many(self.prior(zero, x), self._condition(x))[:, 0]

    def translate_back(self, y: Tensor) -> Tensor:
        """Refuse.

        Raises:
            InputError: Always.
        """
        raise InputError("a flow makes y from x; it has no inverse direction (encode gives codes)")

    @property
    def receptive_field(self) -> int:
        """All of it."""
        return max(self.flow.shape)

    @property
    def norm_depends_on_window(self) -> bool:
        """True: the size is fixed."""
        return True

    def _condition(self, x: Tensor) -> Tensor | None:
        return None if self.flow.condition_shape is None else x
