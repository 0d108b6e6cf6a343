"""Reports to the addresses that clients name in ``callback_url``: signed, and retried."""

import hashlib
import hmac
import logging
import time

from app.errors import AppError
from app.fetch import Fetcher

log = logging.getLogger(__name__)

RETRY_S = (60, 300, 1800, 7200, 6 * 3600)
"""Seconds to wait after each failed try; after the last, no more."""


def deliver(fetcher: Fetcher, url: str, body: str, key: str) -> bool:
    """POST ``body`` to ``url``; whether it was taken (any 2xx)."""
    now = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "X-OCR-Timestamp": now,
        "X-OCR-Signature": "sha256=" + signature(key, now, body),
    }
    try:
        fetcher.post(url, body.encode(), headers)
    except AppError as error:
        log.info("a report could not be delivered: %s", error)
        return False
    return True


def signature(key: str, timestamp: str, body: str) -> str:
    """HMAC-SHA256, hexadecimal, of the time stamp, a full stop and the body.

    ``key`` is the SHA-256 of the token, hexadecimal: both sides know it, and nothing else is
    to be agreed upon. The time stamp is signed so that an old report cannot be sent again.
    """
    return hmac.new(key.encode(), f"{timestamp}.{body}".encode(), hashlib.sha256).hexdigest()


def retry_at(attempts: int) -> float | None:
    """When to try again after ``attempts`` failed tries (Unix seconds); None for never."""
    return time.time() + RETRY_S[attempts - 1] if attempts <= len(RETRY_S) else None
