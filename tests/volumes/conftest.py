"""What several tests of files share."""

import pytest

from medrev.volumes import gzipped


@pytest.fixture(params=["isal", "stdlib"])
def gzip_library(request, monkeypatch):
    if request.param == "stdlib":
        monkeypatch.setattr(gzipped, "fast_gzip", None)
    elif gzipped.fast_gzip is None:
        pytest.skip("isal is not installed")
