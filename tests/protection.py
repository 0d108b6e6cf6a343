"""Protected Office files, made of plain ones, after [MS-OFFCRYPTO], [MS-DOC], [MS-XLS], [MS-PPT].

RC4 and XOR undo themselves, so that what decrypts also encrypts.
"""

import hashlib
import io
import itertools
import struct
from collections.abc import Iterator
from pathlib import Path

import olefile
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from msoffcrypto.method.container.ecma376_encrypted import ECMA376Encrypted
from msoffcrypto.method.ecma376_standard import ECMA376Standard
from msoffcrypto.method.rc4 import DocumentRC4
from msoffcrypto.method.rc4_cryptoapi import DocumentRC4CryptoAPI
from msoffcrypto.method.xor_obfuscation import DocumentXOR

SALT, VERIFIER = bytes(range(16)), bytes(range(16, 32))


class Rc4:
    """The scheme of Office 97."""

    def __init__(self, password: str) -> None:
        self.password = password
        proof = self.crypt(VERIFIER + hashlib.md5(VERIFIER).digest())
        self.header = struct.pack("<HH", 1, 1) + SALT + proof

    def crypt(self, data: bytes, block: int = 0, size: int = 512) -> bytes:
        """``data`` of which each ``size`` bytes have a key of their own."""
        assert block == 0
        stream = io.BytesIO(data)
        return bytes(DocumentRC4.decrypt(self.password, SALT, stream, size).read())


class Rc4CryptoApi:
    """The scheme of Office XP and 2003."""

    def __init__(self, password: str, bits: int = 128) -> None:
        self.password, self.bits = password, bits
        proof = self.crypt(VERIFIER + hashlib.sha1(VERIFIER).digest())
        name = "Microsoft Enhanced Cryptographic Provider v1.0\0".encode("utf-16-le")
        kind = struct.pack("<8I", 4, 0, 0x6801, 0x8004, bits, 1, 0, 0) + name
        self.header = b"".join(
            [
                struct.pack("<HHII", 2, 2, 4, len(kind)) + kind,
                struct.pack("<I", 16) + SALT + proof[:16] + struct.pack("<I", 20) + proof[16:],
            ]
        )

    def crypt(self, data: bytes, block: int = 0, size: int = 512) -> bytes:
        """``data`` of which each ``size`` bytes have a key of their own, from ``block`` on."""
        stream = io.BytesIO(data)
        decrypt = DocumentRC4CryptoAPI.decrypt
        return bytes(decrypt(self.password, SALT, self.bits, stream, size, block).read())


class Xor:
    """The scheme of Office 95, of which Excel and Word have each their own."""

    def __init__(self, password: str) -> None:
        self.key = bytes(DocumentXOR.create_xor_array_method1(password))
        proof = next(n for n in range(0x10000) if DocumentXOR.verifypw(password, n))
        code = DocumentXOR.create_xor_key_method1(password)
        self.header = struct.pack("<HH", code, proof)
        self.verifier = code << 16 | proof

    def excel(self, data: bytes, place: int) -> bytes:
        """The data of one record that begins at ``place``."""
        keys = (self.key[(place + len(data) + n) % 16] for n in range(len(data)))
        return bytes(
            ((byte << 5 | byte >> 3) & 255) ^ key for byte, key in zip(data, keys, strict=True)
        )

    def word(self, data: bytes) -> bytes:
        """A stream; what is or would become 0 stays."""
        return bytes(
            byte ^ key if byte not in (0, key) else byte
            for byte, key in zip(data, itertools.cycle(self.key), strict=False)
        )


Scheme = Rc4 | Rc4CryptoApi | Xor


