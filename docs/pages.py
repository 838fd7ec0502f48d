"""What the documentation site is made of: a hook of mkdocs, named in mkdocs.yml.

The site has the shape of the repository, so that a relative link leads to the same thing in both. Tutorials are run
when it is built.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter
from nbconvert.preprocessors import ExecutePreprocessor

ROOT: Final = Path(__file__).parents[1]
DOCUMENTS: Final = (
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/**/*.md", "docs/*.jpg", "docs/*.png", "docs/*.css"),
    *("aue_crl_core/weights/README.md", "examples/README.md", "research/README.md"),
)
SOURCES: Final = (
    *("msg/*.msg", "srv/*.srv", "config/*.yaml", "config/*.json", "examples/*.py"),
    *("aue_crl_core/comparison/predictions.py", "aue_crl_core/training/directory/history.py"),
)
"""Shown as they are, because documents link to them."""
TUTORIALS: Final = ("docs/tutorials/*.ipynb",)
"""Run by their names' order in one folder: a later one reads what an earlier one has written."""
_LEXERS: Final = {".msg": "text", ".srv": "text"}
_SOURCE: Final = """---
hide: [toc]
---
# {name}

```{lexer}
{text}
```
"""
_PANDAS: Final = '<table border="1" class="dataframe">'


class Page(File):
    """A page whose source is no Markdown file."""

    def is_documentation_page(self) -> bool:
        """Whatever its name ends in."""
        return True


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """All that mkdocs found in docs/ is left to the tables above; the theme's own files are kept."""
    theme = (file for file in files if file.src_dir != config.docs_dir)
    return Files([*theme, *_documents(config), *_sources(config), *_tutorials(config)])


def _found(patterns: tuple[str, ...]) -> Iterator[str]:
    return (path.relative_to(ROOT).as_posix() for pattern in patterns for path in sorted(ROOT.glob(pattern)))


def _documents(config: MkDocsConfig) -> Iterator[File]:
    for name in _found(DOCUMENTS):
        yield File(name, str(ROOT), config.site_dir, config.use_directory_urls)


def _sources(config: MkDocsConfig) -> Iterator[File]:
    for name in _found(SOURCES):
        path = ROOT / name
        lexer = _LEXERS.get(path.suffix, path.suffix[1:])
        yield Page.generated(config, name, content=_SOURCE.format(name=name, lexer=lexer, text=path.read_text()))


def _tutorials(config: MkDocsConfig) -> Iterator[File]:
    """Each as a page with what its cells printed and drew, the drawings, and the web pages that they wrote."""
    with tempfile.TemporaryDirectory() as folder:
        for name in _found(TUTORIALS):
            notebook = nbformat.read(ROOT / name, as_version=4)
            run = ExecutePreprocessor(timeout=300, coalesce_streams=True)
            run.preprocess(notebook, {"metadata": {"path": folder}})
            text, resources = MarkdownExporter().from_notebook_node(notebook, {"unique_key": Path(name).stem})
            yield Page.generated(config, name, content=text.replace(_PANDAS, "<table>"))
            for drawing, content in resources["outputs"].items():
                yield File.generated(config, f"docs/tutorials/{drawing}", content=content)
        for page in Path(folder).glob("*.html"):
            yield File.generated(config, f"docs/tutorials/{page.name}", content=page.read_bytes())
