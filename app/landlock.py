"""Runs a program that can write in one folder, read some others, and open no network sockets.

A program of its own, run by Debian's Python; it imports nothing of ours. For places where
namespaces are forbidden, as in Docker by default: Landlock and seccomp need no rights. Arguments:
the folder; what may be read; ``--``; the program and its arguments. It ends with a status other
than 0, the program unstarted, where the kernel knows one of the two not.

The numbers are those of the kernel's headers linux/landlock.h, linux/seccomp.h, linux/filter.h.
"""

import ctypes
import os
import platform
import socket
import stat
import struct
import sys

_LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Give up what is not needed, and become the program."""
    end = sys.argv.index("--")
    folder, readable, command = sys.argv[1], sys.argv[2:end], sys.argv[end + 1 :]
    for right in range(64):  # Those of root, which would let it look into other processes.
        _LIBC.prctl(_PR_CAPBSET_DROP, right, 0, 0, 0)
    _checked("no_new_privs", _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _restrict_files(folder, readable)
    _forbid_network()
    os.execvp(command[0], command)  # noqa: S606 - the words that we were given


def _restrict_files(folder: str, readable: list[str]) -> None:
    version = _syscall("landlock", _CREATE_RULESET, None, 0, 1)
    known = (1 << (13 + min(version - 1, 2) + (version >= 5))) - 1
    scopes = 3 if version >= 6 else 0  # Signals and abstract sockets of others.
    attributes = struct.pack("QQQ", known, 0, scopes)[: 24 if version >= 6 else 8]
    rules = _syscall("landlock", _CREATE_RULESET, attributes, len(attributes), 0)
    for path in readable:
        _allow(rules, path, _READ)
    for path in _DEVICES:
        _allow(rules, path, (_READ | _WRITE_FILE) & known)
    _allow(rules, "/tmp", _MAKE_SOCKET | _REMOVE_FILE)  # noqa: S108 - UNO's pipes are always there
    _allow(rules, folder, known & ~_SPECIAL)
    _syscall("landlock", _RESTRICT_SELF, rules, 0)
    os.close(rules)


def _allow(rules: int, path: str, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        access &= _OF_FILES
    _syscall("landlock", _ADD_RULE, rules, 1, struct.pack("=Qi", access, descriptor), 0)
    os.close(descriptor)


def _forbid_network() -> None:
    """Let no sockets be made but those between processes."""
    arch, make_socket = _MACHINES[platform.machine()]
    program = b"".join(
        struct.pack("HBBI", *step)
        for step in (
            (_LOAD, 0, 0, 4),  # The architecture: another one has other numbers.
            (_IF_EQUAL, 1, 0, arch),
            (_RETURN, 0, 0, _KILL),
            (_LOAD, 0, 0, 0),  # The call's number.
            (_IF_GREATER_OR_EQUAL, 5, 0, _X32),
            (_IF_EQUAL, 4, 0, _IO_URING_SETUP),  # It makes sockets, too.
            (_IF_EQUAL, 0, 2, make_socket),
            (_LOAD, 0, 0, 16),  # Its first argument.
            (_IF_EQUAL, 0, 1, socket.AF_UNIX),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _ERRNO_EACCES),
        )
    )
    steps = ctypes.create_string_buffer(program)
    address = ctypes.addressof(steps)
    filters = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program) // 8, address))
    _checked("seccomp", _LIBC.prctl(_PR_SET_SECCOMP, 2, filters, 0, 0))


def _syscall(name: str, number: int, *args: object) -> int:
    return _checked(name, _LIBC.syscall(number, *args))


def _checked(name: str, result: int) -> int:
    if result < 0:
        sys.exit(f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


_PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 22, 24, 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446

# Rights: execute, read files, read folders; and so on.
_READ = 1 << 0 | 1 << 2 | 1 << 3
_WRITE_FILE = 1 << 1
_REMOVE_FILE, _MAKE_SOCKET = 1 << 5, 1 << 9
_SPECIAL = 1 << 6 | 1 << 11 | 1 << 15  # Devices.
_OF_FILES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")

_LOAD, _IF_EQUAL, _IF_GREATER_OR_EQUAL, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _ERRNO_EACCES = 0x7FFF0000, 0x80000000, 0x00050000 | 13
_IO_URING_SETUP, _X32 = 425, 0x40000000
_MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}


if __name__ == "__main__":
    main()
