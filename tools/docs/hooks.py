"""What MkDocs asks while it builds the site of docs: pages of what is written elsewhere, and links as on GitHub.

Pages of ``docs/`` are as they are. Beside them stand, made here: README (the first page), CONTRIBUTING, CHANGELOG, the
notebooks of ``examples/`` with their outputs, and for ``api/<module>.md`` in the navigation the docstrings of that
module. A link to any other file leads to the repository; where its address is not known, the file is named.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
DOCS = "docs"
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files of the repository that are pages, and the names of these."""
LINK = re.compile(r"(?<!!)\[((?:[^\[\]`]|`[^`]*`)+)\]\((?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?\)")
"""A link to a file: its words, the path, the anchor."""
ITEM = re.compile(r"( *)([-*]|\d+\.) +")


def on_config(config: Any) -> Any:
    """Give the templates the repository's address; as ``repo_url`` it would make pages ask GitHub for stars."""
    config["extra"]["repository"] = repository()
    return config


def repository() -> str:
    """The address of the repository, from the distribution or the place that builds; empty where nobody knows it."""
    urls = dict(text.split(", ", 1) for text in metadata.metadata("xglue-harness").get_all("Project-URL") or ())
    server, name = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    return urls.get("Source") or (f"{server}/{name}" if server and name else "")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    for notebook in notebooks():
        files.append(File.generated(config, page_of(notebook), content=notebook_page(notebook)))
    for name in re.findall(r"'(api/[\w.]+\.md)'", repr(config["nav"])):
        module = PurePosixPath(name).stem
        files.append(File.generated(config, name, content=f"::: {module}\n"))
    return files


def notebooks() -> list[Path]:
    """All notebooks of ``examples/``."""
    return sorted((ROOT / "examples").glob("*.ipynb"))


def page_of(notebook: Path) -> str:
    """The page that a notebook becomes."""
    return f"examples/{notebook.stem}.md"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """A page as Python-Markdown has to get it, so that it shows what GitHub shows."""
    pages = {page: source for source, page in PAGES.items()}
    pages |= {page_of(notebook): f"examples/{notebook.name}" for notebook in notebooks()}
    source = pages.get(page.file.src_uri, f"{DOCS}/{page.file.src_uri}")
    return as_on_github(rewritten(markdown, source, repository()))


def on_page_content(html: str, **_: Any) -> str:
    """Docstrings' roles of Sphinx (``:func:`x```) become the bare code."""
    return re.sub(r":(?:class|data|func|math|meth|mod):<code>~?", "<code>", html)


def rewritten(text: str, source: str, address: str) -> str:
    """A page whose links to files lead to pages of the site, else to the repository.

    Args:
        text: Markdown.
        source: where it stands in the repository.
        address: of the repository; may be empty.

    Raises:
        PluginError: where a file is not there.
    """
    here = PurePosixPath(PAGES.get(source, source.removeprefix(f"{DOCS}/"))).parent

    def replaced(match: re.Match[str]) -> str:
        words, path, anchor = match[1], match[2], match[3] or ""
        target = normpath(f"{PurePosixPath(source).parent}/{path}")
        if target.startswith("..") or not (ROOT / target).exists():
            raise PluginError(f"{source}: a link to {path}, which is not there")
        page = PAGES.get(target) or (target.removeprefix(f"{DOCS}/") if target.startswith(f"{DOCS}/") else None)
        if target.endswith(".ipynb"):
            page = page_of(ROOT / target)
        if page is not None:
            return f"[{words}]({relpath(page, here)}{anchor})"
        if address:
            return f"[{words}]({address}/blob/main/{target}{anchor})"
        return words if words.strip("`") in target else f"{words} (`{target}`)"

    return outside_fences(text, lambda part: LINK.sub(replaced, part))


def as_on_github(text: str) -> str:
    """Lists as Python-Markdown sees them: what belongs to an item gets four blanks, a list a blank line before it.

    Comments go: they speak to tests.
    """
    lines: list[str] = []
    items: list[int] = []
    """Where the text of the items begins that a line may belong to, from the outermost."""
    shift = 0
    fence = False
    for line in text.splitlines():
        bare = line.lstrip(" ")
        indent = len(line) - len(bare)
        if not fence and re.fullmatch(r"<!--.*-->", bare):
            continue
        if not fence and bare:
            while items and indent < items[-1]:
                items.pop()
            shift = 4 * len(items) - (items[-1] if items else 0)
            if item := ITEM.match(line):
                before = lines[-1] if lines else ""
                if not items and before.strip() and not ITEM.match(before) and not before.startswith("    "):
                    lines.append("")
                lines.append(f"{' ' * (4 * len(items))}{bare}")
                items.append(item.end())
                continue
        lines.append(f"{' ' * shift}{line}" if bare else "")
        if bare.startswith("```"):
            fence = not fence
    return "\n".join([*lines, ""])


def outside_fences(text: str, change: Callable[[str], str]) -> str:
    """A page whose code stays as it is."""
    parts = re.split(r"(^ *```.*?^ *```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if number % 2 else change(part) for number, part in enumerate(parts))


def notebook_page(path: Path) -> str:
    """A notebook as Markdown, with its outputs.

    Args:
        path: of the ``.ipynb``.

    Raises:
        PluginError: for an output that is neither text nor a picture nor a small table.
    """
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = [part for cell in cells for part in _cell(cell, path.name)]
    parts.insert(1, f"*This page is the notebook `examples/{path.name}`. It runs as it stands, without a network.*")
    return "\n\n".join(parts)


def _cell(cell: dict[str, Any], name: str) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            yield f"```text\n{''.join(output['text']).rstrip()}\n```"
            continue
        data = output.get("data", {})
        if "image/png" in data:
            encoded = base64.b64encode(base64.b64decode("".join(data["image/png"]))).decode()
            yield f"![{''.join(data.get('text/plain', 'a figure'))}](data:image/png;base64,{encoded})"
        elif "text/markdown" in data:
            yield "".join(data["text/markdown"])
        elif "text/plain" in data:
            yield f"```text\n{''.join(data['text/plain'])}\n```"
        else:
            raise PluginError(f"{name}: an output of the form {', '.join(data) or output['output_type']}")
