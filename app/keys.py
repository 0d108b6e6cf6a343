"""Under which keys the files of a task are stored, and how long they are wanted."""

import logging

from app.errors import State, Unavailable
from app.interfaces import Storage
from app.rows import Task

log = logging.getLogger(__name__)

FOLDERS = ("sources", "readings", "parts", "results", "texts")
"""What the keys begin with; a name that begins with the id of its task follows."""


def forget_unwanted(storage: Storage, task: Task, now: Task | None, divided: bool = True) -> None:
    """Remove what is not wanted of the files of ``task``; ``now`` is its row, if there is one.

    Only what was ``divided`` has parts, and to look for some costs a store a listing.
    What cannot be removed now is found later, by the walk through all files.
    """
    try:
        remove_unwanted(storage, task, now, divided)
    except (OSError, Unavailable) as error:
        log.warning("files of task %s are removed later: %s", task.id, error)


def remove_unwanted(storage: Storage, task: Task, now: Task | None, divided: bool = True) -> None:
    """The same, but raises Unavailable, OSError."""
    keys = (
        *(source_key(task), readings_key(task.id), result_key(task), text_key(task)),
        *((f"parts/{task.id}/",) if divided else ()),
    )
    for key in keys:
        if not is_wanted(key, now):
            storage.delete(key)


def is_wanted(key: str, task: Task | None) -> bool:
    """Whether the file of a task is still needed; ``task`` is its row, if there is one."""
    if task is None:
        return False
    if not State(task.state).final:
        return True
    since = {
        "sources": task.source_since,
        "readings": task.source_since,
        "parts": None,
        "results": task.result_since,
        "texts": task.result_since,
    }
    return since[key.partition("/")[0]] is not None


def task_of(key: str) -> str:
    """The id of the task that a file or folder belongs to."""
    return key.split("/")[1].partition(".")[0]


def source_key(task: Task) -> str:
    """Where the document is kept that was sent."""
    return f"sources/{task.id}"


def readings_key(task_id: str) -> str:
    """Where it is kept what was read in it."""
    return f"readings/{task_id}"


def result_key(task: Task) -> str:
    """Where what was made of it is kept."""
    return f"results/{task.id}.{task.format}"


def text_key(task: Task) -> str:
    """Where its text is kept, if that was wanted beside the result."""
    return f"texts/{task.id}.txt"


def original_key(task_id: str) -> str:
    """Where the document is kept as it is read: unlocked, laid out, downloaded."""
    return f"parts/{task_id}/original"


def portion_key(task_id: str, first: int, last: int) -> str:
    """Where the pages of a part are kept: others may have read more of it, or less."""
    return f"parts/{task_id}/{first}-{last}"


def portion_readings_key(task_id: str, first: int, last: int) -> str:
    """Where it is kept meanwhile what was read in the pages of a part."""
    return f"{portion_key(task_id, first, last)}.readings"
