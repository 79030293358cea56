"""The documentation as a site: `make docs` writes it into `site/`.

The pages are plain Markdown, as GitHub shows it. What only the site needs is added here while Sphinx reads a page: the
navigation, and the API reference from the docstrings. Built pages ask no other server for anything.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

import lungfish as lf  # noqa: E402  of this checkout, whatever is installed

project = "Lungfish"
version = release = lf.__version__
html_title = "Lungfish"
html_theme = "furo"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 4  # the anchors that GitHub gives
default_role = "code"  # `name` in a docstring
maximum_signature_line_length = 88
autodoc_member_order = "bysource"
add_module_names = False

# page -> (caption, pages), in this order
NAVIGATION = {
    "index": [
        ("", ["Start <self>"]),
        (
            "Guides",
            [
                *("install", "photos", "training", "comparing", "explain", "weights", "repositories"),
                *("bundle", "python", "python-jobs", "gpu"),
            ],
        ),
        ("Learn", ["learn/README"]),
        ("Reference", ["api", "glossary", "benchmarks", "changelog"]),
        ("Project", ["decisions/README", "contributing", "security"]),
    ],
    "learn/README": [
        (
            "",
            [
                *("depthwise-separable", "v1-against-v2", "linear-bottleneck", "inverted-residual"),
                *("compound-scaling", "squeeze-and-excite", "numpy-network", "smaller-and-faster"),
                *("scratch-against-transfer", "parity"),
            ],
        )
    ],
    "decisions/README": [("", sorted(page.stem for page in (ROOT / "docs/decisions").glob("0*.md")))],
}


def toctree(caption: str, pages: list[str]) -> str:
    """Return a hidden table of contents, in MyST's Markdown."""
    return "\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}" if caption else "", "", *pages, "```", ""])


def reference() -> str:
    """Return autodoc directives for the public names of `lungfish`, functions before classes before errors."""
    kinds: dict[str, list[str]] = {"Functions": [], "Classes": [], "Errors": []}
    for name in sorted(set(lf.__all__) - {"__version__"}):
        value = getattr(lf, name)
        if not inspect.isclass(value):
            kinds["Functions"].append(f".. autofunction:: lungfish.{name}")
        elif issubclass(value, Exception):
            kinds["Errors"].append(f".. autoexception:: lungfish.{name}")
        else:
            kinds["Classes"].append(f".. autoclass:: lungfish.{name}\n   :members:")
    sections = ["\n".join([f"\n## {kind}\n", "```{eval-rst}", *names, "```"]) for kind, names in kinds.items()]
    return "\n".join(sections)


def complete(_app: Any, page: str, source: list[str]) -> None:
    """Add to a page what only the site has."""
    if page == "api":
        source[0] += reference()
    source[0] += "".join(toctree(*part) for part in NAVIGATION.get(page, []))


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", complete)
    return {"parallel_read_safe": True}
