"""The code asset: what is in it, that it depends on nothing else, and what is said when it cannot be made."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.code_package import KEPT, LOCK, REPOSITORY, PackagingFailed, package_functions

SMALL = "idna"


def lay_out(root: Path, lock: str) -> Path:
    """Make a repository with one source file a folder and this lock."""
    for folder in ("functions", "protocol"):
        (root / folder).mkdir(parents=True)
        (root / folder / "__init__.py").write_text(f"NAME = {folder!r}\n")
    (root / LOCK).parent.mkdir()
    (root / LOCK).write_text(lock)
    return root


def small_lock() -> str:
    return f"{SMALL}=={importlib.metadata.version(SMALL)} \\\n    --hash=sha256:{'0' * 64}\n"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A repository with one small dependency."""
    return lay_out(tmp_path / "repository", small_lock())


def names(archive: Path) -> set[str]:
    with zipfile.ZipFile(archive) as opened:
        return set(opened.namelist())


def test_the_sources_and_their_dependencies_are_at_the_root(small: Path) -> None:
    packed = names(package_functions("local", root=small))

    assert {"functions/__init__.py", "protocol/__init__.py", "idna/__init__.py"} <= packed


def test_what_the_runtime_provides_is_left_out(small: Path) -> None:
    (small / LOCK).write_text(small_lock() + f"botocore==0.0 \\\n    --hash=sha256:{'0' * 64}\n    # via boto3\n")

    packed = names(package_functions("local", root=small))

    assert not [name for name in packed if name.startswith("botocore")]


def test_no_cache_or_installers_note_is_packed(small: Path) -> None:
    packed = names(package_functions("local", root=small))

    assert not [name for name in packed if name.endswith((".pyc", ".pyi", "/RECORD", "/INSTALLER"))]


def test_the_same_content_makes_the_same_bytes(tmp_path: Path) -> None:
    first, second = (package_functions("local", root=lay_out(tmp_path / place, small_lock())) for place in ("here", "there"))

    assert (first.name, first.read_bytes()) == (second.name, second.read_bytes())


def test_the_bytes_do_not_depend_on_when_they_were_made(small: Path) -> None:
    with zipfile.ZipFile(package_functions("local", root=small)) as archive:
        times = {entry.date_time for entry in archive.infolist()}

    assert times == {(1980, 1, 1, 0, 0, 0)}


def test_unchanged_code_is_not_packed_again(small: Path) -> None:
    first = package_functions("local", root=small).stat().st_ino

    assert package_functions("local", root=small).stat().st_ino == first


def test_changed_code_is_another_package(small: Path) -> None:
    before = package_functions("local", root=small)
    (small / "functions" / "__init__.py").write_text("NAME = 'changed'\n")

    assert package_functions("local", root=small) != before


def test_a_renamed_file_is_another_package(small: Path) -> None:
    before = package_functions("local", root=small)
    (small / "functions" / "__init__.py").rename(small / "functions" / "other.py")

    assert package_functions("local", root=small) != before


def test_two_makers_at_once_do_no_harm(small: Path) -> None:
    with ThreadPoolExecutor(4) as makers:
        made = set(makers.map(lambda _: package_functions("local", root=small), range(4)))

    assert len(made) == 1
    assert sorted(path.suffix for path in (small / "build").iterdir()) == ["", ".zip"]


def test_old_packages_do_not_pile_up(small: Path) -> None:
    for version in range(KEPT + 3):
        (small / "functions" / "__init__.py").write_text(f"VERSION = {version}\n")
        newest = package_functions("local", root=small)

    kept = list((small / "build").glob("*.zip"))
    assert len(kept) == KEPT
    assert newest in kept


def test_the_local_package_runs_with_nothing_else_on_its_path(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "repository", (REPOSITORY / LOCK).read_text())
    unpacked = tmp_path / "unpacked"
    shutil.unpack_archive(package_functions("local", root=root), unpacked)

    program = f"import sys; sys.path[:0] = [{str(unpacked)!r}]; import nacl.signing, aws_lambda_powertools; print(nacl.__file__)"
    ran = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)

    assert ran.stdout.startswith(str(unpacked))


def test_a_dependency_of_another_version_is_named_with_the_remedy(small: Path) -> None:
    (small / LOCK).write_text(f"{SMALL}==0.1 \\\n    --hash=sha256:{'0' * 64}\n")

    with pytest.raises(PackagingFailed, match=r"idna \S+ is installed, requirements/functions.txt wants 0.1: run `make setup`"):
        package_functions("local", root=small)


def test_a_missing_dependency_is_named_with_the_remedy(small: Path) -> None:
    (small / LOCK).write_text(f"no-such-package==1.0 \\\n    --hash=sha256:{'0' * 64}\n")

    with pytest.raises(PackagingFailed, match=r"no-such-package is not installed .*: run `make setup`"):
        package_functions("local", root=small)


def test_nothing_half_made_is_left_behind(small: Path) -> None:
    (small / LOCK).write_text(f"no-such-package==1.0 \\\n    --hash=sha256:{'0' * 64}\n")

    with pytest.raises(PackagingFailed):
        package_functions("local", root=small)

    assert list((small / "build").iterdir()) == []


def test_packaging_for_lambda_without_uv_says_so(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(small / "python"))
    monkeypatch.setenv("PATH", str(small))

    with pytest.raises(PackagingFailed, match="needs uv, which is not installed: run `make setup`"):
        package_functions("lambda", root=small)


def test_packaging_for_lambda_without_a_network_says_so(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(small / "cache"))

    with pytest.raises(PackagingFailed, match=r"(?s)needs the package index once per change .* uv says:\n.*idna"):
        package_functions("lambda", root=small)
