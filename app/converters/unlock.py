"""Office files that are protected by a password: a copy without the protection."""

import io
import shutil
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msoffcrypto
import numpy as np
import olefile
from msoffcrypto.exceptions import DecryptionError, InvalidKeyError
from msoffcrypto.method.rc4_cryptoapi import DocumentRC4CryptoAPI
from msoffcrypto.method.xor_obfuscation import DocumentXOR

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
                raise InvalidFile(
                    "The document is damaged, or protected by something else than a password."
                ) from error
            return source  # Too old or too odd for it; LibreOffice may know more.
        _check_effort(document)
        for secret in ([password] if password else []) + list(_BUILT_IN):
            try:
                document.load_key(password=secret, **_verify(media_type))
                if media_type == media.PPT:
                    _unlock_slides(source, target, document)
                elif media_type == media.DOC and document.info.fib.base.fObfuscation:
                    _unlock_obfuscated(source, target, document, secret)
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


# Word 97 to 2003 with "weak" protection, after [MS-DOC] 2.2.6.1, which msoffcrypto leaves out.


def _unlock_obfuscated(source: Path, target: Path, document: Any, password: str) -> None:
    verifier = document.info.fib.base.IKey
    if len(password) > 15 or not DocumentXOR.verifypw(password, verifier & 0xFFFF):
        raise InvalidKeyError
    key = np.array(DocumentXOR.create_xor_array_method1(password), np.uint8)
    shutil.copyfile(source, target)
    with closing(olefile.OleFileIO(str(target), write_mode=True)) as ole:
        for name in ("WordDocument", document.info.tablename, "Data"):
            if ole.exists(name):
                data = ole.openstream(name).read()
                hidden = np.frombuffer(data, np.uint8)
                keys = np.resize(key, len(hidden))
                # What is 0 was so before; and what would have become 0 was left as it was.
                kept = (hidden == 0) | (hidden == keys)
                plain = bytearray(np.where(kept, hidden, hidden ^ keys).tobytes())
                if name == "WordDocument":
                    plain[:68] = data[:68]
                    plain[11] &= ~0x81  # fEncrypted and fObfuscated.
                    plain[14:18] = bytes(4)
                ole.write_stream(name, bytes(plain))


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
        if ole.exists("Pictures"):
            pictures = ole.openstream("Pictures").read()
            ole.write_stream("Pictures", _unlocked_pictures(pictures, document))
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


def _unlocked_pictures(data: bytes, document: Any) -> bytes:
    """Records ([MS-ODRAW] 2.2.23) of which each field is encrypted by itself."""
    result = io.BytesIO()
    stream = io.BytesIO(data)

    def field(length: int) -> bytes:
        plain = _decrypted(document, stream.read(length), 0)
        result.write(plain)
        return plain

    while len(head := field(8)) == 8:
        instance, kind, length = struct.unpack("<HHI", head)
        end = min(stream.tell() + length, len(data))
        for _ in range(1 + (instance >> 4) % 2):
            field(16)
        field(34 if kind in _METAFILES else 1)
        field(max(0, end - stream.tell()))
    return result.getvalue()


_METAFILES = (0xF01A, 0xF01B, 0xF01C)


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
