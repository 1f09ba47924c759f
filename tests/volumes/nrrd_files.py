"""NRRD files for tests, and the one line that a damaged volume is told by."""

import pytest

from medrev.errors import InputError
from medrev.volumes import read_volume


def message_of(path, error=InputError):
    with pytest.raises(error) as caught:
        read_volume(path)
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    return text
