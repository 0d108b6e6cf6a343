"""Recognizes a file with the client that was made of /openapi.json: ADDRESS TOKEN FILE.

Prints what it got as JSON; runs with the libraries of made clients, not with the server's.
"""

import json
import sys
import time
from pathlib import Path

from ocr_client import AuthenticatedClient
from ocr_client.api.formats import get_document, make_format
from ocr_client.api.results import get_result
from ocr_client.api.tasks import delete_task, get_task, recognize, watch_task
from ocr_client.models import (
    ApiError,
    DerivedForm,
    DerivedFormat,
    DocumentForm,
    DocumentModel,
    ErrorCode,
    Flag,
    Format,
    Refusal,
    State,
    TaskRecord,
)
from ocr_client.types import File

address, token, path = sys.argv[1:]
with AuthenticatedClient(base_url=address, token=token) as client, Path(path).open("rb") as file:
    form = DocumentForm(
        image_file=File(payload=file, file_name="a.png"),
        format_=Format.TXT,
        language="English",
        sync=Flag.NO,
    )
    created = recognize.sync(client=client, body=form, idempotency_key="python")
    assert isinstance(created, TaskRecord), created
    task = created.data
    polls = 0
    while task.state not in (State.COMPLETE, State.INVALID_FILE):
        time.sleep(0.05)
        polls += 1
        found = get_task.sync(str(task.task_id), client=client)
        assert isinstance(found, TaskRecord), found
        task = found.data
    events = watch_task.sync(str(task.task_id), client=client)
    assert isinstance(events, str), events
    result = get_result.sync(str(task.file).rpartition("/")[2], client=client)
    assert isinstance(result, File), result

    whole = get_document.sync(str(task.task_id), client=client)
    assert isinstance(whole, DocumentModel), whole
    wanted = DerivedForm(format_=DerivedFormat.DOCX)
    word = make_format.sync(str(task.task_id), client=client, body=wanted)
    assert isinstance(word, TaskRecord), word

    failed = recognize.sync(client=client, body=DocumentForm(image_file=File(payload=b"no image")))
    assert isinstance(failed, TaskRecord), failed
    wrong = recognize.sync(client=client, body=DocumentForm(language="Klingon"))
    assert isinstance(wrong, ApiError), wrong
    delete_task.sync(str(task.task_id), client=client)
    gone = get_task.sync(str(task.task_id), client=client)
    assert isinstance(gone, ApiError), gone
    assert gone.error.code is ErrorCode.TASK_NOT_EXIST
with AuthenticatedClient(base_url=address, token="sk-wrong") as stranger:
    refused = get_task.sync(str(task.task_id), client=stranger)
    assert isinstance(refused, Refusal), refused

print(
    json.dumps(
        {
            "text": result.payload.read().decode(),
            "words": len(whole.pages[0].blocks),
            "word": str(word.data.file).rpartition(".")[2],
            "watched": json.loads(events.split("data: ")[-1])["state"],
            "polls": polls,
            "failed": failed.data.state.name,
            "wrong": wrong.error.code,
            "gone": gone.status,
            "refused": refused.error.code,
        }
    )
)
