"""Sphinx: `python -m sphinx -W --keep-going docs site` builds the pages, and runs the gallery."""

import sys
import warnings
from pathlib import Path

import fastem

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "fastem"
author = "fastem developers"
copyright = "fastem developers"  # noqa: A001
release = version = fastem.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",  # formulas need no network
    "plain_formulas",
]
exclude_patterns = ["_*", "gallery", "**/sg_execution_times.rst", "sg_execution_times.rst", "auto_gallery/*.py.md5"]
suppress_warnings = ["config.cache"]  # the gallery's sort key is a class
default_role = "code"

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True}
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
copybutton_exclude = ".linenos, .gp, .go"

# The pictures: every script in docs/gallery is run, a warning or an error in one ends the build.
warnings.filterwarnings("error", module="__main__")
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "min_reported_time": 10_000,
    "doc_module": ("fastem",),
    "backreferences_dir": None,
    "image_scrapers": ("matplotlib",),
    "reset_modules": ("matplotlib", "gallery_style.reset"),
    "remove_config_comments": True,
}

# The charts of airspeed velocity, if `asv publish` has made them.
CHARTS = HERE / "_charts"
html_extra_path = []
if CHARTS.exists():
    tags.add("charts")  # noqa: F821
    extensions.append("history_chart")
    html_extra_path.append(str(CHARTS))

html_theme = "pydata_sphinx_theme"
html_title = "fastem"
html_static_path = ["_static"]
html_css_files = ["fastem.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "fastem"},
    "navigation_with_keys": False,
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "friendly",
    "pygments_dark_style": "github-dark",
}
ALONE = "start_here", "from_scikit_learn", "performance", "benchmarks", "changelog", "auto_gallery/index"
html_sidebars = {page: [] for page in (*ALONE, "add_a_family", "add_a_covariance", "add_a_source")}
