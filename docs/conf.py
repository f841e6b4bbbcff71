"""How Sphinx builds the documents. The pages load nothing from elsewhere."""

from certledger import __version__

project = "certledger"
author = "The certledger maintainers"
copyright = author
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"

html_theme = "furo"
html_title = f"certledger {release}"
html_copy_source = False
html_show_sourcelink = False
