"""What the OpenAPI document says of records and errors, made by the code that answers with them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api import connections
from app.api.errors import ROUTER_CODES, rendered
from app.errors import (
    AppError,
    BadRequest,
    BodyTooLarge,
    IdempotencyKeyReused,
    InternalError,
    NotComplete,
    NotMade,
    NotStored,
    OperatorsOnly,
    PageNotFound,
    QuotaUsedUp,
    RateLimited,
    RequestTooSlow,
    ResultExpired,
    SourceExpired,
    State,
    TaskNotFound,
    TooManyStreams,
    TooManyTasks,
    Unauthorized,
    Unavailable,
)
from app.record import record
from app.rows import Task

Responses = dict[int | str, dict[str, Any]]
"""What FastAPI takes as the answers of a route."""


def answers(success: Mapping[str, Any], *errors: type[AppError]) -> Responses:
    """The answers of a route that needs a token: ``success`` is what it says with a 200."""
    return {200: dict(success)} | failures(Unauthorized, *errors, Unavailable, InternalError)


def failures(*errors: type[AppError]) -> Responses:
    """Answers with the body of each error, one for each status."""
    found: Responses = {}
    for kind in errors:
        error = _SAID[kind]
        schema = "ApiError" if "status" in _body(error) else "Refusal"
        answer = found.setdefault(kind.status, {"description": "", "content": json_of(schema, {})})
        answer["description"] = " ".join(filter(None, (answer["description"], kind.__doc__)))
        examples = answer["content"]["application/json"]["examples"]
        examples[kind.code or "unauthorized"] = {"value": _body(error)}
        if error.retry_after_s is not None or kind.status == Unavailable.status:
            answer["headers"] = {"Retry-After": _RETRY_AFTER}
    return found


def json_of(name: str, examples: dict[str, Any]) -> dict[str, Any]:
    """JSON content of a named schema."""
    return {"application/json": {"schema": ref(name), "examples": examples}}


def ref(name: str) -> dict[str, str]:
    """A reference to a named schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def describe(app: FastAPI, schemas: Mapping[str, Any]) -> dict[str, Any]:
    """The OpenAPI document, with the tokens that the middleware asks for and all named schemas."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=_TAGS,
        license_info={"name": "Apache 2.0", "identifier": "Apache-2.0"},
        # Relative: the document is right under every name that the server has.
        servers=[{"url": "/"}],
    )
    parts = document.setdefault("components", {})
    parts["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-KEY"},
    }
    document["security"] = [{"bearer": []}, {"key": []}]
    for methods in document["paths"].values():
        for operation in methods.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]  # Any name is one: it never comes.
            if "401" not in operation["responses"]:
                operation["security"] = []
    parts["schemas"] = {**SCHEMAS, **schemas}
    return document


def _body(error: AppError) -> dict[str, Any]:
    return dict(json.loads(bytes(rendered(error, _REQUEST_ID, "new_api_error").body)))


def _example(state: State, detail: str, **values: Any) -> dict[str, Any]:
    """A record as the code makes it."""
    values = {"progress": 0, "created_at": _BEGAN, "input_size": 116929, **values}
    task = Task(id=_TASK_ID, state=state, state_detail=detail, **values)
    address = f"http://127.0.0.1:8000/tasks/output/ocr/{_TASK_ID}.txt"
    return {"value": {"status": 200, "data": record(task, address)}}


def _kinds(kind: type[AppError] = AppError) -> Iterator[type[AppError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _kinds(child)


_TAGS = [
    {"name": "tasks", "description": "Documents that are recognized, and their records."},
    {"name": "aliases", "description": "The same under the paths that clients of the vendor use."},
    {"name": "formats", "description": "More of finished tasks: formats, words, page pictures."},
    {"name": "results", "description": "What was made of them."},
    {"name": "operations", "description": "For whoever runs the server."},
]
_REQUEST_ID = "5bd1f5a6f1f04c1c9e1f7a3c2b9d8e07"
_TASK_ID = "3f0e2c54-7d0b-4a53-9a8e-0c9a4f6b1d2e"
_BEGAN = 1746953927.0
_SAID: dict[type[AppError], AppError] = {
    type(error): error
    for error in (
        BadRequest("format must be one of txt, pdf, docx, xlsx, pptx (in lower case)."),
        Unauthorized("无效的令牌"),
        QuotaUsedUp("用户额度不足, 剩余额度: 0 页, 总额度: 1000 页"),
        TaskNotFound("There is no such task."),
        ResultExpired("The result was kept for its time and is deleted."),
        RequestTooSlow("The body comes too slowly, or has stopped coming."),
        BodyTooLarge("The document is larger than 209715200 bytes."),
        SourceExpired("The document is not kept any more; send it again."),
        PageNotFound("The document has no such page."),
        NotComplete("The task is not complete; ask again when its state is 1."),
        NotMade("The document takes longer than the limit; send fewer pages."),
        IdempotencyKeyReused("This Idempotency-Key was sent with another request before."),
        RateLimited("This token may create 60 tasks in a minute.", 42),
        TooManyTasks("This token has 20 unfinished tasks, which is its limit."),
        TooManyStreams("This token watches 500 tasks already, which is its limit."),
        OperatorsOnly("Only an operator's token may see this."),
        NotStored("The file could not be stored: the disk is full or fails."),
        Unavailable("The database does not answer; try again later."),
        InternalError("An internal error; the server's log tells more."),
    )
}
_RETRY_AFTER = {
    "description": "Seconds after which it may be tried again.",
    "schema": {"type": "integer", "minimum": 1},
}
_REQUEST_CODES = {kind.code for kind in _kinds() if kind.status != AppError.status} | {
    InternalError.code,
    *ROUTER_CODES.values(),
    *connections.CODES.values(),
}
_FAILURE_CODES = {kind.code for kind in _kinds() if kind.state != AppError.state}

_COMPLETE = _example(
    State.COMPLETE,
    "Complete",
    progress=100,
    ocr_pages=1,
    file_pages=1,
    output_size=164,
    processed_at=_BEGAN,
    completed_at=_BEGAN + 3,
    result_since=_BEGAN + 3,
)
_UNFINISHED = _example(
    State.PROCESSING,
    "Processing: 3 of 7 pages",
    progress=43,
    file_pages=7,
    processed_at=_BEGAN,
)
_FAILED = _example(
    State.INVALID_FILE,
    "The document is protected: send its password in the field password.",
    processed_at=_BEGAN,
    completed_at=_BEGAN + 1,
)
RECORD: dict[str, Any] = {
    "description": "The record. A document that failed is one, too: look at `state`.",
    "content": json_of(
        "TaskRecord",
        {
            "complete": {"summary": "It is done", **_COMPLETE},
            "unfinished": {"summary": "Look again in a while", **_UNFINISHED},
            "failed": {"summary": "`state_detail` says what to do", **_FAILED},
        },
    ),
    "headers": {
        "X-OCR-Failed-Pages": {
            "description": "The numbers of pages that could not be read, with commas between.",
            "schema": {"type": "string", "pattern": r"^\d+(,\d+)*$"},
        }
    },
}
"""The answer of whatever answers with a record."""

DELETED: dict[str, Any] = {
    "description": "It is gone",
    "content": json_of(
        "Deleted", {"deleted": {"value": {"status": 200, "data": {"task_id": _TASK_ID}}}}
    ),
}

_TASK: dict[str, Any] = {
    "type": "object",
    "description": "A task. Keys that have no value yet are left out, never null.",
    "required": ["type", "state", "task_id", "progress", "created_at", "state_detail"],
    "properties": {
        "file": {
            "type": "string",
            "format": "uri",
            "description": "Address of the result, while it is kept; it needs no token.",
        },
        "type": {"type": "integer", "const": 101, "description": "Recognition of documents."},
        "state": ref("State"),
        "task_id": {"type": "string", "format": "uuid"},
        "progress": {"type": "integer", "minimum": 0, "maximum": 100, "description": "Percent."},
        "ocr_pages": {"type": "integer", "description": "Pages on which recognition ran."},
        "created_at": {"type": "integer", "description": "Unix time in seconds."},
        "file_pages": {"type": "integer", "description": "Pages of the document."},
        "input_size": {"type": "integer", "description": "Bytes of the document."},
        "output_size": {"type": "integer", "description": "Bytes of the result."},
        "completed_at": {"type": "integer", "description": "Unix time in seconds."},
        "processed_at": {"type": "integer", "description": "When work began: Unix time."},
        "state_detail": {"type": "string", "description": "For people: what it is at, or to do."},
        "text": {"type": "string", "description": "The plain text, if `return_text` is 1."},
    },
}
_DETAIL: dict[str, Any] = {
    "type": "object",
    "required": ["message", "type", "code"],
    "properties": {
        "message": {"type": "string", "description": "For people, with the request's id."},
        "type": {"type": "string", "examples": ["invalid_request_error", "server_error"]},
        "code": ref("ErrorCode"),
    },
}
SCHEMAS: dict[str, Any] = {
    "TaskRecord": {
        "type": "object",
        "required": ["status", "data"],
        "properties": {"status": {"type": "integer", "const": 200}, "data": ref("Task")},
    },
    "Task": _TASK,
    "State": {
        "type": "integer",
        "enum": [int(state) for state in State],
        "x-enum-varnames": [state.name for state in State],
        "description": "Final are 1 (complete) and all below 0 (failed): "
        + ", ".join(f"{int(state)} {state.name.lower()}" for state in State)
        + ".",
    },
    "Deleted": {
        "type": "object",
        "required": ["status", "data"],
        "properties": {
            "status": {"type": "integer", "const": 200},
            "data": {
                "type": "object",
                "required": ["task_id"],
                "properties": {"task_id": {"type": "string", "format": "uuid"}},
            },
        },
    },
    "ApiError": {
        "type": "object",
        "required": ["status", "message", "error"],
        "properties": {
            "status": {"type": "integer", "description": "The HTTP status."},
            "message": {"type": "string", "description": "For people: what to do."},
            "error": ref("ErrorDetail"),
        },
    },
    "Refusal": {
        "type": "object",
        "description": "What a token does not allow.",
        "required": ["error"],
        "properties": {"error": ref("ErrorDetail")},
    },
    "ErrorDetail": _DETAIL,
    "ErrorCode": {
        "type": "string",
        "enum": sorted(_REQUEST_CODES),
        "description": "Why a request was refused; empty for a token that is not valid.",
    },
    "FailureCode": {
        "type": "string",
        "enum": sorted(_FAILURE_CODES),
        "description": "Why a task failed, for operators.",
    },
    "Health": {
        "type": "object",
        "required": ["status"],
        "properties": {"status": {"type": "string", "enum": ["ok", "ready"]}},
    },
}
"""The named schemas that are not their routes' own."""
