"""What goes wrong for an agent: a code, what happened, and what to do about it."""

from app.errors import State


class AgentError(Exception):
    """Something that a tool tells its caller."""

    def __init__(
        self, code: str, message: str, what_to_do: str, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.what_to_do = what_to_do
        self.retry_after_s = retry_after_s

    def told(self) -> dict[str, object]:
        """As the structured content of a tool's answer."""
        error: dict[str, object] = {
            "code": self.code,
            "message": str(self),
            "what_to_do": self.what_to_do,
        }
        if self.retry_after_s is not None:
            error["retry_after_s"] = self.retry_after_s
        return {"error": error}


def refused(status: int, code: str, message: str, retry_after_s: int | None) -> AgentError:
    """What the server answered instead of a record."""
    code = code or ("unauthorized" if status == 401 else "refused")
    if retry_after_s is not None:
        advice = f"Wait {retry_after_s} seconds, then call the tool again."
    else:
        advice = _ADVICE.get(code, "Correct the arguments as the message says, then call again.")
    return AgentError(code, message, advice, retry_after_s)


def failed(state: State, detail: str) -> AgentError:
    """A task that ended without a result."""
    code = state.name.lower()
    return AgentError(code, detail, _ADVICE.get(code, "Tell the user; the same will fail again."))


_ADVICE = {
    "unauthorized": "Ask the user to set OCR_TOKEN to a valid token of the server.",
    "insufficient_user_quota": "Tell the user: the pages of this token are used up.",
    "task_not_exist": "Check the task_id; a task that was deleted or is too old must be sent anew.",
    "result_expired": "Call recognize again; the result is not kept any more.",
    "source_expired": "Call recognize again with the format that is needed.",
    "task_not_complete": "Call get_task with wait_s until it is done, then try again.",
    "page_not_exist": "Ask for a page from 1 to the number of pages.",
    "internal_error": "Try once more; if it happens again, tell the user to look at the log.",
    "invalid_file": "If the message speaks of a password, ask the user for it and call recognize "
    "with it; otherwise the file cannot be read, so tell the user.",
    "download_failed": "Check the URL, or download the file and give its path instead.",
    "too_large": "Split the document, or ask the server's operator for a higher limit.",
    "timed_out": "Try once more; split the document if it happens again.",
    "cancelled": "The task was deleted; call recognize again if it is still needed.",
    "out_of_resources": "Try again later, or split the document.",
}
