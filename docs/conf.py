"""Settings of Sphinx for the site. `docs/build.py` copies this file beside the pages and calls Sphinx."""

import os

project = html_title = "vaejax"
copyright = "the authors of vaejax"
extensions = ["myst_nb", "sphinx_copybutton"]
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
suppress_warnings = ["myst.header", "myst.xref_missing"]  # `make test-site` looks at every link in the built pages
mathjax_path = "mathjax.js"
html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
smartquotes_action = "q"  # (N, ...) keeps its three dots
html_show_sphinx = False
html_show_search_summary = False  # it would read other pages, which a browser forbids in a folder
html_use_index = html_domain_indices = False  # the search finds every name
add_module_names = False
copybutton_selector = "div.cell_input div.highlight pre"

REPOSITORY = os.environ.get("VAEJAX_REPOSITORY", "")  # its address, which a maintainer sets
html_theme_options = {
    "use_download_button": True,
    "use_fullscreen_button": False,
    "show_toc_level": 2,
    "navbar_persistent": [],
    "extra_footer": "Text CC BY 4.0, code MIT; pictures made from MNIST CC BY-SA 3.0.",
}
if REPOSITORY:
    html_theme_options |= {
        "repository_url": REPOSITORY,
        "repository_branch": "main",
        "use_repository_button": True,
        "launch_buttons": {"colab_url": "https://colab.research.google.com"},
    }


def setup(app):
    app.connect("html-page-context", _leave_out_launch_buttons, priority=900)


def _leave_out_launch_buttons(app, page, template, context, doctree):
    """A problem set as students get it is no file of the repository, so nothing can be launched from there."""
    if page.startswith("sets/"):
        buttons = context.get("header_buttons", [])
        context["header_buttons"] = [each for each in buttons if each.get("label") != "launch-buttons"]
