"""Uploaded files on their way in: held in memory and never in a temporary file, because a file may name its patient."""

import io
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest

from diagnosis.archives import ARCHIVES


class InMemoryUploadHandler(FileUploadHandler):
    """Keeps of each picture one byte more than is accepted, so that intake can say that it is too large.

    Of an upload that is announced as larger than UPLOAD_MAX_BYTES nothing is kept, and every file of it is empty;
    is_too_large tells that to whoever asks.
    """

    def handle_raw_input(
        self,
        input_data: Any,
        META: dict,  # noqa: N803  # Django's name
        content_length: int,
        boundary: Any,
        encoding: str | None = None,
    ) -> None:
        """Look at the announced length before the first byte; the server reads no further than it."""
        self.keeps = content_length <= settings.UPLOAD_MAX_BYTES
        if self.request is not None:
            self.request.META[TOO_LARGE] = not self.keeps

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Start a file."""
        super().new_file(*args, **kwargs)
        self.file = io.BytesIO()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Keep what is within the limit, and hand nothing on."""
        if start == 0:
            is_archive = raw_data.startswith(ARCHIVES)
            self.most = settings.UPLOAD_MAX_BYTES if is_archive else settings.INTAKE_MAX_BYTES + 1
        if self.keeps:
            self.file.write(raw_data[: max(0, self.most - self.file.tell())])

    def file_complete(self, file_size: int) -> InMemoryUploadedFile:
        """Give the file with what was kept of it."""
        size = self.file.tell()
        self.file.seek(0)
        return InMemoryUploadedFile(
            file=self.file,
            field_name=self.field_name,
            name=self.file_name,
            content_type=self.content_type,
            size=size,
            charset=self.charset,
            content_type_extra=self.content_type_extra,
        )


TOO_LARGE = "diagnosis.upload_is_too_large"


def is_too_large(request: HttpRequest) -> bool:
    """Tell whether the files of this request were dropped because all of it is larger than UPLOAD_MAX_BYTES."""
    request.FILES  # noqa: B018  # reads the request, unless that was done before
    return bool(request.META.get(TOO_LARGE))
