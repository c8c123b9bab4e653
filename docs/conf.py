"""How Sphinx makes the site: `nox -s docs`. Nothing here asks another host."""

from importlib.metadata import version as _version
from pathlib import Path as _Path
from typing import Any

project = "Superserve for Python"
release = version = _version("superserve-client")
html_title = f"{project} {release}"
html_theme = "furo"
# Its dark style underlines names of modules, as if they were links.
pygments_dark_style = "github-dark"
html_copy_source = True
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_search_scorer = str(_Path(__file__).parent / "_search" / "scorer.js")
html_show_sphinx = False
html_show_copyright = False
# What stands in single backquotes in docstrings is code.
default_role = "code"
maximum_signature_line_length = 90

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
    "sphinx_llm.txt",
]
# Drafts, notes for people who read the folder itself, and what the build writes.
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}

myst_heading_anchors = 3
# Classes of the client and of the local server share a few names: the first one that is found is the client's.
suppress_warnings = ["ref.python"]

# The inventories are files, in the form that is text: another name is a line more.
intersphinx_mapping = {
    "python": ("https://docs.python.org/3/", "_inventories/python.inv"),
    "httpx": ("https://www.python-httpx.org/", "_inventories/httpx.inv"),
}
intersphinx_timeout = 0.001

add_module_names = False
python_use_unqualified_type_names = True
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_preprocess_types = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# `tutorial.md` beside `tutorial.html`, with the docstrings in it; all of them in one file; and the list of them.
llms_txt_description = (
    "Python SDK for Superserve: templates and sandboxes, sync and async, with a local server for tests."
)
llms_txt_suffix_mode = "replace"
llms_txt_full_build = True
llms_txt_nested_enabled = False
llms_txt_exclude = ["decisions/*"]
llms_txt_suppress_unknown_node_warnings = True

# Names that are written without their module, and have no page: a type variable, an alias for what is spelt out elsewhere.
_WITHOUT_PAGE = {"Network", "Text", "T", "P", "R"}


def _resolve(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """Resolve a name as the code writes it, `superserve._sync.client.Superserve`, to the one that has a page."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    name = target.rpartition(".")[2]
    domain = env.get_domain("py")
    found = [
        known
        for known, entry in domain.objects.items()
        if known.startswith("superserve.") and known.rpartition(".")[2] == name and entry.objtype != "module"
    ]
    # The local server has classes of the same names as the client: those on the side that names it come first.
    is_local = target.startswith("superserve.local")
    if found:
        known = min(found, key=lambda known: known.startswith("superserve.local") != is_local)
        objtype = domain.objects[known].objtype
        return domain.resolve_xref(env, node["refdoc"], app.builder, objtype, known, node, contnode)
    is_private = target.startswith("superserve.") and "._" in target
    return contnode if is_private or name in _WITHOUT_PAGE else None


def _sign(*event: Any) -> Any:
    """Leave out how classes are made that are not made by calling them."""
    _app, what, _name, obj, _options, signature, returns = event
    if what in {"class", "exception"}:
        places = ("superserve.types", "superserve.specs", "superserve.local._app.limits")
        if not obj.__module__.startswith(places) and "Args:" not in (obj.__doc__ or ""):
            return "", returns
    return signature, returns


_kept: dict[str, list[str]] = {}


def _keep(*event: Any) -> None:
    """Keep a sentence with a colon from napoleon, which takes what is before the colon for a type."""
    _app, what, name, _obj, _options, lines = event
    if what in {"attribute", "property", "data"}:
        _kept[name] = lines[:]
        lines.clear()


def _put_back(*event: Any) -> None:
    """Put back what was kept from napoleon, which comes between the two."""
    _app, _what, name, _obj, _options, lines = event
    lines[:] = _kept.pop(name, lines)


def _leave_out_of_search(app: Any, _doctree: Any) -> None:
    """Keep decisions, which are for maintainers, from standing before what users look for."""
    if app.env.docname.startswith("decisions/"):
        app.env.metadata[app.env.docname]["nosearch"] = True


def setup(app: Any) -> None:
    """Connect what resolves names, reads docstrings and chooses what is searched."""
    app.connect("doctree-read", _leave_out_of_search)
    app.connect("missing-reference", _resolve)
    app.connect("autodoc-process-signature", _sign)
    app.connect("autodoc-process-docstring", _keep, priority=100)
    app.connect("autodoc-process-docstring", _put_back, priority=900)
