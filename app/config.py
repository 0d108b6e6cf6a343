"""Settings, read once from the environment (prefix ``OCR_``)."""

import ipaddress
import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.bucket import Bucket

Names = Annotated[tuple[str, ...], NoDecode]
"""A comma-separated list."""
_LISTS = ("trusted_proxies", "cors_origins", "fetch_networks", "fetch_ports")


class Settings(BaseSettings):
    """Every setting of the server; each has a default that works on one machine."""

    model_config = SettingsConfigDict(env_prefix="OCR_", frozen=True)

    # Where it listens and how clients see it.
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    public_url: str = Field(
        "", description="Base of the result addresses; empty: the address the client used."
    )
    result_url_s: float = Field(
        0,
        ge=0,
        description="How long the address of a result is good, in seconds; 0: as long as the "
        "result, and it is static.",
    )
    secret: SecretStr = Field(
        SecretStr(""),
        description="What such addresses are signed with, the same on all machines; empty: made "
        "once in `OCR_DATA_DIR`.",
    )
    trusted_proxies: Names = Field(
        (),
        description="Addresses or networks of proxies whose `X-Forwarded-*` headers are believed.",
    )
    cors_origins: Names = Field(("*",), description="Origins whose pages may call, `*` for any.")
    tokens: SecretStr = Field(
        SecretStr(""),
        description="Comma-separated tokens that are valid beside those in the database.",
    )
    operator_tokens: SecretStr = Field(
        SecretStr(""),
        description="More such tokens, of operators: they see how the server does and what fails.",
    )
    rate_per_minute: int = Field(
        0, ge=0, description="Tasks that a token may create in a minute; 0: no limit."
    )
    tasks_at_once: int = Field(
        0, ge=0, description="Unfinished tasks that a token may have; 0: no limit."
    )
    page_quota: int = Field(
        0, ge=0, description="Pages that a token may have recognized in all; 0: no limit."
    )
    error_type: str = Field("new_api_error", description="`error.type` of a refused token.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe messages that are logged."
    )

    log_format: Literal["text", "json"] = Field(
        "text", description="How they are: lines for people, or a JSON object in each line."
    )
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Another port, of `OCR_HOST`, for `/metrics`, `/healthz` and `/readyz` "
        "without a token; 0: none.",
    )

    # Where it keeps things.
    data_dir: Path = Field(
        Path("data"),
        description="Folder for the database, queue and files; if these are elsewhere, for what "
        "each machine has of its own.",
    )
    database_url: str = Field(
        "", description="SQLAlchemy address of the database; empty: SQLite in `OCR_DATA_DIR`."
    )
    queue_url: str = Field(
        "",
        description="`redis://` or `postgresql://` address of the queue; "
        "empty: SQLite in `OCR_DATA_DIR`.",
    )

    storage_url: str = Field(
        "",
        description="Where documents and results are kept: `s3://bucket/prefix?endpoint=…`, or "
        "`file:///folder`; empty: `files` in `OCR_DATA_DIR`.",
    )
    cache_bytes: int = Field(
        2 * 2**30,
        ge=0,
        description="Most bytes of files from S3 that are kept on the machine's own disk, in "
        "`OCR_DATA_DIR`.",
    )
    result_links: Literal["served", "presigned"] = Field(
        "served",
        description="Who serves results: `served`: this server; `presigned`: S3, at addresses "
        "that are good for `OCR_RESULT_URL_S`, a week at most.",
    )

    keep_sources_s: float = Field(
        7 * 86400,
        ge=0,
        description="How long a document is kept after its task is complete, in seconds, for "
        "other formats of it; 0: not at all.",
    )
    keep_results_s: float = Field(
        7 * 86400,
        ge=0,
        description="How long a result is kept after its task ended, in seconds; 0: as long as "
        "the task.",
    )
    keep_tasks_s: float = Field(
        30 * 86400,
        ge=0,
        description="How long a task is known after it ended, in seconds; 0: for ever.",
    )

    reuse_results: bool = Field(
        False,
        description="Whether a document that the same token sent before, with the same options, "
        "gets a copy of that result at once.",
    )

    # Work.
    engine: Literal["auto", "ppocr", "tesseract", "stub"] = Field(
        "auto", description="Engine for every page; `auto` picks by language."
    )
    stub_page_s: float = Field(
        0, ge=0, description="How long the engine `stub` takes for a page, in seconds."
    )
    office: bool = Field(
        True,
        description="Whether LibreOffice is used; `0`: Office documents that need it are refused.",
    )
    tesseract_binding: Literal["tesserocr", "pytesseract"] = Field(
        "tesserocr", description="How Tesseract is called: in the process, or as a program."
    )
    pdf_writer: Literal["own", "reportlab"] = Field(
        "own", description="What makes a PDF of pictures."
    )
    workers: int = Field(
        0,
        ge=0,
        description="Worker processes; 0: one more than pairs of cores, one on a single core, "
        "at most one for every 1.5 GB of memory.",
    )
    threads: int = Field(
        0,
        ge=0,
        description="Threads of one worker; 0: two, or more where workers are few for the cores.",
    )
    max_attempts: int = Field(
        2, gt=0, description="How often a task is begun when its worker dies under it."
    )
    turn_s: float = Field(
        1,
        ge=0,
        description="How long a worker stays with a part of a long document before it looks for "
        "others, in seconds; after a fifth of that a new one becomes parts for all workers.",
    )
    worker_tasks: int = Field(
        0, ge=0, description="Tasks, or parts, after which a worker is replaced; 0: no number."
    )
    worker_max_bytes: int = Field(
        1_200_000_000,
        gt=0,
        description="Memory with which a worker is replaced after a task, in bytes.",
    )
    lease_s: float = Field(
        30,
        ge=3,
        le=3600,
        description="After how many seconds without a sign of a machine its work is given to "
        "others.",
    )
    drain_timeout_s: float = Field(
        30, ge=0, description="How long a stopping worker may finish its task, in seconds."
    )

    downloads: int = Field(8, gt=0, description="Documents that are fetched from URLs at once.")

    # Limits.
    max_queued: int = Field(
        10_000, gt=0, description="Tasks that may wait; more get a 503 until some are done."
    )
    min_free_bytes: int = Field(
        500 * 2**20,
        ge=0,
        description="Bytes of the disk that stay free: with less, new tasks get a 503, and those "
        "that wait go on waiting.",
    )
    sync_wait_s: float = Field(
        120, ge=0, description="Longest wait of a `sync=1` request, in seconds."
    )
    max_connections: int = Field(
        2000,
        gt=0,
        description="Most connections at once; beyond it, whoever says nothing longest makes room.",
    )
    header_timeout_s: float = Field(
        10, gt=0, description="Limit for the header of a request, in seconds."
    )
    body_timeout_s: float = Field(
        30, gt=0, description="Longest that a client may send nothing of a body, in seconds."
    )
    min_bytes_per_s: int = Field(
        500,
        gt=0,
        description="Slowest that a body may come and an answer be taken, on average and after "
        "`OCR_BODY_TIMEOUT_S`.",
    )
    max_upload_bytes: int = Field(
        200 * 2**20, gt=0, description="Largest document, sent or downloaded, in bytes."
    )
    max_pages: int = Field(5000, gt=0, description="Most pages a document may have.")
    max_pixels: int = Field(
        200_000_000, gt=0, description="Largest page image, in pixels, that is decoded."
    )
    max_document_pixels: int = Field(
        50_000_000_000, gt=0, description="Most pixels of all frames of an image together."
    )
    max_unpacked_bytes: int = Field(
        2**30,
        gt=0,
        description="Most bytes that an Office document, or the compressed data of a PDF other "
        "than its images, may unpack to.",
    )
    max_unpacked_ratio: int = Field(
        200, gt=0, description="Most bytes that one byte of an Office document may unpack to."
    )
    max_archive_parts: int = Field(
        10_000, gt=0, le=10_000, description="Most parts that an Office document may be made of."
    )
    max_result_bytes: int = Field(2**30, gt=0, description="Largest result, in bytes.")
    task_memory_bytes: int = Field(
        4_000_000_000,
        gt=0,
        description="Most memory that a task may take in its worker, in bytes. "
        "A page image of 200 million pixels takes up to 3 GB.",
    )
    max_file_bytes: int = Field(
        16_000_000_000,
        gt=0,
        description="Largest file that a worker may write, in bytes: results, what lies between, "
        "and the SQLite database.",
    )
    page_timeout_s: float = Field(60, gt=0, description="Limit for one page, in seconds.")
    task_timeout_s: float = Field(
        3600, gt=0, description="Limit for one attempt at a task, in seconds."
    )
    office_timeout_s: float = Field(
        120, gt=0, description="Limit for converting one Office document, in seconds."
    )
    office_files: int = Field(
        50, gt=0, description="Office documents after which a worker starts LibreOffice anew."
    )
    fetch_timeout_s: float = Field(60, gt=0, description="Limit for one download, in seconds.")
    fetch_networks: Names = Field(
        (),
        description="Networks, such as `10.1.0.0/16`, that `image_url` and `callback_url` "
        "may reach although they are not public.",
    )
    fetch_ports: Names = Field(
        ("80", "443"), description="Ports that `image_url` and `callback_url` may name."
    )

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, values: dict[str, Any]) -> dict[str, Any]:
        # An empty OCR_HOST would listen on all addresses; an empty list is one without anybody.
        return {name: value for name, value in values.items() if value != "" or name in _LISTS}

    @field_validator(*_LISTS, mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            _check_network(each, strict=False)
        return value

    @field_validator("fetch_networks")
    @classmethod
    def _check_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            _check_network(each, strict=True)
        return value

    @field_validator("fetch_ports")
    @classmethod
    def _check_ports(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not re.fullmatch("[0-9]{1,5}", each) or int(each) >= 2**16:
                raise ValueError(f"{each} is no port, such as 8080")
        return value

    @field_validator("public_url")
    @classmethod
    def _check_base(cls, value: str) -> str:
        parts = urlsplit(value)
        is_base = parts.scheme in ("http", "https") and parts.hostname and not parts.query
        if value and not is_base:
            raise ValueError(f"{value} is no base of addresses, such as https://ocr.example.org")
        return value

    @field_validator("database_url")
    @classmethod
    def _check_database(cls, value: str) -> str:
        if value and not re.match(r"(sqlite|postgresql)(\+\w+)?://", value):
            # The value is not told: it may hold a password.
            raise ValueError("it must begin with postgresql+psycopg:// or sqlite:///")
        return value

    @field_validator("queue_url")
    @classmethod
    def _check_queue(cls, value: str) -> str:
        if value and not re.match("(rediss?|unix|postgres(ql)?)://", value):
            raise ValueError("it must begin with redis:// or postgresql://")
        return value

    @field_validator("storage_url")
    @classmethod
    def _check_storage(cls, value: str) -> str:
        if value.startswith("s3://"):
            Bucket.at(value)
        elif value and not re.match("file:///[^/]", value):
            raise ValueError("it must begin with s3:// or file:///")
        return value

    @field_validator("result_links")
    @classmethod
    def _check_links(cls, value: str, info: ValidationInfo) -> str:
        if value == "presigned" and not info.data.get("storage_url", "").startswith("s3://"):
            raise ValueError("presigned needs an OCR_STORAGE_URL that begins with s3://")
        return value

    @property
    def database(self) -> str:
        """The database's address: SQLite in the data folder, if no other is named."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'ocr.db').resolve()}"

    @property
    def worker_count(self) -> int:
        """The number of worker processes.

        Two threads keep 1.75 cores busy: one worker more than pairs of cores fills the rest.
        """
        if self.workers:
            return self.workers
        count = cores()
        wanted = count // 2 + 1 if count > 1 else 1
        return max(1, min(wanted, memory_bytes() // _MEMORY_OF_WORKER))

    @property
    def bucket(self) -> Bucket | None:
        """The bucket that files are kept in; None if that is a folder."""
        return Bucket.at(self.storage_url) if self.storage_url.startswith("s3://") else None

    @property
    def files(self) -> Path:
        """The folder that files are kept in, unless that is a bucket."""
        path = unquote(urlsplit(self.storage_url).path)
        return Path(path) if self.storage_url else self.data_dir / "files"

    @property
    def worker_threads(self) -> int:
        """The number of threads of one worker."""
        count = cores()
        return self.threads or max(min(2, count), count // self.worker_count)

    @property
    def step_timeout_s(self) -> float:
        """Limit for opening a document and for finishing a result, in seconds."""
        return max(self.office_timeout_s, self.page_timeout_s)


def unknown(names: Iterable[str]) -> list[str]:
    """Those of the environment's ``names`` that look like settings and are none.

    Each with the setting that may be meant.
    """
    known = {f"OCR_{name.upper()}" for name in Settings.model_fields}
    found = []
    for name in sorted({name.upper() for name in names} - known - _OTHERS):
        # Kubernetes names the addresses of a service called ocr-server so.
        if name.startswith("OCR_") and not name.startswith("OCR_SERVER_"):
            alike = get_close_matches(name, known, 1)
            found.append(f"{name} ({alike[0]}?)" if alike else name)
    return found


_OTHERS = {"OCR_URL", "OCR_TOKEN", "OCR_DOCUMENT_PASSWORD"}  # Of commands, not of the server.


def _check_network(text: str, *, strict: bool) -> None:
    try:
        ipaddress.ip_network(text, strict=strict)
    except ValueError as error:
        raise ValueError(f"{text} is no address or network, such as 10.1.0.0/16") from error


def cores() -> int:
    """The cores that this process may use: a container's quota, else its CPU set."""
    usable = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(usable, round(int(quota) / int(period))))
    except (OSError, ValueError):  # No cgroup v2, or its quota is "max".
        return usable


_MEMORY_OF_WORKER = 1_500_000_000  # Bytes, with Tesseract's models and LibreOffice beside it.


def memory_bytes() -> int:
    """The bytes that this process may use: a container's limit, else the machine's memory."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")
        return min(installed, int(limit))
    except (OSError, ValueError):  # No cgroup v2, or its limit is "max".
        return installed
