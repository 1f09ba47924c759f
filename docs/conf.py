"""Sphinx configuration: Markdown and a notebook by MyST, the furo theme; needs no network."""

import logging
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "medrev"
author = copyright = "medrev developers"
release = version = installed_version("medrev")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
extensions += ["commands", "docstrings", "mathml"]  # of _ext
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120

autodoc_typehints = "none"  # signatures name them; docstrings say the rest
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"medrev {version}"
html_static_path = ["_static"]
html_css_files = ["medrev.css"]
html_show_sourcelink = False

logging.getLogger("medrev").setLevel(logging.WARNING)
