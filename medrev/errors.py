"""The errors a user can cause. Their message is one line: what, allowed, received, what to do."""

from collections.abc import Iterator
from contextlib import contextmanager


class MedrevError(ValueError):
    """Base of all errors that a command prints as one line and answers with exit code 2.

    Example:
        >>> import medrev
        >>> try:
        ...     medrev.load_model("dti-x3")
        ... except medrev.MedrevError as error:
        ...     print(error)
        dti-x3: no such run folder, weight file or shipped model; did you mean dti-x2?
    """


class ConfigError(MedrevError):
    """A pipeline file or an override is wrong; the message may list several errors, one a line."""


class DivergedError(MedrevError):
    """A loss or a gradient is no finite number."""


class InputError(MedrevError):
    """A volume, mask or cohort cannot be used: missing, truncated, wrong shape, NaN, empty."""


class GeometryError(InputError):
    """An affine is singular, sheared or does not fit its partner volume."""


class GradientError(InputError):
    """b-values or b-vectors are missing, of the wrong number, or not unit vectors."""


class CheckpointError(MedrevError):
    """A weight file or run folder is of another version or kind, damaged, or not safetensors."""


class OutputError(MedrevError):
    """An output exists already, or its folder cannot be written."""


class ClusterError(MedrevError):
    """A scheduler does not answer, or has no usable workers."""


def install(extra: str) -> str:
    """How packages of an extra are installed (pyproject.toml): the end of a message.

    Example:
        >>> install("onnx")
        "pip install -c constraints.txt 'medrev[onnx]' (constraints.txt: of medrev's repository)"
    """
    return (
        f"pip install -c constraints.txt 'medrev[{extra}]' "
        "(constraints.txt: of medrev's repository)"
    )


def counted(count: int, one: str, several: str = "") -> str:
    """A number and what it counts, in the singular where it is one.

    Example:
        >>> counted(1, "voxel"), counted(2, "scan"), counted(1, "voxel is", "voxels are")
        ('1 voxel', '2 scans', '1 voxel is')
    """
    return f"{count} {one if count == 1 else several or f'{one}s'}"


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Put a name before the message of an error in the block, where it is not in it already."""
    try:
        yield
    except MedrevError as error:
        if name in str(error):
            raise
        raise type(error)(f"{name}: {error}") from error


class Together:
    """Errors of several subjects, raised as one when all have been looked at.

    Example:
        >>> together = Together()
        >>> for name in ("A", "B"):
        ...     with together.of(name):
        ...         raise InputError("it is empty")
        >>> together.check()
        Traceback (most recent call last):
        medrev.errors.InputError: 2 subjects cannot be used
          A: it is empty
          B: it is empty
    """

    def __init__(self) -> None:
        self.errors: list[InputError] = []

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Keep an :class:`InputError` of the block, with the name of its subject before it."""
        try:
            with naming(name):
                yield
        except InputError as error:
            self.errors.append(error)

    def check(self) -> None:
        """Raise what was kept: a single error as it is, several as the lines of one.

        Raises:
            InputError: There was an error.
        """
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            lines = [f"  {error}" for error in self.errors]
            raise InputError("\n".join([f"{len(lines)} subjects cannot be used", *lines]))
