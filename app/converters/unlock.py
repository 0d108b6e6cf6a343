"""Office files that are protected by a password: a copy without the protection."""

import io
import shutil
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msoffcrypto
import olefile
from msoffcrypto.exceptions import DecryptionError, InvalidKeyError
from msoffcrypto.method.rc4_cryptoapi import DocumentRC4CryptoAPI

from app import media
from app.errors import EncryptedDocument, InvalidFile


def unlock(source: Path, target: Path, media_type: str, password: str | None) -> Path:
    """``source`` if it is not protected, else ``target``, an unlocked copy.

    Raises EncryptedDocument (no or a wrong password), InvalidFile.
    """
    with source.open("rb") as file:
        try:
            document = msoffcrypto.OfficeFile(file)
            if media_type != media.ENCRYPTED_OOXML and not document.is_encrypted():
                return source
        except Exception as error:  # The package parses strangers' bytes with few checks.
            if media_type == media.ENCRYPTED_OOXML:
                raise InvalidFile("The document is damaged.") from error
            return source  # Too old or too odd for it; LibreOffice may know more.
        _check_effort(document)
        for secret in ([password] if password else []) + list(_BUILT_IN):
            try:
                document.load_key(password=secret, **_verify(media_type))
                if media_type == media.PPT:
                    _unlock_slides(source, target, document)
                else:
                    with target.open("wb") as result:
                        document.decrypt(result)
            except (InvalidKeyError, DecryptionError):
                continue
            except Exception as error:
                raise InvalidFile("The document's protection cannot be undone.") from error
            return target
    if password is None:
        raise EncryptedDocument(
            "The document is protected: send its password in the field password."
        )
    raise EncryptedDocument(
        "The password is wrong: send the document's password in the field password."
    )


# Office protects with these where it has to protect and nobody chose a password.
_BUILT_IN = ("VelvetSweatshop", "/01Hannes Ruescher/01")

_MAX_SPINS = 2_000_000  # Rounds of hashing; Office takes 100,000, a hostile file four billion.


def _check_effort(document: Any) -> None:
    info = getattr(document, "info", None)
    if isinstance(info, dict) and int(info.get("spinValue", 0)) > _MAX_SPINS:
        raise InvalidFile("The document's protection would take too long to undo.")


def _verify(media_type: str) -> dict[str, bool]:
    """Older formats always verify a password and do not take the argument."""
    return {"verify_password": True} if media_type == media.ENCRYPTED_OOXML else {}


# PowerPoint 97 to 2003, after [MS-PPT] 2.3: msoffcrypto makes files that LibreOffice refuses.


def _unlock_slides(source: Path, target: Path, document: Any) -> None:
    shutil.copyfile(source, target)
    with closing(olefile.OleFileIO(str(target), write_mode=True)) as ole:
        user = bytearray(ole.openstream("Current User").read())
        data = bytearray(ole.openstream("PowerPoint Document").read())
        edit = struct.unpack_from("<I", user, 16)[0]
        directory = struct.unpack_from("<I", data, edit + 20)[0]
        session = struct.unpack_from("<I", data, edit + 36)[0]
        for number, place in _persistent_objects(data, directory):
            if number != session:
                head = _decrypted(document, bytes(data[place : place + 8]), number)
                end = place + 8 + struct.unpack_from("<I", head, 4)[0]
                data[place:end] = _decrypted(document, bytes(data[place:end]), number)
        struct.pack_into("<I", user, 12, 0xE391C05F)  # "Is not encrypted."
        struct.pack_into("<I", data, edit + 36, 0)
        ole.write_stream("Current User", bytes(user))
        ole.write_stream("PowerPoint Document", bytes(data))
    # LibreOffice takes the mere name for a sign of encryption.
    name, other = ("EncryptedSummar" + end for end in "yz")
    target.write_bytes(
        target.read_bytes().replace(name.encode("utf-16-le"), other.encode("utf-16-le"))
    )


def _persistent_objects(data: bytearray, directory: int) -> Iterator[tuple[int, int]]:
    """The numbers and places of the encrypted objects."""
    place = directory + 8
    end = place + struct.unpack_from("<I", data, directory + 4)[0]
    while place < end:
        entry = struct.unpack_from("<I", data, place)[0]
        first, count = entry & 0xFFFFF, entry >> 20
        offsets = struct.unpack_from(f"<{count}I", data, place + 4)
        yield from enumerate(offsets, first)
        place += 4 + 4 * count


def _decrypted(document: Any, data: bytes, number: int) -> bytes:
    plain: bytes = DocumentRC4CryptoAPI.decrypt(
        document.key,
        document.salt,
        document.keySize,
        io.BytesIO(data),
        blocksize=len(data) + 1,
        block=number,
    ).read()
    return plain
