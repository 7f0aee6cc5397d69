"""Names that people give to files, and names and numbers that the site gives: none leads out of its place."""

import io
import re
import stat
import uuid
import zipfile
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from diagnosis.models import Scan, Upload
from diagnosis.tests.attackers.doors import address_of, ask, doors, routes
from diagnosis.tests.pictures import chest_like, encoded

NEW = "/scans/new/"
HOSTILE = (
    "../../../../tmp/evil.png",
    "/etc/cron.d/evil.png",
    "..\\..\\evil.png",
    "C:\\Windows\\evil.png",
    "media/../../evil.png",
    "\\\\server\\share\\evil.png",
    "evil\r\nSet-Cookie: a=b.png",
    "e\u202egnp.exe.png",
    "x" * 5000 + ".png",
    "evil.png\0.html",
    "~/evil.png",
    "$(touch evil).png",
)


def a_chest(seed: int) -> bytes:
    return encoded(chest_like(120, 120, seed=seed), "PNG")


def everything_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_names_in_an_uploaded_archive_are_never_used_as_paths_nor_kept(house, sent, media, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for seed, name in enumerate(HOSTILE):
            archive.writestr(name, a_chest(seed))
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    before = everything_below(tmp_path) - everything_below(media)

    response = house.client_of("owner").post(NEW, {"image": SimpleUploadedFile("../../study.zip", buffer.getvalue())})

    assert response.status_code == 302
    upload = Upload.objects.order_by("-created_at").first()
    # What begins with a dot is taken for what a system hides.
    assert upload.scans.count() == len([name for name in HOSTILE if not name.startswith("..\\")])
    assert [refused["code"] for refused in upload.refused] == ["NOT_A_PICTURE"], "a link is only its text"
    assert all(re.fullmatch(r"File \d+ of 12", scan.original_name) for scan in upload.scans.all())
    assert everything_below(tmp_path) - everything_below(media) == before
    assert not Path("/tmp/evil.png").exists()
    for path in everything_below(media):
        assert re.fullmatch(r"([\w-]+/)+[0-9a-f]{2}/[0-9a-f]{32}\.(png|jpg)", str(path.relative_to(media)))


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:30])
def test_of_a_files_own_name_nothing_but_a_name_is_kept(house, sent, media, name):
    before = set(Scan.objects.values_list("pk", flat=True))
    response = house.client_of("owner").post(NEW, {"image": SimpleUploadedFile(name, a_chest(77))})
    assert response.status_code == 302
    scan = Scan.objects.exclude(pk__in=before).get()
    assert not re.search(r"[/\\\0\r\n\u202e]", scan.original_name)
    assert 0 < len(scan.original_name) <= 255
    assert re.fullmatch(r"scans/[0-9a-f]{2}/[0-9a-f]{32}\.png", scan.picture.name)


def test_names_in_the_archive_that_is_given_out_stay_in_its_folder(house):
    Scan.objects.filter(pk=house.scan.pk).update(original_name="../../evil.png", reference="../../evil")
    response = house.client_of("owner").get("/accounts/everything.zip")
    with zipfile.ZipFile(io.BytesIO(response.getvalue())) as archive:
        names = archive.namelist()
    assert len(names) > 4
    assert [name for name in names if not re.fullmatch(r"([\w-]+/)*[\w-]+\.\w+", name)] == []


def test_what_belongs_to_a_person_has_a_random_number_of_122_bits(house):
    for row in (house.scan, house.prediction, house.upload):
        assert row.pk.version == 4
        assert row.pk.variant == uuid.RFC_4122


def test_no_address_outside_the_admin_counts_anything():
    outside = [route for route in routes() if not route.startswith("admin/")]
    assert len(outside) > 50
    # The link in a mail for a new password names its own reader's account, beside a secret.
    counted = {route for route in outside if re.search(r"<int:|\bid>|\(\?P<(?!key)", route)}
    assert counted == {r"accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$"}


def test_no_page_and_no_answer_to_a_program_tells_a_number_that_counts_scans_or_people(house):
    alice = house.people["owner"].pk
    for door in doors():
        if door.method != "GET" or not door.opens_for("owner") or door.route.startswith("admin/"):
            continue
        response = ask(door, "owner", house)
        if response.streaming or not response["Content-Type"].startswith(("text/html", "application/json")):
            continue
        links = re.findall(r'(?:href|src|action|hx-get|data-[\w-]+)="([^"]*)"', response.text)
        assert [link for link in links if re.search(rf"(/|=){alice}\b(/|$|&)", link)] == [], door
        assert not re.search(r'"(id|pk|owner|owner_id|user|user_id)": ?\d', response.text), door


def test_a_scan_of_a_guessed_number_is_as_little_there_as_one_that_never_was(house):
    browser = house.client_of("stranger")
    for door in doors():
        if door.method == "GET" and "<uuid:scan_id>" in door.route and not door.is_api:
            there = address_of(door.route, house)
            nowhere = there.replace(str(house.scan.pk), str(uuid.uuid4()))
            pages = [re.sub(r'value="\w{64}"', "", browser.get(address).text) for address in (there, nowhere)]
            assert pages[0] == pages[1]
