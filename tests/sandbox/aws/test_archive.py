"""Code assets become zips that depend on their contents alone."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pulumi
import pytest

from sandbox.aws.archive import zip_of
from sandbox.aws.errors import InvalidInputs


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "code" / "inner" / "__pycache__").mkdir(parents=True)
    (tmp_path / "code" / "main.py").write_text("main")
    (tmp_path / "code" / "inner" / "part.py").write_text("part")
    (tmp_path / "code" / "inner" / "__pycache__" / "part.pyc").write_text("stale")
    return tmp_path


def contents(data: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_a_folder_is_zipped_without_caches(tree: Path) -> None:
    data = zip_of(pulumi.FileArchive("code"), program_dir=tree)

    assert contents(data) == {"inner/part.py": "part", "main.py": "main"}


def test_a_zip_file_is_taken_as_it_is(tree: Path) -> None:
    (tree / "made.zip").write_bytes(b"as it is")

    assert zip_of(pulumi.FileArchive("made.zip"), program_dir=tree) == b"as it is"


def test_assets_and_archives_nest(tree: Path) -> None:
    archive = pulumi.AssetArchive(
        {
            "text.txt": pulumi.StringAsset("words"),
            "file.py": pulumi.FileAsset("code/main.py"),
            "lib": pulumi.FileArchive("code/inner"),
        }
    )

    assert contents(zip_of(archive, program_dir=tree)) == {
        "file.py": "main",
        "lib/part.py": "part",
        "text.txt": "words",
    }


def test_the_same_content_gives_the_same_zip_at_any_time(tree: Path) -> None:
    first = zip_of(pulumi.FileArchive("code"), program_dir=tree)
    os.utime(tree / "code" / "main.py", (0, 1_000_000_000))

    assert zip_of(pulumi.FileArchive("code"), program_dir=tree) == first


def test_a_program_stays_executable(tree: Path) -> None:
    (tree / "code" / "main.py").chmod(0o755)
    data = zip_of(pulumi.FileArchive("code"), program_dir=tree)

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert (archive.getinfo("main.py").external_attr >> 16) & 0o777 == 0o755


@pytest.mark.parametrize("archive", [pulumi.FileArchive("absent"), pulumi.AssetArchive({"a": pulumi.FileAsset("absent")})])
def test_a_path_that_is_not_there_is_refused(tmp_path: Path, archive: pulumi.Archive) -> None:
    with pytest.raises(InvalidInputs, match="absent does not exist"):
        zip_of(archive, program_dir=tmp_path)


def test_a_remote_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputs, match="RemoteArchive"):
        zip_of(pulumi.RemoteArchive("https://example.com/code.zip"), program_dir=tmp_path)
