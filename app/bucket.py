"""The address of a bucket: ``s3://bucket/prefix?endpoint=http://host:9000&region=eu-west-1``."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, and where and how it is reached."""

    name: str
    prefix: str = ""  # Of all keys, without a slash at either end.
    endpoint: str = ""  # The store's address; empty: Amazon's of the region.
    region: str = ""  # Empty: what AWS_REGION says, or us-east-1.
    virtual: bool = False  # Whether its name is part of the host rather than of the path.
    public: str = ""  # The endpoint as clients reach it; empty: the same.

    @staticmethod
    def at(url: str) -> "Bucket":
        """What ``url`` says. Raises ValueError, whose text repeats nothing secret."""
        return _parsed(url)


def _parsed(url: str) -> Bucket:
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("keys belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", parts.netloc):
        raise ValueError("it must begin with s3://, and the name of a bucket")
    prefix = unquote(parts.path).strip("/")
    if prefix and any(part in ("", ".", "..") for part in prefix.split("/")):
        raise ValueError("the prefix has an empty part, or one of dots")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if others := options.keys() - {"endpoint", "region", "style", "public"}:
        known = "only endpoint, region, style and public may follow the ?"
        raise ValueError(f"{known}, not {', '.join(sorted(others))}")
    style = options.get("style", "path" if "endpoint" in options or "." in parts.netloc else "")
    if style not in ("", "path", "virtual"):
        raise ValueError("style must be path or virtual")
    return Bucket(
        name=parts.netloc,
        prefix=prefix,
        endpoint=_endpoint(options.get("endpoint", "")),
        region=options.get("region", ""),
        virtual=style != "path",
        public=_endpoint(options.get("public", "")),
    )


def _endpoint(text: str) -> str:
    parts = urlsplit(text)
    if text and not (parts.scheme in ("http", "https") and parts.hostname and parts.path in "/"):
        raise ValueError("an endpoint must be like https://host:9000")
    if "@" in parts.netloc or parts.query:
        raise ValueError("an endpoint has neither keys nor parameters")
    return text.rstrip("/")
