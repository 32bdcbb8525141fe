"""How the site is built: `make docs` puts it into build/docs."""

import sys
from pathlib import Path

import nacre

sys.path.insert(0, str(Path(__file__).parent))

project = "nacre"
author = "nacre's authors"
version = release = nacre.__version__
extensions = ["myst_parser", "sphinx_design", "sphinx.ext.autodoc", "weave", "reference"]
exclude_patterns = ["static"]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
nitpicky = True
suppress_warnings = ["ref.python"]  # types in signatures that several rooms have, such as Minimum
# These are types in signatures. What text names is py:obj, and must be there.
nitpick_ignore_regex = [("py:(class|exc|data|attr|meth|func)", ".*")]

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

html_theme = "furo"
html_title = "nacre"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_search_summary = False  # a page that is opened as a file may not fetch others
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
pygments_style = "default"
pygments_dark_style = "github-dark"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5fa8", "color-brand-content": "#1f5fa8"},
    "dark_css_variables": {"color-brand-primary": "#8ab8f0", "color-brand-content": "#8ab8f0"},
}
