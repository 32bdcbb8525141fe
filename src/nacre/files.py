"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from nacre.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_toml(path: Path) -> dict[str, Any]:
    """What is in a TOML file. Raises `UsageError` if it is none, and `OSError` where it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error


if sys.platform != "win32":  # there, nothing of the kind is let go of when a process dies
    import fcntl


def write_whole(path: str | os.PathLike[str], pieces: Iterable[bytes | memoryview]) -> None:
    """Write a file from pieces: at every moment there is the old file or the new one, and the new one survives a power cut.

    Raises `FileNotFoundError` when the folder is missing, and any other `OSError` of the disk; then nothing is left behind.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder, "a"), [b"one ", b"two"])
    ...     Path(folder, "a").read_bytes()
    b'one two'
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    if target.exists() and not target.is_file():
        raise FileExistsError(f"Cannot write {path}: it is there, and no ordinary file")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"Cannot write {path}: there is no folder {target.parent}")
    sweep(target.parent, re.escape(target.name))
    _replace(target, pieces)


@contextlib.contextmanager
def held(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a file, which is made if it is not there, and removed in the end unless an error ends this.

    The system lets go of it when the process dies, whatever it dies of; `is_held` tells.
    """
    with Path(path).open("ab") as file:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_SH)
        yield
        Path(path).unlink(missing_ok=True)


def is_held(path: str | os.PathLike[str]) -> bool | None:
    """Whether a process is at work that holds a file; None if nobody can tell, as the file is not there.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "at work")
    ...     with held(path):
    ...         print(is_held(path))
    ...     print(is_held(path))
    True
    None
    """
    if sys.platform == "win32":
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would make us wait
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a disk that cannot tell
        return None
    finally:
        os.close(descriptor)
    return False


def _replace(target: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Write a new file beside ``target``, make it durable, then let it take the name."""
    temporary = target.with_name(f".{target.name}.{_host()}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        with temporary.open("xb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a disk that is full does not say for what
            raise OSError(error.errno, error.strerror, str(target)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the new name durable."""
    if os.name == "nt":  # Windows cannot open folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _host() -> str:
    """What temporary files say of the machine: folders are shared, and process ids are not."""
    return f"{zlib.crc32(platform.node().encode()):08x}"


def sweep(folder: Path, name: str) -> None:
    """Remove what writers that were killed have left in a folder of files whose name matches ``name``, a regular expression."""
    pattern = re.compile(rf"\.{name}\.{_host()}\.(\d{{1,9}})\.[0-9a-f]{{8}}\.tmp")
    for path in folder.iterdir():
        found = pattern.fullmatch(path.name)
        if found and not _alive(int(found[1])):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                path.unlink()


def _alive(process: int) -> bool:
    if os.name == "nt":  # there, signal 0 is not a question
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
