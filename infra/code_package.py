"""The one code asset: `functions/` and `protocol/` as they are, and their dependencies built for where they will run.

Targets: *lambda* is arm64 and CPython 3.13, whatever this machine is, from wheels alone and by their locked hashes; *local* is
this interpreter, whose own installed packages are copied, so that the sandbox needs neither a network nor uv. PyNaCl is a binary
wheel, hence the two.

Left out is what AWS's runtime brings: botocore would make the asset seven times as large and every cold start slower.

The zip depends on its contents alone (sorted names, one time stamp, one mode), so that unchanged code is an unchanged function.
Results are kept in `build/` under the hash of everything that went in, and made aside and renamed, so that two makers at once do
no harm.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, Literal

import pulumi

Target = Literal["lambda", "local"]

REPOSITORY: Final = Path(__file__).resolve().parents[1]
SOURCES: Final = ("functions", "protocol")
LOCK: Final = Path("requirements", "functions.txt")
LAMBDA_PLATFORM: Final = "aarch64-manylinux2014"
LAMBDA_PYTHON: Final = "3.13"
UV_TIMEOUT_S: Final = 300
KEPT: Final = 4  # packages of a target, the newest; more are only in the way
FORMAT: Final = "1"  # raise it when the same inputs are to give another zip

# What the python3.13 runtime of Lambda has on its path: https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html
PROVIDED: Final = frozenset({"boto3", "botocore", "s3transfer", "python-dateutil", "six"})
# Programs, type stubs and compiled caches of dependencies, and what an installer writes about itself.
_UNNEEDED: Final = re.compile(r"(^|/)(__pycache__|bin|RECORD|INSTALLER|REQUESTED|direct_url\.json|\.lock)(/|$)|\.(pyi|pyc|pxd|h)$")
_REQUIREMENT: Final = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)")
_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_ZIP_MODE: Final = 0o644 << 16


class PackagingFailed(pulumi.RunError):
    """The code asset cannot be made; the message says what to do. A RunError, which Pulumi prints without a traceback."""


def package_functions(target: Target, *, root: Path = REPOSITORY) -> Path:
    """Return the zip of the functions for `target`, making it if there is none of this content. Raises PackagingFailed."""
    lock = _without_provided((root / LOCK).read_text())
    sources = sorted(path for folder in SOURCES for path in (root / folder).rglob("*.py"))
    dependencies = root / "build" / f"dependencies-{target}-{_digest(target, _interpreter(target), lock.encode())}"
    _once(dependencies, lambda folder: _install(target, lock, folder))
    content = _digest(dependencies.name, *(part for path in sources for part in (str(path.relative_to(root)), path.read_bytes())))
    archive = root / "build" / f"functions-{target}-{content}.zip"
    _once(archive, lambda file: _write_zip(file, _entries(root, sources, dependencies)))
    _forget_old(archive)
    return archive


def _interpreter(target: Target) -> str:
    return f"{LAMBDA_PLATFORM} {LAMBDA_PYTHON}" if target == "lambda" else f"{sys.implementation.cache_tag} {sys.prefix}"


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.sha256(FORMAT.encode())
    for part in parts:
        raw = part if isinstance(part, bytes) else part.encode()
        digest.update(len(raw).to_bytes(8) + raw)
    return digest.hexdigest()[:16]


def _once(path: Path, make: Callable[[Path], None]) -> None:
    """Have `make` write `path` unless it is there, complete or not at all."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as aside:
        made = Path(aside, path.name)
        make(made)
        try:
            made.rename(path)
        except OSError:
            if not path.exists():  # else another maker was first, with the same content
                raise


def _forget_old(archive: Path) -> None:
    archive.touch()  # in use is as good as new
    target = archive.name.rpartition("-")[0]
    ages = sorted(archive.parent.glob(f"{target}-*.zip"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in ages[KEPT:]:
        old.unlink(missing_ok=True)


def _without_provided(lock: str) -> str:
    """Return a lock without the packages that the runtime provides; a requirement is a line and its indented hashes."""
    blocks = re.split(r"^(?=\S)", lock, flags=re.MULTILINE)
    return "".join(block for block in blocks if (name := _REQUIREMENT.match(block)) and name["name"] not in PROVIDED)


def _install(target: Target, lock: str, folder: Path) -> None:
    if target == "local":
        _copy_installed(lock, folder)
    else:
        _install_for_lambda(lock, folder)


def _install_for_lambda(lock: str, folder: Path) -> None:
    requirements = folder.parent / "requirements.txt"
    requirements.write_text(lock)
    command = [
        *(_uv(), "pip", "install", "--quiet", "--no-config", "--no-deps", "--require-hashes", "--only-binary", ":all:"),
        *("--python-platform", LAMBDA_PLATFORM, "--python-version", LAMBDA_PYTHON),
        *("--target", str(folder), "--requirements", str(requirements)),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=UV_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as exc:
        raise PackagingFailed(f"uv did not finish within {UV_TIMEOUT_S} s: is the package index reachable?") from exc
    if done.returncode != 0:
        raise PackagingFailed(
            f"the functions' dependencies cannot be installed for {LAMBDA_PLATFORM}; packaging for Lambda needs the package index "
            f"once per change of {LOCK}. uv says:\n{done.stderr.strip()}"
        )


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise PackagingFailed("packaging for Lambda needs uv, which is not installed: run `make setup`, or `pip install uv`")
    return found


def _copy_installed(lock: str, folder: Path) -> None:
    for requirement in _requirements(lock):
        name, version = requirement["name"], requirement["version"]
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError as exc:
            raise PackagingFailed(f"{name} is not installed beside {sys.executable}: run `make setup`") from exc
        if distribution.version != version:
            raise PackagingFailed(f"{name} {distribution.version} is installed, {LOCK} wants {version}: run `make setup`")
        _copy_distribution(distribution, folder)


def _requirements(lock: str) -> Iterator[re.Match[str]]:
    return (match for line in lock.splitlines() if (match := _REQUIREMENT.match(line)))


def _copy_distribution(distribution: importlib.metadata.Distribution, folder: Path) -> None:
    for file in distribution.files or ():
        if file.parts[0] == ".." or _UNNEEDED.search(file.as_posix()):
            continue  # a program beside the packages, or nothing that runs
        copy = folder / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(os.fspath(file.locate()), copy)


def _entries(root: Path, sources: Iterable[Path], dependencies: Path) -> Iterator[tuple[str, Path]]:
    yield from ((path.relative_to(root).as_posix(), path) for path in sources)
    for path in sorted(dependencies.rglob("*")):
        name = path.relative_to(dependencies).as_posix()
        if path.is_file() and not _UNNEEDED.search(name):
            yield name, path


def _write_zip(file: Path, entries: Iterable[tuple[str, Path]]) -> None:
    with zipfile.ZipFile(file, "w", compression=zipfile.ZIP_DEFLATED) as archive:
        for name, path in entries:
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.external_attr = _ZIP_MODE
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
