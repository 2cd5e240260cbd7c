"""A bundle is exactly what SHA256SUMS lists: whatever was changed, added, linked or left out is found and named."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from export.bundle.checksums import SUMS, check_sums
from export.bundle.verify import verify
from pipeline.data.hashing import sha256_of
from tests.export.bundle.small_bundle import write_small_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_small_bundle(tmp_path)


def found(bundle: Path) -> str:
    return "\n".join(map(str, check_sums(bundle).findings))


def test_an_untouched_bundle_has_no_findings_and_its_digest_is_that_of_sha256sums(bundle: Path) -> None:
    listing = check_sums(bundle)
    assert listing.findings == ()
    assert listing.digest == sha256_of(bundle / SUMS)


@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80, 0xFF])
def test_every_changed_byte_of_sha256sums_is_found(bundle: Path, flip: int) -> None:
    whole = (bundle / SUMS).read_bytes()
    for at in range(len(whole)):
        (bundle / SUMS).write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
        assert check_sums(bundle).findings, f"byte {at}"


def test_every_missing_byte_of_sha256sums_is_found(bundle: Path) -> None:
    whole = (bundle / SUMS).read_bytes()
    for at in range(len(whole)):
        (bundle / SUMS).write_bytes(whole[:at] + whole[at + 1 :])
        assert check_sums(bundle).findings, f"byte {at}"


def link(bundle: Path) -> None:
    (bundle / "onnx" / "more.onnx").symlink_to("float32.onnx")


def listed_link(bundle: Path) -> None:
    (bundle / "onnx" / "float32.onnx").rename(bundle.parent / "outside.onnx")
    (bundle / "onnx" / "float32.onnx").symlink_to("../../outside.onnx")


def folder_link(bundle: Path) -> None:
    (bundle / "more").symlink_to("onnx", target_is_directory=True)


def system_file_link(bundle: Path) -> None:
    (bundle / ".DS_Store").symlink_to("/etc/hostname")


def fifo(bundle: Path) -> None:
    os.mkfifo(bundle / "pipe")


def fifo_for_sums(bundle: Path) -> None:
    (bundle / SUMS).unlink()
    os.mkfifo(bundle / SUMS)


def unix_socket(bundle: Path) -> None:
    here = Path.cwd()
    os.chdir(bundle)  # the path of a socket is limited to 108 bytes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
    os.chdir(here)


def empty_folder(bundle: Path) -> None:
    (bundle / "onnx" / "more").mkdir()


def folder_of_a_system_file(bundle: Path) -> None:
    (bundle / "more").mkdir()
    (bundle / "more" / ".DS_Store").touch()


def unlisted_file(bundle: Path) -> None:
    (bundle / "coreml" / "float16.mlpackage" / "more.bin").touch()


def hidden_file(bundle: Path) -> None:
    (bundle / ".hidden").touch()


def changed_file(bundle: Path) -> None:
    (bundle / "MODEL_CARD.md").write_text("# helmets\n", encoding="utf-8")


def missing_file(bundle: Path) -> None:
    (bundle / "golden" / "00.png").unlink()


def no_sums(bundle: Path) -> None:
    (bundle / SUMS).unlink()


def edit(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def apply(bundle: Path) -> None:
        lines = (bundle / SUMS).read_text(encoding="utf-8").splitlines(keepends=True)
        (bundle / SUMS).write_text("".join(change(lines)), encoding="utf-8", newline="")

    return apply


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "link": (link, "onnx/more.onnx: a link; expected plain files and folders"),
    "listed link": (listed_link, "onnx/float32.onnx: a link"),
    "folder link": (folder_link, "more: a link"),
    "system file that is a link": (system_file_link, ".DS_Store: a link"),
    "fifo": (fifo, "pipe: a FIFO"),
    "fifo for sums": (fifo_for_sums, "SHA256SUMS: a FIFO"),
    "socket": (unix_socket, "s: a socket"),
    "empty folder": (empty_folder, "onnx/more: an empty folder; a bundle has none"),
    "folder of a system file": (folder_of_a_system_file, "more: an empty folder"),
    "unlisted": (unlisted_file, "coreml/float16.mlpackage/more.bin: not listed in SHA256SUMS"),
    "hidden": (hidden_file, ".hidden: not listed in SHA256SUMS"),
    "changed": (changed_file, "MODEL_CARD.md: differs from the file listed in SHA256SUMS"),
    "missing": (missing_file, "golden/00.png: missing; listed in SHA256SUMS"),
    "no sums": (no_sums, "SHA256SUMS: missing"),
    "empty": (edit(lambda _: []), "SHA256SUMS: does not end with a line end"),
    "doubled": (edit(lambda lines: [*lines, lines[0]]), "is listed twice"),
    "doubled with another digest": (edit(lambda lines: [f"{'0' * 64}{lines[0][64:]}", *lines]), "is listed twice"),
    "case": (edit(lambda lines: [*lines, lines[0].replace("MODEL", "Model")]), "differ in case only"),
    "upper case": (edit(lambda lines: [lines[0].upper()[:64] + lines[0][64:], *lines[1:]]), "digits in lower case"),
    "short digest": (edit(lambda lines: [lines[0][1:], *lines[1:]]), "expected 64 hexadecimal digits"),
    "other letters": (edit(lambda lines: [f"g{lines[0][1:]}", *lines[1:]]), "expected 64 hexadecimal digits"),
    "one space": (edit(lambda lines: [lines[0].replace("  ", " "), *lines[1:]]), "expected two spaces"),
    "windows": (edit(lambda lines: [line.replace("\n", "\r\n") for line in lines]), "line ends of Windows"),
    "blank line": (edit(lambda lines: [*lines, "\n"]), "expected 64 hexadecimal digits"),
    "parent": (edit(lambda lines: [*lines, f"{'0' * 64}  ../outside\n"]), "then a relative name without links out"),
    "inner parent": (edit(lambda lines: [*lines, f"{'0' * 64}  onnx/../../x\n"]), "then a relative name"),
    "absolute": (edit(lambda lines: [*lines, f"{'0' * 64}  /etc/hostname\n"]), "then a relative name"),
    "itself": (edit(lambda lines: [*lines, f"{'0' * 64}  SHA256SUMS\n"]), "lists itself"),
    "escape sequence": (edit(lambda lines: [*lines, f"{'0' * 64}  a\x1b[2Jb\n"]), r"a\x1b[2Jb"),
}


@pytest.mark.parametrize("name", list(DAMAGE))
def test_what_a_bundle_must_not_have_is_named_and_no_model_is_opened(bundle: Path, name: str) -> None:
    damage, problem = DAMAGE[name]
    damage(bundle)
    assert problem in found(bundle)
    assert "\x1b" not in found(bundle)
    verification = verify(bundle)
    assert verification.findings
    assert (verification.run, verification.not_run) == ((), ())


def test_what_finder_and_explorer_leave_behind_is_no_part_of_a_bundle(bundle: Path) -> None:
    package = bundle / "coreml" / "float16.mlpackage"
    before = sha256_of(package)
    for folder in (bundle, package, package / "Data"):
        for name in (".DS_Store", "._weights.bin", "Thumbs.db", "desktop.ini", "Desktop.ini"):
            (folder / name).write_bytes(b"left behind")
    assert found(bundle) == ""
    assert sha256_of(package) == before
