"""What the pages load: our CSS and JavaScript, and two libraries, all from beside the pages.

Browsers load no ES module from a file, so the bundle of DataTables becomes a classic script that holds the module in
base64 and imports it from there.
"""

from __future__ import annotations

import base64
import re
import shutil
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

from xglue_harness.errors import LeaderboardError

OWN = ("site.css", "theme.js", "site.js", "compare.js")

_LICENCES = """Licences of what this folder holds

site.css, theme.js, site.js, compare.js: xglue-harness, Apache-2.0.

plotly.min.js: plotly.js, MIT, as the package plotly {plotly} ships it. Its banner stands at the head of the file.

datatables.js, datatables.css: DataTables (SpryMedia Ltd, MIT) with its extensions, jQuery (MIT) and others, bundled by
the package itables {itables} (MIT). Their banners stand at the head of datatables.js, and inside the bundles.

{texts}"""

_WRAPPER = """{banners}
"use strict";
window.xglueDataTables = (async () => {{
  const bytes = Uint8Array.from(atob("{module}"), (character) => character.charCodeAt(0));
  const url = URL.createObjectURL(new Blob([bytes], {{ type: "text/javascript" }}));
  try {{
    return (await import(url)).default;
  }} finally {{
    URL.revokeObjectURL(url);
  }}
}})();
"""


def write_assets(folder: Path) -> None:
    """Write all assets.

    Args:
        folder: of the assets; it is made.

    Raises:
        LeaderboardError: where the packages of the extra ``site`` are missing.
    """
    folder.mkdir(parents=True)
    for name in OWN:
        shutil.copyfile(Path(__file__).with_name("static") / name, folder / name)
    bundle = _package("itables") / "html"
    module = (bundle / "dt_bundle.js").read_bytes()
    _write(folder / "datatables.js", wrapped(module))
    shutil.copyfile(bundle / "dt_bundle.css", folder / "datatables.css")
    shutil.copyfile(_package("plotly") / "package_data" / "plotly.min.js", folder / "plotly.min.js")
    names = ("plotly", "itables")
    texts = "\n\n".join(f"Licence of {name}:\n\n{_licence(name)}" for name in names)
    versions = {name: distribution(name).version for name in names}
    _write(folder / "LICENSES.txt", _LICENCES.format(texts=texts, **versions))


def wrapped(module: bytes) -> str:
    """A classic script that imports a module that it holds, and keeps the module's banners readable.

    Args:
        module: the ES module's text.
    """
    banners = re.findall(r"/\*!.*?\*/", module.decode(), flags=re.DOTALL)
    return _WRAPPER.format(banners="\n".join(banners), module=base64.b64encode(module).decode())


def _package(name: str) -> Path:
    """Folder of an installed package, without importing it."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise LeaderboardError(f"the site needs {name}: pip install 'xglue-harness[site]'")
    return Path(next(iter(spec.submodule_search_locations)))


def _licence(name: str) -> str:
    package = distribution(name)
    for file in package.files or ():
        if file.name.upper().startswith("LICENSE") and ".dist-info" in str(file.parent):
            return Path(str(file.locate())).read_text(encoding="utf-8").strip()
    return "MIT (the installed package has no text of it)"


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
