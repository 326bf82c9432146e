"""Weights on the Hugging Face Hub: an address in place of a path, fetched once into the cache that the Hub's own tools keep.

    hf://OWNER/REPO                          its model.safetensors
    hf://OWNER/REPO/FOLDER/FILE.safetensors  another file
    hf://OWNER/REPO@REVISION/...             as a branch, a tag or a commit has it

Only safetensors files are read: unpickling a file executes code.
"""

import os
import re

from byhand.errors import FileError
from byhand.text import one_line

ADDRESS = re.compile(
    r"hf://(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>refs/(pr|convert)/\w+|[^/@\s]+))?(/(?P<file>\S+))?", re.ASCII
)
DEFAULT_FILE = "model.safetensors"
SUFFIX = ".safetensors"


def local_file(path: str | os.PathLike[str]) -> str:
    """Return the path of a weights file: as it is given, or where a file of the Hub is now, `hf://OWNER/REPO`.

    Raises FileError where the address is none, or the Hub does not give the file.

    >>> local_file("weights.safetensors")
    'weights.safetensors'
    >>> local_file("hf://timm/resnet18.tv_in1k/pytorch_model.bin")
    Traceback (most recent call last):
    byhand.errors.FileError: hf://timm/resnet18.tv_in1k/pytorch_model.bin is no safetensors file, and byhand reads no other; ...
    """
    address = os.fspath(path)
    if not address.startswith("hf:"):
        return address
    found = ADDRESS.fullmatch(address)
    if found is None or {".", ".."} & set(re.split(r"[/@\\]", address)):
        raise FileError(f"{address} is no file of the Hub; expected hf://OWNER/REPO[@REVISION][/FILE{SUFFIX}]")
    file = found["file"] or DEFAULT_FILE
    if not file.endswith(SUFFIX):
        raise FileError(f"{address} is no safetensors file, and byhand reads no other; look for one in {found['repo']}")
    return _fetch(address, found["repo"], file, found["revision"])


def _fetch(address: str, repo: str, file: str, revision: str | None) -> str:
    """Return where a file of the Hub is on this machine, downloaded where it is not yet."""
    try:
        import huggingface_hub  # noqa: PLC0415  (an extra)
        from huggingface_hub import errors  # noqa: PLC0415
    except ImportError:
        raise FileError(f"{address} is on the Hugging Face Hub; to read it: pip install 'byhand[hub]'") from None
    try:
        return str(huggingface_hub.hf_hub_download(repo, file, revision=revision))
    except errors.GatedRepoError:
        reason = f"its owner asks for consent; give it on the page of {repo}, then: hf auth login"
    except errors.RepositoryNotFoundError:
        reason = f"there is no repository {repo}, or it is private (then: hf auth login)"
    except errors.RevisionNotFoundError:
        reason = f"{repo} has no revision '{revision}'"
    except errors.LocalEntryNotFoundError as error:  # an EntryNotFoundError too
        reason = f"the Hub does not answer, and the file is not in the cache ({_reason(error.__cause__ or error)})"
    except errors.EntryNotFoundError:
        reason = f"{repo} holds no {file}"
    except Exception as error:  # the HTTP library's, the system's: which ones changes with the version
        reason = _reason(error)
    raise FileError(f"can't fetch {address}: {reason}")


def _reason(error: BaseException) -> str:
    return one_line(Exception(error)) or type(error).__name__
