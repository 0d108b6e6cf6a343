"""Whether the disk that everything is kept on has room, and whether it was to blame."""

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path


class Disk:
    """The file systems of folders, of each of which ``reserve_bytes`` are to stay free.

    Half of them are for the work that was accepted: it is done, and makes room by that, when
    nothing new is taken any more.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        reserve_bytes: int,
        make_room: Callable[[int], None] = lambda _: None,
    ) -> None:
        """``make_room`` removes what can be done without, for so many bytes to be free."""
        self._folders = folders
        self._reserve_bytes = reserve_bytes
        self._make_room = make_room

    def free_bytes(self) -> int:
        """What may be written to the fullest of them still."""
        return _free_bytes(self._now())

    def has_room(self, size: int = 0) -> bool:
        """Whether it can be written to, and has the reserve beside ``size`` bytes."""
        return self._has(self._reserve_bytes + size)

    def has_room_for_work(self) -> bool:
        """Whether it can be written to, and has what is meant for work."""
        return self._has(self._reserve_bytes // 2)

    def _has(self, size: int) -> bool:
        now = self._now()
        if _free_bytes(now) < size:
            self._make_room(size)
            now = self._now()
        is_read_only = any(each.f_flag & os.ST_RDONLY for each in now)
        return not is_read_only and _free_bytes(now) >= size

    def is_cause(self, error: BaseException) -> bool:
        """Whether ``error`` came of a disk that is full, fails or cannot be written to.

        Programs and libraries have their own words for it, so a disk that is full at this moment
        is the cause of any.
        """
        if self.free_bytes() < _FULL_BYTES:
            return True
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, OSError) and cause.errno in _CAUSES:
                return True
            cause = cause.__cause__ or cause.__context__
        return False

    def _now(self) -> list[os.statvfs_result]:
        return [os.statvfs(folder) for folder in self._folders]


def _free_bytes(now: Sequence[os.statvfs_result]) -> int:
    return min(each.f_bavail * each.f_frsize for each in now)


_FULL_BYTES = 2**20
_CAUSES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
