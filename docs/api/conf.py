"""The site of `make docs`: the pages of docs/ and an API reference from the docstrings, readable without network."""

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

import regard

project = "regard"
version = release = regard.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

# The sources are the root of the repository, so that a link between pages is the same here and on a forge.
root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "RELEASING.md", "docs/*.md", "docs/api/*.rst"]
GUIDE = ("mechanism", "network", "convolution", "tasks", "viewer", "training", "parallel", "formats")
CONTENTS = {
    "Guide": [f"docs/{name}" for name in GUIDE],
    "Measured": ["docs/results", "docs/performance", "docs/performance-gpu"],
    "API": [
        f"docs/api/{name}"
        for name in ("attention", "parallel", "tasks", "nn", "front_ends", "data", "decoding", "errors")
    ],
    "Development": ["docs/design", "CONTRIBUTING", "RELEASING", "CHANGELOG"],
}

html_theme = "furo"
html_title = f"regard {version}"
html_copy_source = False
html_show_sphinx = html_show_copyright = False
html_extra_path = ["index.html"]
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_search_summary = False  # it fetches pages, which a browser refuses where they are files

nitpicky = True  # a name in a docstring that leads nowhere is a warning

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
maximum_signature_line_length = 100
python_use_unqualified_type_names = True


def mathml(display: str) -> Any:
    """What writes a formula as MathML, which browsers draw by themselves."""

    def visit(writer: Any, node: nodes.math | nodes.math_block) -> None:
        writer.body.append(convert(node.astext(), display=display))
        raise nodes.SkipNode

    return visit


def add_contents(app: Sphinx, name: str, source: list[str]) -> None:
    """The pages in their order, at the side of all of them: no mark of it in the README."""
    if name == root_doc:
        for caption, pages in CONTENTS.items():
            source[0] += f"\n```{{toctree}}\n:caption: {caption}\n:hidden:\n\n" + "\n".join(pages) + "\n```\n"


def resolve(app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, text: nodes.Element) -> nodes.Node | None:
    """Names that docstrings give as their own module knows them; types of others in signatures are text."""
    ending = "." + node["reftarget"].removeprefix("regard.")
    objects = env.domains.python_domain.objects.items()
    found = [(name, entry) for name, entry in objects if name.endswith(ending) and not entry.aliased]
    if node["refdomain"] == "py" and len(found) == 1:
        ((name, entry),) = found
        return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, text, name)
    above = node.parent
    while above is not None and not isinstance(above, addnodes.desc_signature):
        above = above.parent
    return None if above is None else text


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("mathml", (mathml("inline"), None), (mathml("block"), None))
    app.connect("source-read", add_contents)
    app.connect("missing-reference", resolve)
