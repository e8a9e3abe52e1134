"""What is secret, encrypted at rest: Fernet (AES-128-CBC and HMAC-SHA256) under one master key or several.

The first key seals, every key opens. To rotate: put a new key in front, restart every process, `kirimhook sender
rekey`, take the old key out, restart.
"""

from __future__ import annotations

import hmac
import os
import stat
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

ENVIRONMENT_VARIABLE = "KIRIMHOOK_MASTER_KEYS"
MAX_FILE_BYTES = 16 * 1024
_KEY_BYTES = 32


class MasterKeyError(Exception):
    """The master keys are missing, malformed, readable by others, or not those that sealed this. Quotes no key."""


class Sealer:
    """Seals with the first of its keys and opens with any. Shows no key; safe in any thread.

    Keys are 32 bytes in url-safe base64, as `Sealer.new_key()` makes them. Raises `MasterKeyError` for others.
    """

    __slots__ = ("_fernets", "_keys", "_multi")

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = tuple([_decoded(key, number) for number, key in enumerate(keys, 1)])
        if not self._keys:
            raise MasterKeyError("there is no master key")
        self._fernets = tuple([Fernet(key.strip()) for key in keys])
        self._multi = MultiFernet(self._fernets)

    @staticmethod
    def new_key() -> str:
        return Fernet.generate_key().decode()

    def seal(self, plain: bytes) -> bytes:
        return self._multi.encrypt(plain)

    def open(self, sealed: bytes) -> bytes:
        """Raises `MasterKeyError` where none of the keys sealed it, or it was altered."""
        try:
            return self._multi.decrypt(sealed)
        except InvalidToken:
            raise MasterKeyError(
                "the master keys do not open what is stored: they are not those that sealed it"
            ) from None

    def resealed(self, sealed: bytes) -> bytes | None:
        """The same under the first key; None where it is already. Raises `MasterKeyError` as `open`."""
        try:
            self._fernets[0].decrypt(sealed)
        except InvalidToken:
            return self.seal(self.open(sealed))
        return None

    def derived(self, purpose: str) -> tuple[bytes, ...]:
        """A key of 32 bytes for this purpose from each master key: make with the first, accept all."""
        return tuple([hmac.digest(key, f"kirimhook {purpose}".encode(), "sha256") for key in self._keys])

    def __repr__(self) -> str:
        return f"Sealer({len(self._keys)} keys)"

    def __reduce__(self) -> str:
        raise TypeError("a Sealer is not picklable")


def load(environ: Mapping[str, str], path: str | os.PathLike[str] | None = None) -> Sealer:
    """The sealer that `KIRIMHOOK_MASTER_KEYS` (comma separated) describes, else the file, which is made if missing.

    Raises `MasterKeyError`, with what to do about it.
    """
    if given := environ.get(ENVIRONMENT_VARIABLE, "").strip():
        return _named(ENVIRONMENT_VARIABLE, [key for key in given.split(",") if key.strip()])
    if path is None:
        raise MasterKeyError(f"set {ENVIRONMENT_VARIABLE}, or name a file for the master key")
    file = Path(path)
    try:
        _make(file)
        lines = _private_text(file).splitlines()
    except OSError as error:
        raise MasterKeyError(f"{file}: {error.strerror or type(error).__name__}") from None
    return _named(str(file), [line for line in lines if line.strip()])


def _named(source: str, keys: list[str]) -> Sealer:
    try:
        return Sealer(keys)
    except MasterKeyError as error:
        raise MasterKeyError(f"{source}: {error}") from None


def _decoded(key: str, number: int) -> bytes:
    try:
        raw = b64decode(key.strip().encode("ascii"), altchars=b"-_", validate=True)
    except (Base64Error, ValueError):
        raw = b""
    if len(raw) != _KEY_BYTES:
        raise MasterKeyError(f"key {number} is not {_KEY_BYTES} bytes in url-safe base64")
    return raw


def _make(path: Path) -> None:
    """Write a new key, unless the file is there: whole or not at all, and durable before anything is sealed with it."""
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(Sealer.new_key() + "\n")
            file.flush()
            os.fsync(descriptor)
        _put(draft, path)
    finally:
        draft.unlink()


def _put(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:  # another process was first: its key it is
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _private_text(path: Path) -> str:
    # a pipe must not keep us waiting for who writes into it
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123  # a descriptor, opened with flags that Path.open has not
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise MasterKeyError(f"{path} is not a regular file")
        if found.st_mode & 0o077:
            raise MasterKeyError(f"{path} can be read or changed by others: chmod 600 {path}")
        raw = file.read(MAX_FILE_BYTES + 1)
    if len(raw) > MAX_FILE_BYTES:
        raise MasterKeyError(f"{path} is larger than {MAX_FILE_BYTES} bytes: that is no list of keys")
    return raw.decode("ascii", "replace")
