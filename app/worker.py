"""What a worker process does: one task or part after another.

Its time limit is a timer of the kernel whose signal ends the process: it works even while native
code neither returns nor lets Python run.
"""

import contextlib
import ctypes
import gc
import logging
import os
import signal
import threading
from pathlib import Path

from app.errors import Unavailable
from app.leases import Blame
from app.locks import held
from app.ration import Ration
from app.runner import ANSWER_S, AWAY_S, Runner
from app.telling import Teller

log = logging.getLogger(__name__)

WARM_UP_S = 300.0
_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def work(
    runner: Runner,
    name: str,
    locks: Path,
    ration: Ration,
    teller: Teller,
) -> None:
    """Do tasks until SIGTERM; a task that has begun is finished first.

    The supervisor is told that it is ready once a page has been read, and that it is spent, perhaps
    more than once, when another should take over; until that one is ready this one goes on. If the
    next sign of progress is late, the process is ended with SIGALRM.
    """
    parent = settle(ration)
    stopping = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the supervisor too.
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    with held(locks / f"{name}.lock"):
        alarm(WARM_UP_S)
        runner.warm_up()
        alarm(0)
        teller.ready()
        preparing, idle, tasks = True, False, 0
        unsure = False  # Whether a claim may have been noted although no answer came.
        while not stopping.is_set() and os.getppid() == parent:
            try:
                if unsure:
                    alarm(ANSWER_S)
                    runner.release(name, Blame.NOBODY)
                    alarm(0)
                    unsure = False
                if not runner.has_room():  # What waits is not lost; what is begun might be.
                    stopping.wait(AWAY_S)
                    continue
                # Not between the tasks of a client that sends one after another: it would wait.
                unit = runner.queue.get(0 if preparing and idle else 0.5)
                idle = unit is None
                if unit is None:
                    preparing = preparing and runner.prepare()
                else:
                    ration.limit_task()
                    runner.run(unit, name, alarm)
                    tasks += 1
                    if ration.is_spent(tasks):
                        teller.spent()
            except Unavailable as error:
                log.warning("worker %s waits: %s", name, error)
                unsure = True
                stopping.wait(AWAY_S)
            finally:
                alarm(0)
            teller.pass_on_if_due()
        teller.pass_on()


def settle(ration: Ration) -> int:
    """Make this process one that reads documents, and ends with its parent; the parent's id."""
    parent = _die_with_parent()
    ration.limit_process()
    _give_memory_back()
    # A page is thousands of objects that know no way back: to look for rings of them after each
    # 700, as is usual, takes a fifteenth of the time of a page that need not be recognized.
    gc.set_threshold(10_000)
    return parent


def alarm(seconds: float) -> None:
    """Let the kernel end this process after ``seconds``, unless called again; 0 for never."""
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _die_with_parent() -> int:
    """Be killed when the supervisor ends, however it ends; its process id."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    return parent


def _give_memory_back() -> None:
    """Have large blocks returned to the system as soon as they are free.

    glibc would come to keep them, in pieces that fit nothing: hundreds of megabytes after some
    mixed pages. Elsewhere there is no such switch, and none is needed.
    """
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 2**20)
        mallopt(_M_TRIM_THRESHOLD, 2**21)
