"""Links to a file in an S3 store that are good for a while, whoever follows them.

Signature Version 4 in the query, as Amazon's reference "Authenticating Requests: Using Query
Parameters" describes it.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlsplit

LONGEST_S = 7 * 86400.0
"""For how long a link can be good, in seconds."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What requests are signed with."""

    access: str
    secret: str
    session: str = ""  # Of keys that are good for a while.


def presigned(
    address: str,
    parameters: Mapping[str, str],
    keys: Keys,
    region: str,
    seconds: int,
    now: datetime,
) -> str:
    """A link to GET ``address``, whose path is not quoted yet; ``now`` is in UTC."""
    parts = urlsplit(address)
    path = quote(address.partition("//")[2].removeprefix(parts.netloc), safe="/-_.~")
    moment = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    query = {
        **parameters,
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{keys.access}/{scope}",
        "X-Amz-Date": moment,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": "host",
    }
    if keys.session:
        query["X-Amz-Security-Token"] = keys.session
    words = "&".join(sorted(f"{_quoted(name)}={_quoted(value)}" for name, value in query.items()))
    request = f"GET\n{path}\n{words}\nhost:{parts.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = f"AWS4{keys.secret}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    signed = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    signature = hmac.new(key, signed.encode(), hashlib.sha256).hexdigest()
    return f"{parts.scheme}://{parts.netloc}{path}?{words}&X-Amz-Signature={signature}"


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")
