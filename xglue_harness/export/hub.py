"""Bring an exported folder to the Hugging Face Hub."""

from __future__ import annotations

import re
from pathlib import Path

from xglue_harness.errors import DataError

_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def check_name(name: str) -> None:
    """Refuse what is no name of a repository, before anything is done for it.

    Raises:
        DataError: for such a name.
    """
    if not _NAME.fullmatch(name):
        raise DataError(f"--push {name!r}: expected ORG/NAME, a repository on the Hub")


def push(folder: Path, name: str, message: str) -> str:
    """Upload a folder as one commit to a repository, which is made, for its owner's eyes only, where there is none.

    Args:
        folder: that was written.
        name: of the repository.
        message: of the commit.

    Returns:
        The commit's address.

    Raises:
        DataError: where the Hub can't be reached, or refuses; the folder stays.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        api.create_repo(name, private=True, exist_ok=True)
        return str(api.upload_folder(repo_id=name, folder_path=folder, commit_message=message).commit_url)
    except Exception as error:  # the Hub's client, its HTTP library and the server raise what they like
        cause = " ".join(str(error).split())[:300]
        raise DataError(
            f"{folder} is written, but could not be pushed to {name} ({type(error).__name__}: {cause}): see that the "
            f"Hub can be reached and that you are logged in (`hf auth login`), then `hf upload {name} {folder}`"
        ) from None