def protect_word(path: Path, scheme: Scheme) -> None:
    """Protect a DOC file in place."""
    streams = _streams(path)
    fib = bytearray(streams["WordDocument"])
    name = "1Table" if fib[11] & 2 else "0Table"
    if isinstance(scheme, Xor):
        struct.pack_into("<I", fib, 14, scheme.verifier)
        fib[11] |= 0x81
        for hidden in {name, "Data"} & streams.keys():
            streams[hidden] = scheme.word(streams[hidden])
        streams["WordDocument"] = bytes(fib[:68]) + scheme.word(bytes(fib))[68:]
    else:
        start = len(scheme.header)  # The header comes first in the table, so all else moves.
        for pair in range(154, 154 + 8 * struct.unpack_from("<H", fib, 152)[0], 8):
            place, length = struct.unpack_from("<II", fib, pair)
            if length:
                struct.pack_into("<I", fib, pair, place + start)
        struct.pack_into("<I", fib, 14, start)
        fib[11] |= 1
        table = scheme.crypt(bytes(start) + streams[name])
        streams[name] = scheme.header + table[start:]
        streams["WordDocument"] = bytes(fib[:68]) + scheme.crypt(bytes(fib))[68:]
        if "Data" in streams:
            streams["Data"] = scheme.crypt(streams["Data"])
    path.write_bytes(compound(streams))


def protect_excel(path: Path, scheme: Scheme) -> None:
    """Protect an XLS file in place."""
    streams = _streams(path)
    kind = 0 if isinstance(scheme, Xor) else 1
    head = struct.pack("<H", kind) + scheme.header
    added = struct.pack("<HH", 0x2F, len(head)) + head
    records = list(_records(streams["Workbook"]))
    plain, shown = io.BytesIO(), io.BytesIO()  # ``shown``: where 1, the byte is not encrypted.
    for number, (code, data) in enumerate(records):
        if code == 0x85:  # BOUNDSHEET: the place of the sheet, which moves.
            data = struct.pack("<I", struct.unpack_from("<I", data)[0] + len(added)) + data[4:]
        open_ = len(data) if code in (0x809, 0xE1) else 4 if code == 0x85 else 0
        secret = data
        if isinstance(scheme, Xor):
            secret = data[:open_] + scheme.excel(data, plain.tell() + 4)[open_:]
        plain.write(struct.pack("<HH", code, len(data)) + secret)
        shown.write(b"\1" * (4 + open_) + bytes(len(data) - open_))
        if number == 0:
            plain.write(added)
            shown.write(b"\1" * len(added))
    book = plain.getvalue()
    if not isinstance(scheme, Xor):
        secret = scheme.crypt(book, size=1024)
        keep = shown.getvalue()
        book = bytes(a if known else b for a, b, known in zip(book, secret, keep, strict=True))
    path.write_bytes(compound(streams | {"Workbook": book}))


def protect_powerpoint(path: Path, scheme: Scheme) -> None:
    """Protect a PPT file in place; there is one scheme for it."""
    assert isinstance(scheme, Rc4CryptoApi)
    streams = _streams(path)
    user, data = bytearray(streams["Current User"]), bytearray(streams["PowerPoint Document"])
    edit = bytes(data[struct.unpack_from("<I", user, 16)[0] :][:36])
    directory = struct.unpack_from("<I", edit, 20)[0]
    entry = struct.unpack_from("<I", data, directory + 8)[0]
    first, count = entry & 0xFFFFF, entry >> 20
    assert struct.unpack_from("<I", data, directory + 4)[0] == 4 + 4 * count
    places = struct.unpack_from(f"<{count}I", data, directory + 12)
    for number, place in enumerate(places, first):
        end = place + 8 + struct.unpack_from("<I", data, place + 4)[0]
        data[place:end] = scheme.crypt(bytes(data[place:end]), number, end - place + 1)
    session = len(data)
    data += struct.pack("<HHI", 15, 0x2F14, len(scheme.header)) + scheme.header
    directory = len(data)
    data += struct.pack("<HHI", 0, 0x1772, 8 + 4 * count)
    data += struct.pack(f"<{count + 2}I", count + 1 << 20 | first, *places, session)
    struct.pack_into("<II", user, 12, 0xF3D1C4DF, len(data))
    data += struct.pack("<HHI", 0, 0x0FF5, 32) + edit[8:16] + struct.pack("<II", 0, directory)
    data += edit[24:36] + struct.pack("<I", first + count)
    if "Pictures" in streams:
        streams["Pictures"] = _pictures(streams["Pictures"], scheme)
    changed = {"Current User": bytes(user), "PowerPoint Document": bytes(data)}
    path.write_bytes(compound(streams | changed))


