"""A flow and what its codes are drawn from, as a translator: y is made from x and from chance."""

import math

import torch
from torch import Tensor

from medrev.errors import InputError
from medrev.nets.flows.flow import Flow
from medrev.nets.flows.prior import NormalPrior
from medrev.nets.translator import Translator, evaluating


class Generator(Translator):
    """Makes y from x: decodes a code that is drawn from a distribution.

    x is what the flow is conditioned on, or, where it has no condition, what the distribution of
    codes depends on (classes), or nothing. As a translator it gives the y of the middle of that
    distribution; `draw` draws.

    Args:
        flow: From y to codes.
        prior: What codes are drawn from.

    Example:
        >>> from medrev.nets.flows import NormalPrior, Stage, multiscale_flow
        >>> flow = multiscale_flow(shape=(1, 4, 4), stages=[Stage(couplings=2, hidden=4)])
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
        """Return ln p(y | x) in nats, (B,), of y (B, *shape) with a standard normal distribution.

        Args:
            y: Data.
            x: Conditions (B, …).
        """
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
