"""Whatever the bytes: intake gives a clean picture or a refusal, and nothing else."""

import io
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diagnosis.archives import Archive, Budget
from diagnosis.intake import Limits, clean
from diagnosis.refusals import Refusal
from diagnosis.tests.archive_files import zipped
from diagnosis.tests.given_files import opened
from diagnosis.tests.pictures import chest_like, encoded

LIMITS = Limits(max_bytes=2**20, max_pixels=200_000, min_side=16)
WHOLE = [encoded(chest_like(96, 80), file_format) for file_format in ("JPEG", "PNG", "WEBP", "TIFF", "BMP")]
ARCHIVE = zipped({"a/b.png": WHOLE[1], "c.txt": b"text"})

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
some = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def taken(data: bytes) -> None:
    with suppress(Refusal):
        picture = clean(io.BytesIO(data), limits=LIMITS)
        assert picture.width * picture.height <= LIMITS.max_pixels
        assert opened(picture.png).size == (picture.width, picture.height)


@some
@given(head=st.sampled_from([b"", *(whole[:40] for whole in WHOLE)]), data=st.binary(max_size=400))
def test_bytes_behind_a_good_beginning(head, data):
    taken(head + data)


@some
@given(whole=st.sampled_from(WHOLE), share=st.floats(0, 1), put=st.binary(max_size=8), cut=st.integers(0, 8))
def test_a_picture_with_a_piece_replaced(whole, share, put, cut):
    place = int(share * len(whole))
    taken(whole[:place] + put + whole[place + cut :])


@some
@given(share=st.floats(0, 1), put=st.binary(max_size=6), cut=st.integers(0, 6))
def test_an_archive_with_a_piece_replaced(share, put, cut):
    place = int(share * len(ARCHIVE))
    data = ARCHIVE[:place] + put + ARCHIVE[place + cut :]
    try:
        members = list(Archive(io.BytesIO(data), budget=Budget(2**20, 10, 2**22)).members())
    except Refusal:
        return
    for member in members:
        if not isinstance(member, Refusal):
            taken(member.getvalue())
