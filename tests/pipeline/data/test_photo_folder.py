"""Folders of photographs: groups that no split separates, stable ids, and a reason for every file that is not taken."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from pipeline.data.decoding.decode import decode
from pipeline.data.decoding.file_formats import MAX_BYTES
from pipeline.data.photo_folder import LONGEST_ID, REJECTED, read_photographs, write_rejections
from pipeline.data.photo_listing import ADVICE
from pipeline.data.preprocess import Pixels
from pipeline.data.records import Rejection
from pipeline.data.shards import read_index, read_pixels, write_images
from pipeline.data.storage import read_rows
from pipeline.errors import DataError

LABELS = ("no_helmet", "helmet")
ALL = (0.0, 1.0)


def scene(seed: int, size: tuple[int, int] = (48, 64)) -> Pixels:
    """Draw a smooth image, uint8 (height, width, 3) RGB, that resembles that of no other seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 6, 3)).astype(np.uint8)
    return np.asarray(PIL.Image.fromarray(coarse).resize(size, PIL.Image.Resampling.BICUBIC))


def save(path: Path, pixels: Pixels, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        save(tmp_path / "helmet" / f"h{number}.jpg", scene(number), quality=95)
        save(tmp_path / "no_helmet" / f"n{number}.png", scene(100 + number))
    return tmp_path


def test_photographs_are_sorted_by_label_and_name_and_keep_their_bytes(folder: Path) -> None:
    photographs = read_photographs(folder, LABELS, ALL, seed=1)
    assert [image.id for image in photographs.images] == [
        *(f"no_helmet-n{number}" for number in range(6)),
        *(f"helmet-h{number}" for number in range(6)),
    ]
    assert photographs.images[6].data == (folder / "helmet" / "h0.jpg").read_bytes()
    assert [image.label for image in photographs.images[5:7]] == ["no_helmet", "helmet"]
    assert (photographs.images[0].width, photographs.images[0].height) == (48, 64)
    assert photographs.readable == len(photographs.images) == 12
    assert photographs.rejections == []


def test_a_corrupt_photograph_becomes_a_rejection(folder: Path) -> None:
    (folder / "helmet" / "empty.jpg").write_bytes(b"")
    whole = (folder / "helmet" / "h0.jpg").read_bytes()
    (folder / "helmet" / "torn.jpg").write_bytes(whole[: len(whole) // 2])
    photographs = read_photographs(folder, LABELS, ALL, seed=1)
    assert [(row.image_id, row.label, row.reason) for row in photographs.rejections] == [
        ("helmet/empty.jpg", "helmet", "unreadable"),
        ("helmet/torn.jpg", "helmet", "unreadable"),
    ]
    assert "truncated" in photographs.rejections[1].detail
    assert len(photographs.images) == 12


def reasons_of(folder: Path) -> dict[str, str]:
    """Name -> reason of every file that is not taken."""
    return {row.image_id: row.reason for row in read_photographs(folder, LABELS, ALL, seed=1).rejections}


def test_every_file_of_a_folder_is_taken_or_named_with_its_reason(folder: Path) -> None:
    (folder / "helmet" / "h0.jpg").rename(folder / "helmet" / "h0.jfif")
    (folder / "helmet" / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50))
    (folder / "helmet" / "._h1.jpg").write_bytes(b"\0\x05\x16\x07")
    (folder / "helmet" / "Thumbs.db").touch()
    (folder / "helmet" / "inner").mkdir()
    save(folder / "helmet" / "inner" / "deep.jpg", scene(5))
    (folder / "helmet" / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "index.csv").write_text("file,label")
    photographs = read_photographs(folder, LABELS, ALL, seed=1)
    files = [path for path in folder.rglob("*") if path.is_symlink() or path.is_file()]
    assert len(photographs.images) + len(photographs.rejections) == len(files) == 18
    assert "helmet-h0" in {image.id for image in photographs.images}
    assert reasons_of(folder) == {
        "helmet/._h1.jpg": "system_file",
        "helmet/IMG_1.HEIC": "unreadable" if find_spec("pillow_heif") else "needs_pillow_heif",
        "helmet/Thumbs.db": "system_file",
        "helmet/gone.jpg": "broken_link",
        "helmet/inner/deep.jpg": "nested_folder",
        "index.csv": "outside_labels",
    }


def test_the_terminal_shows_numbers_by_reason_and_a_file_has_the_names(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.avif", "b.avif", "[bold]c.avif"):
        (folder / "helmet" / name).write_bytes(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1")
    (folder / "helmet" / ".DS_Store").touch()
    photographs = read_photographs(folder, LABELS, ALL, seed=1)
    write_rejections(tmp_path / "out" / REJECTED, photographs.rejections, len(photographs.images))
    printed = capsys.readouterr().err
    assert (
        f"photographs: 12 taken; 4 files were not, each named with its reason in {tmp_path}/out/{REJECTED}" in printed
    )
    assert "3 unsupported_format: of another format than JPEG, PNG, WebP or HEIC" in printed
    assert "1 system_file: left by macOS" in printed
    rows = read_rows(tmp_path / "out" / REJECTED, Rejection)
    assert rows == photographs.rejections
    assert [row.image_id for row in rows] == [
        "helmet/.DS_Store",
        "helmet/[bold]c.avif",
        "helmet/a.avif",
        "helmet/b.avif",
    ]


def test_nothing_is_printed_if_all_files_were_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rejections(tmp_path / REJECTED, [], 12)
    assert capsys.readouterr().err == ""
    assert (tmp_path / REJECTED).read_bytes() == b""


def test_every_reason_says_what_to_do() -> None:
    reasons = {"unreadable", "unsupported_format", "needs_pillow_heif", "too_large", "too_small"}
    assert reasons < set(ADVICE)
    assert all(ADVICE.values())


def test_heic_photographs_of_a_label_give_the_advice_if_none_can_be_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for number in range(6):
        (folder / "helmet" / f"h{number}.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(DataError, match=r"helmet in 6 of 12 files .*6 needs_pillow_heif; .*pip install pillow-heif"):
        read_photographs(folder, LABELS, ALL, seed=1)


@pytest.mark.parametrize("size", [(15, 40), (1, 1), (400, 20)])
def test_a_photograph_too_small_or_too_narrow_to_scale_is_named(folder: Path, size: tuple[int, int]) -> None:
    save(folder / "helmet" / "odd.png", scene(7, size))
    assert reasons_of(folder) == {"helmet/odd.png": "too_small"}


def test_a_file_larger_than_any_image_is_named_without_being_read(folder: Path) -> None:
    with (folder / "helmet" / "huge.png").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert reasons_of(folder) == {"helmet/huge.png": "too_large"}


def test_rejections_name_files_within_the_folder_only(folder: Path) -> None:
    (folder / "helmet" / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    [row] = read_photographs(folder, LABELS, ALL, seed=1).rejections
    assert row.detail.startswith("helmet/torn.jpg: cannot be decoded (")


def test_exif_orientation_gives_the_upright_size(folder: Path) -> None:
    picture = PIL.Image.fromarray(scene(50, (64, 48)))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(folder / "helmet" / "turned.jpg", exif=exif)
    images = read_photographs(folder, LABELS, ALL, seed=1).images
    turned = next(image for image in images if image.id == "helmet-turned")
    assert (turned.width, turned.height) == (48, 64)
    assert decode(turned.data).shape == (64, 48, 3)


def test_webp_is_re_encoded_without_loss_and_survives_the_shards(folder: Path, tmp_path: Path) -> None:
    save(folder / "helmet" / "phone.webp", scene(60), lossless=True)
    images = read_photographs(folder, LABELS, ALL, seed=1).images
    records = write_images(tmp_path / "shards", images, 5)
    record = next(record for record in records if record.id == "helmet-phone")
    assert np.array_equal(read_pixels(tmp_path / "shards", record), scene(60))
    assert read_pixels(tmp_path / "shards", records[0]).shape == (64, 48, 3)


def groups_of(folder: Path) -> dict[str, str]:
    return {image.id: image.group for image in read_photographs(folder, LABELS, ALL, seed=1).images}


def test_every_distinct_scene_is_a_group_of_its_own(folder: Path) -> None:
    assert len(set(groups_of(folder).values())) == 12


def test_copies_share_a_group_even_under_another_label(folder: Path) -> None:
    original = scene(0)
    buffer = io.BytesIO()
    PIL.Image.fromarray(original).save(buffer, "JPEG", quality=30)
    (folder / "helmet" / "sent_again.jpg").write_bytes(buffer.getvalue())
    save(folder / "helmet" / "smaller.png", np.asarray(PIL.Image.fromarray(original).resize((36, 48))))
    save(folder / "helmet" / "mirrored.png", original[:, ::-1])
    (folder / "no_helmet" / "misfiled.jpg").write_bytes((folder / "helmet" / "h0.jpg").read_bytes())
    groups = groups_of(folder)
    copies = ("helmet-h0", "helmet-sent_again", "helmet-smaller", "helmet-mirrored", "no_helmet-misfiled")
    assert len({groups[name] for name in copies}) == 1
    assert len(set(groups.values())) == 12


def test_a_group_is_named_after_its_contents_not_its_file(folder: Path) -> None:
    before = groups_of(folder)
    (folder / "helmet" / "h3.jpg").rename(folder / "helmet" / "zz.jpg")
    assert groups_of(folder)["helmet-zz"] == before["helmet-h3"]


def test_disjoint_parts_share_no_group_and_lose_nothing(folder: Path) -> None:
    for number in range(6):
        save(folder / "helmet" / f"again{number}.jpg", scene(number), quality=40)
    low = read_photographs(folder, LABELS, (0.0, 0.5), seed=1).images
    high = read_photographs(folder, LABELS, (0.5, 1.0), seed=1).images
    assert len(low) + len(high) == 18
    assert {image.group for image in low}.isdisjoint(image.group for image in high)
    assert min(len(low), len(high)) >= 3


def test_another_seed_assigns_other_groups_to_a_part(folder: Path) -> None:
    parts = {
        frozenset(image.id for image in read_photographs(folder, LABELS, (0.0, 0.5), seed).images) for seed in (1, 2, 3)
    }
    assert len(parts) > 1


def test_odd_file_names_give_safe_unique_ids(folder: Path) -> None:
    for number, name in enumerate(("my photo.png", "my_photo.png", "h0.png", "x" * 120 + ".png", "größe.png")):
        save(folder / "helmet" / name, scene(200 + number))
    ids = [image.id for image in read_photographs(folder, LABELS, ALL, seed=1).images]
    assert len(set(ids)) == len(ids) == 17
    assert all(len(name) <= LONGEST_ID + 9 and set(name) <= set(map(chr, range(33, 127))) for name in ids)


NAMES = (
    *(b"x" * length for length in (80, 88, 89, 90, 91, 120, 251)),
    *("头盔" * length for length in (1, 15, 40)),
    "🪖🏍️",
    "e\u0301te\u0301",
    "été",
    "line\nbreak",
    "tab\tand [bold]markup",
    "a..b",
    "-",
    "a'b\"c`d$(e)",
    b"latin-1 \xe9\xff",
)


def test_photographs_of_every_name_are_packed_and_read_back(folder: Path, tmp_path: Path) -> None:
    picture = (folder / "no_helmet" / "n0.png").read_bytes()
    for name in NAMES:
        encoded = name if isinstance(name, bytes) else name.encode()
        Path(os.fsdecode(os.fsencode(folder / "helmet") + b"/" + encoded + b".png")).write_bytes(picture)
    images = read_photographs(folder, LABELS, ALL, seed=1).images
    assert len({image.id for image in images}) == len(images) == 12 + len(NAMES)
    selfies = [dataclasses.replace(image, id=f"selfie-{image.id}") for image in images]
    records = write_images(tmp_path / "shards", selfies, 10)
    assert read_index(tmp_path / "shards") == records
    members: list[str] = []
    for shard in (tmp_path / "shards").glob("*.tar"):
        with tarfile.open(shard) as tar:
            members += tar.getnames()
    assert len(set(members)) == len(records)
    assert all(read_pixels(tmp_path / "shards", record).shape == (64, 48, 3) for record in records)


def test_a_damaged_photograph_of_every_name_is_named_in_the_file(folder: Path, tmp_path: Path) -> None:
    for name in NAMES:
        encoded = name if isinstance(name, bytes) else name.encode()
        Path(os.fsdecode(os.fsencode(folder / "helmet") + b"/" + encoded + b".png")).write_bytes(b"torn")
    rejections = read_photographs(folder, LABELS, ALL, seed=1).rejections
    write_rejections(tmp_path / REJECTED, rejections, 12)
    assert read_rows(tmp_path / REJECTED, Rejection) == rejections
    assert len({row.image_id for row in rejections}) == len(NAMES)


def test_ids_stay_unique_where_a_name_imitates_the_hash_of_another(folder: Path) -> None:
    digest = hashlib.sha256(b"helmet/a b.png").hexdigest()
    for number, name in enumerate(("a b.png", f"a_b-{digest[:8]}.png", f"a_b-{digest}.png")):
        save(folder / "helmet" / name, scene(300 + number))
    ids = [image.id for image in read_photographs(folder, LABELS, ALL, seed=1).images]
    assert len(set(ids)) == len(ids) == 15


def test_ids_of_plain_names_do_not_depend_on_other_files(folder: Path) -> None:
    before = {image.id for image in read_photographs(folder, LABELS, ALL, seed=1).images}
    save(folder / "helmet" / f"{'y' * 88}.png", scene(400))
    assert before < {image.id for image in read_photographs(folder, LABELS, ALL, seed=1).images}


def test_a_missing_folder_is_an_error_that_describes_the_layout(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such folder; expected a folder for each label"):
        read_photographs(tmp_path / "nowhere", LABELS, ALL, seed=1)


def test_a_missing_label_is_an_error_that_lists_the_folders(folder: Path) -> None:
    (folder / "no_helmet").rename(folder / "without")
    with pytest.raises(DataError, match=r"no folder no_helmet; found the folders helmet, without; expected"):
        read_photographs(folder, LABELS, ALL, seed=1)


def test_an_empty_folder_is_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match="found no folders"):
        read_photographs(tmp_path / "bare", LABELS, ALL, seed=1)
    for file in (folder / "helmet").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"helmet: no photographs among 0 entries"):
        read_photographs(folder, LABELS, ALL, seed=1)


def test_a_label_without_a_readable_photograph_is_refused(folder: Path) -> None:
    for file in (folder / "helmet").iterdir():
        file.write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"no readable photograph of helmet in 6 of 12 files cannot be decoded"):
        read_photographs(folder, LABELS, ALL, seed=1)


def test_a_part_without_photographs_of_a_label_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"part \[0.0, 1e-06\] of 12 photographs.*widen the part"):
        read_photographs(folder, LABELS, (0.0, 1e-6), seed=1)


def test_a_file_that_changed_or_vanished_since_the_folder_was_read_is_refused(folder: Path) -> None:
    images = read_photographs(folder, LABELS, ALL, seed=1).images
    save(folder / "no_helmet" / "n0.png", scene(999))
    with pytest.raises(DataError, match="changed since"):
        images[0]
    (folder / "no_helmet" / "n0.png").unlink()
    with pytest.raises(DataError, match=r"cannot be read .*expected the file"):
        images[0]
