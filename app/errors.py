"""One tree of errors; each class carries its task state, HTTP status and code.

``str(error)`` is always safe to show to the caller: it says what is wrong and what to do, and
names no path, address or library. The cause travels in ``__cause__`` and goes to the log.
"""

from enum import IntEnum


class State(IntEnum):
    """The states of a task, as clients see them."""

    QUEUED = 0
    COMPLETE = 1
    PREPARING = 2
    WAITING = 3
    PROCESSING = 4
    FAILED = -1
    NOT_STORED = -2
    DOWNLOAD_FAILED = -3
    TOO_LARGE = -5
    INVALID_FILE = -7
    TIMED_OUT = -8
    INTERNAL_ERROR = -9
    EMPTY_RESULT = -11
    CANCELLED = -13
    OUT_OF_RESOURCES = -15

    @property
    def final(self) -> bool:
        """Whether a task in this state will never change again."""
        return self is State.COMPLETE or self < 0


class AppError(Exception):
    """Anything that goes wrong in a way that the caller should hear about."""

    state = State.FAILED
    status = 500
    code = "internal_error"
    retry_after_s: int | None = None  # When a request that was refused may be sent again.


class InternalError(AppError):
    """A fault of ours; the log says which."""

    state = State.INTERNAL_ERROR


# Requests that never become a task.


class BadRequest(AppError):
    """A field is missing, unknown or out of its range."""

    status, code = 400, "invalid_parameter"


class Refused(AppError):
    """The token does not allow it; told in the gateway's shape."""


class Unauthorized(Refused):
    """The token is missing, unknown, expired or revoked."""

    status, code = 401, ""


class QuotaUsedUp(Refused):
    """The token's pages are used up."""

    status, code = 403, "insufficient_user_quota"


class IdempotencyKeyReused(AppError):
    """The key of another request was sent with this one."""

    status, code = 422, "idempotency_key_reused"


class RateLimited(AppError):
    """The token has created as many tasks in this minute as it may."""

    status, code = 429, "rate_limited"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooManyTasks(AppError):
    """The token has as many unfinished tasks as it may."""

    status, code = 429, "too_many_tasks"
    retry_after_s = 5  # When one of the tasks will end, nobody knows.


class TooManyStreams(AppError):
    """The token watches as many tasks at once as it may."""

    status, code = 429, "too_many_streams"
    retry_after_s = 5  # When one of the tasks will end, nobody knows.


class OperatorsOnly(AppError):
    """The token is valid, but not an operator's."""

    status, code = 403, "operators_only"


class TaskNotFound(AppError):
    """There is no such task, or it is another token's."""

    status, code = 404, "task_not_exist"


class ResultExpired(TaskNotFound):
    """The result was kept for its time."""

    code = "result_expired"


class SourceExpired(TaskNotFound):
    """The document was kept for its time, so nothing more can be made of it."""

    code = "source_expired"


class PageNotFound(TaskNotFound):
    """The document has no such page, or it has no picture."""

    code = "page_not_exist"


class NotComplete(AppError):
    """Other formats are made of the documents of complete tasks."""

    status, code = 409, "task_not_complete"


class NotMade(AppError):
    """Another format could not be made of a document; the message says why."""

    status, code = 422, "not_made"


class BodyTooLarge(AppError):
    """The request's body is over the limit."""

    status, code = 413, "file_too_large"


class RequestTooSlow(AppError):
    """The body of a request comes too slowly, or has stopped coming."""

    status, code = 408, "request_timeout"


class Unavailable(AppError):
    """The service cannot take the request now; later it can."""

    status, code = 503, "service_unavailable"


# Tasks that fail.


class DownloadFailed(AppError):
    """The document could not be fetched from its URL."""

    state, code = State.DOWNLOAD_FAILED, "download_failed"


class TooLarge(AppError):
    """The document has too many bytes, pages or pixels."""

    state, code = State.TOO_LARGE, "document_too_large"


class InvalidFile(AppError):
    """The document is corrupt or of a kind that cannot be read."""

    state, code = State.INVALID_FILE, "invalid_file"


class EncryptedDocument(InvalidFile):
    """The document needs a password that was not given, or the given one is wrong."""

    code = "encrypted_document"


class NotReadHere(InvalidFile):
    """The server was set up without what reads documents of this kind."""

    code = "not_read_here"


class TimedOut(AppError):
    """A page or the whole task took longer than its limit."""

    state, code = State.TIMED_OUT, "timed_out"


class Cancelled(AppError):
    """The task was cancelled while it ran."""

    state, code = State.CANCELLED, "cancelled"


class OutOfResources(AppError):
    """Memory or disk ran out."""

    state, code = State.OUT_OF_RESOURCES, "out_of_resources"


class NotStored(AppError):
    """A document or result could not be stored."""

    state, status, code = State.NOT_STORED, 503, "not_stored"


class ToolFailed(AppError):
    """An external program failed; adapters turn this into an error about the document."""

    state, code = State.INTERNAL_ERROR, "tool_failed"


class ToolTimedOut(ToolFailed):
    """An external program was ended because it took too long."""

    state, code = State.TIMED_OUT, "timed_out"
