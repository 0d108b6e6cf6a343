"""Under which keys the files of a task are stored."""

from app.db import Task
from app.interfaces import Storage


def forget_source(storage: Storage, task: Task) -> None:
    """Remove the files of a task that are not its result."""
    storage.delete(source_key(task))
    storage.delete(f"parts/{task.id}")


def source_key(task: Task) -> str:
    """Where the document is kept that was sent."""
    return f"sources/{task.id}"


def result_key(task: Task) -> str:
    """Where what was made of it is kept."""
    return f"results/{task.id}.{task.format}"


def text_key(task: Task) -> str:
    """Where its text is kept, if that was wanted beside the result."""
    return f"texts/{task.id}.txt"


def original_key(task_id: str) -> str:
    """Where the document is kept as it is read: unlocked, laid out, downloaded."""
    return f"parts/{task_id}/original"


def portion_key(task_id: str, first: int) -> str:
    """Where the pages of a part are kept, by the first of them."""
    return f"parts/{task_id}/{first}"
