"""The record of a task, as clients see it."""

from typing import Any

from app.errors import State
from app.rows import Task

_TYPE = 101  # The hosted service's number for document recognition.


def record(task: Task, address: str, text: str | None = None) -> dict[str, Any]:
    """The record's ``data``: keys without a value yet are left out, the order is fixed.

    ``address`` is that of the result, once it is there.
    """
    there = task.state == State.COMPLETE and task.result_since is not None
    values = {
        "file": address if there else None,
        "type": _TYPE,
        "state": int(task.state),
        "task_id": task.id,
        "progress": task.progress,
        "ocr_pages": task.ocr_pages,
        "created_at": int(task.created_at),
        "file_pages": task.file_pages,
        "input_size": task.input_size,
        "output_size": task.output_size,
        "completed_at": _seconds(task.completed_at),
        "processed_at": _seconds(task.processed_at),
        "state_detail": task.state_detail,
        "text": text,
    }
    return {key: value for key, value in values.items() if value is not None}


def _seconds(moment: float | None) -> int | None:
    return None if moment is None else int(moment)
