"""ZIP archives for tests."""

import io
import zipfile
from collections.abc import Mapping


def zipped(files: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    """Give an archive of `files`, content by path, packed by `method`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.comment = comment
        for path, content in files.items():
            archive.writestr(path, content)
    return buffer.getvalue()
