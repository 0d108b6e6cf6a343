"""Whether the disk that everything is kept on has room, and whether it was to blame."""

import errno
import os
from pathlib import Path


class Disk:
    """The file system of a folder, of which ``reserve_bytes`` are to stay free.

    Half of them are for the work that was accepted: it is done, and makes room by that, when
    nothing new is taken any more.
    """

    def __init__(self, folder: Path, reserve_bytes: int) -> None:
        self._folder = folder
        self._reserve_bytes = reserve_bytes

    def free_bytes(self) -> int:
        """What may be written to it still."""
        now = os.statvfs(self._folder)
        return now.f_bavail * now.f_frsize

    def has_room(self, size: int = 0) -> bool:
        """Whether it can be written to, and has the reserve beside ``size`` bytes."""
        return self._has(self._reserve_bytes + size)

    def has_room_for_work(self) -> bool:
        """Whether it can be written to, and has what is meant for work."""
        return self._has(self._reserve_bytes // 2)

    def _has(self, size: int) -> bool:
        now = os.statvfs(self._folder)
        return not now.f_flag & os.ST_RDONLY and now.f_bavail * now.f_frsize >= size

    def is_cause(self, error: BaseException) -> bool:
        """Whether ``error`` came of a disk that is full, fails or cannot be written to.

        Programs and libraries have their own words for it, so a disk that is full at this moment
        is the cause of any.
        """
        now = os.statvfs(self._folder)
        if now.f_bavail * now.f_frsize < _FULL_BYTES:
            return True
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, OSError) and cause.errno in _CAUSES:
                return True
            cause = cause.__cause__ or cause.__context__
        return False


_FULL_BYTES = 2**20
_CAUSES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
