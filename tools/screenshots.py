"""Pictures of every page of a site, to look at.

python -m tools.screenshots SITE OUT
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.leaderboard.site_helpers import BROWSERS, browser_path, open_browser

WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")


def main() -> None:
    """Take a full-page PNG of each page at each width, light and dark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=Path, help="folder that 'xglue-harness leaderboard build' wrote")
    parser.add_argument("out", type=Path, help="folder of the pictures; it is made")
    arguments = parser.parse_args()
    pages = sorted(arguments.site.resolve().glob("*.html"))
    if not pages:
        sys.exit(f"{arguments.site}: no pages; build them: xglue-harness leaderboard build {arguments.site}")
    path = browser_path()
    if path is None:
        sys.exit(f"no browser: expected {', '.join(BROWSERS)} on the PATH; install one, as in apt-get install chromium")
    try:
        take(pages, arguments.out, path)
    except ImportError:
        sys.exit("no playwright: pip install 'xglue-harness[test]'")


def take(pages: list[Path], out: Path, path: str) -> None:
    """Take the pictures.

    Args:
        pages: the HTML files.
        out: folder of the pictures.
        path: of the browser.
    """
    out.mkdir(parents=True, exist_ok=True)
    with open_browser(path) as browser:
        for width in WIDTHS:
            for scheme in SCHEMES:
                page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
                for file in pages:
                    picture(page, file, out / f"{file.stem}-{width}-{scheme}.png")
                page.close()


def picture(page: object, file: Path, out: Path) -> None:
    """Take one picture, once tables and figures are there.

    Args:
        page: Playwright's.
        file: the HTML file.
        out: the PNG.
    """
    page.goto(file.as_uri())  # type: ignore[attr-defined]
    page.wait_for_load_state("networkidle")  # type: ignore[attr-defined]
    page.wait_for_timeout(400)  # type: ignore[attr-defined]
    page.screenshot(path=str(out), full_page=True)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