def _pictures(data: bytes, scheme: Rc4CryptoApi) -> bytes:
    result, place = b"", 0
    while place + 8 <= len(data):
        instance, kind, length = struct.unpack_from("<HHI", data, place)
        end, cuts = place + 8 + length, [place, place + 8]
        cuts += [cuts[-1] + 16 * n for n in range(1, 2 + (instance >> 4) % 2)]
        cuts += [cuts[-1] + (34 if kind in (0xF01A, 0xF01B, 0xF01C) else 1), end]
        for start, stop in itertools.pairwise(cuts):
            result += scheme.crypt(data[start:stop], size=stop - start + 1)
        place = end
    return result


def protect_standard(path: Path, password: str, bits: int = 128) -> None:
    """Protect a DOCX, XLSX or PPTX file in place as Office 2007 does."""
    kind = {128: 0x660E, 192: 0x660F, 256: 0x6610}[bits]
    key = ECMA376Standard.makekey_from_password(password, kind, 0x8004, 24, bits, 16, SALT)

    def encrypt(data: bytes) -> bytes:
        cipher = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        return cipher.update(data + bytes(-len(data) % 16)) + cipher.finalize()

    header = struct.pack("<8I", 0x24, 0, kind, 0x8004, bits, 24, 0, 0) + b"A\0\0\0"
    info = struct.pack("<HHII", 4, 2, 0x24, len(header)) + header
    info += struct.pack("<I", 16) + SALT + encrypt(VERIFIER)
    info += struct.pack("<I", 20) + encrypt(hashlib.sha1(VERIFIER).digest())
    plain = path.read_bytes()
    with path.open("wb") as file:
        ECMA376Encrypted(struct.pack("<Q", len(plain)) + encrypt(plain), info).write_to(file)


def compound(streams: dict[str, bytes]) -> bytes:
    """A compound file ([MS-CFB]) with ``streams`` in its root."""
    none, end = 0xFFFFFFFF, 0xFFFFFFFE
    # Below 4,096 bytes they would be elsewhere.
    padded = {name: data.ljust(4096, b"\0") for name, data in streams.items()}
    names = sorted(padded, key=lambda name: (len(name), name.upper()))
    listed = (len(names) + 4) // 4  # Sectors of the directory.
    table: list[int] = [*range(1, listed), end]

    def entry(name: str, kind: int, right: int, child: int, start: int, size: int) -> bytes:
        coded = name.encode("utf-16-le") + b"\0\0"
        return struct.pack(
            "<64sHBBIII36xIQ", coded, len(coded), kind, 1, none, right, child, start, size
        )

    directory, body = entry("Root Entry", 5, none, 1, end, 0), b""
    for number, name in enumerate(names, 1):
        data = padded[name]
        start, count = len(table), -(-len(data) // 512)
        right = number + 1 if number < len(names) else none
        directory += entry(name, 2, right, none, start, len(data))
        table += [*range(start + 1, start + count), end]
        body += data.ljust(count * 512, b"\0")
    tables = 1
    while tables * 128 < len(table) + tables:
        tables += 1
    assert tables <= 109
    places = [*range(len(table), len(table) + tables)]
    table += [0xFFFFFFFD] * tables
    table += [none] * (tables * 128 - len(table))
    header = struct.pack(
        "<8s16sHHHHH6x4xIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", bytes(16), 0x3E, 3, 0xFFFE,
        9, 6, tables, 0, 0, 4096, end, 0, end, 0, places[0],
    ) + struct.pack(f"<{tables - 1}I", *places[1:])  # fmt: skip
    return b"".join(
        [
            header.ljust(512, b"\xff"),
            directory.ljust(listed * 512, b"\0"),
            body,
            struct.pack(f"<{len(table)}I", *table),
        ]
    )


def _streams(path: Path) -> dict[str, bytes]:
    with olefile.OleFileIO(str(path)) as ole:
        return {name[0]: ole.openstream(name).read() for name in ole.listdir() if len(name) == 1}


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place + 4 <= len(data):
        code, length = struct.unpack_from("<HH", data, place)
        yield code, data[place + 4 : place + 4 + length]
        place += 4 + length
