"""Sphinx configuration: Markdown by MyST, the furo theme."""

from importlib.metadata import version as installed_version

project = "medrev"
author = "medrev developers"
release = version = installed_version("medrev")

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"medrev {version}"
