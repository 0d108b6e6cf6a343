"""The one place that names implementations; heavy ones are imported only where they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app import __version__, callbacks, database, db, languages, operations, otlp
from app.access import Allowance
from app.config import Settings
from app.context import Blind, Watch
from app.disk import Disk
from app.ends import PipeEnds, PostgresEnds
from app.fetch import Fetcher
from app.interfaces import Ends, Engine, Queue, Storage
from app.languages import Language
from app.leases import Leases
from app.links import Links, kept_secret
from app.operations import WorkerState
from app.pipeline import Pipeline
from app.places import Places
from app.ration import Ration
from app.readiness import Readiness
from app.retention import Keeping, Sweeper
from app.runner import Runner
from app.storage.cache import Cache
from app.storage.folder import FolderStorage
from app.tasks import Tasks
from app.turn import Limits
from app.watched import WatchedStorage

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

    from app.converters.office_program import Office
    from app.metrics import Gauges
    from app.observer import Observer


@dataclass(frozen=True, slots=True)
class Kinds:
    """What a server is made of; the stub has kinds of its own."""

    tasks: Callable[..., Tasks] = Tasks
    leases: Callable[..., Leases] = Leases
    fetcher: Callable[..., Fetcher] = Fetcher
    pipeline: Callable[[Settings], Pipeline] | None = None  # None: that of ``pipeline``.


def observer(settings: Settings) -> Observer:
    """What notes figures, and sends spans if the environment says where to."""
    from app.metrics import Metrics
    from app.observer import Observer

    return Observer(Metrics(settings.engine), otlp.Exporter() if otlp.endpoint() else None)


def gauges(
    settings: Settings, tasks: Tasks, workers: Callable[[], Sequence[WorkerState]], *, queue: bool
) -> Gauges:
    """The gauges of a server; those of the database's queues if it is to tell of them, too."""
    from app.metrics import Gauges

    def look() -> Mapping[str, Any]:
        with tasks.sessions() as session:
            return operations.queues(session)

    return Gauges(workers, disk(settings).free_bytes, look if queue else None)


def readiness(tasks: Tasks, warm: Callable[[], bool]) -> Readiness:
    """Whether requests should come to this process."""

    def ping() -> None:
        with tasks.sessions() as session:
            db.ping(session)

    return Readiness(ping, warm)


def build(
    settings: Settings,
    queue: Queue | None = None,
    downloads: Queue | None = None,
    kinds: Kinds | None = None,
    watch: Watch | None = None,
) -> Tasks:
    """Every use case on the database, queues, storage and parts that the settings ask for.

    ``queue`` and ``downloads`` are for those who look at what is announced; ``watch`` gets figures
    and spans.
    """
    kinds, watch = kinds or Kinds(), watch or Blind()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    for folder in _files_elsewhere(settings):
        folder.mkdir(parents=True, exist_ok=True)
    missed = partial(watch.note, "ocr_unavailable_total", 1)
    sessions = database.connect(settings.database, partial(missed, "database"))
    storage, room = WatchedStorage(store(settings), watch), disk(settings)
    ends = _ends(settings, sessions)
    fetch = fetcher(settings, kind=kinds.fetcher)
    failed = partial(missed, "queue")
    queue = queue or _queue(settings, "ocr", failed)
    downloads = downloads or _queue(settings, "ocr-downloads", failed)
    places = Places(queue, downloads)
    runner = Runner(
        leases=kinds.leases(
            sessions,
            storage,
            queue,
            downloads,
            places,
            ends,
            lease_s=settings.lease_s,
            max_attempts=settings.max_attempts,
            keeps_sources=settings.keep_sources_s > 0,
            watch=watch,
        ),
        storage=storage,
        queue=queue,
        downloads=downloads,
        fetcher=fetch,
        pipeline=partial(kinds.pipeline or pipeline, settings),
        work=settings.data_dir / "work",
        disk=room,
        limits=Limits(
            settings.task_timeout_s,
            settings.page_timeout_s,
            settings.step_timeout_s,
            settings.turn_s,
            settings.fetch_timeout_s,
        ),
        watch=watch,
    )
    timeout_s = min(callbacks.TIMEOUT_S, settings.fetch_timeout_s)
    reports = fetcher(settings, timeout_s, kinds.fetcher)
    keeping = Keeping(settings.keep_sources_s, settings.keep_results_s, settings.keep_tasks_s)
    links = Links(settings.result_url_s, _secret(settings) if settings.result_url_s else b"")
    maker = (
        f"{__version__} {settings.engine} {settings.pdf_writer}" if settings.reuse_results else ""
    )
    sweeper = Sweeper(sessions, storage, ends, keeping, staging(settings), _tidy(settings))
    return kinds.tasks(
        sessions,
        storage,
        ends,
        reports,
        runner,
        sweeper,
        links,
        places,
        maker=maker,
        disk=room,
        presigns=settings.result_links == "presigned",
        max_queued=settings.max_queued,
        max_pages=settings.max_pages,
        watch=watch,
    )


def pipeline(
    settings: Settings, office: Office | None = None, readers: Mapping[str, Engine] | None = None
) -> Pipeline:
    """The parts that read and write documents.

    ``office`` and ``readers`` stand in for LibreOffice and the engines, which are not needed then.
    """
    from app.converters.image import ImageConverter
    from app.converters.office import OfficeConverter
    from app.converters.office_program import NoOffice, OfficeProgram
    from app.converters.ooxml import Unpacked
    from app.converters.pdf import PdfConverter
    from app.writers.alto import AltoWriter
    from app.writers.docx import DocxWriter
    from app.writers.hocr import HocrWriter
    from app.writers.kept_docx import DocxKeeper
    from app.writers.kept_pptx import PptxKeeper
    from app.writers.kept_xlsx import XlsxKeeper
    from app.writers.page_json import JsonWriter
    from app.writers.pdf import PdfWriter
    from app.writers.pdf_reportlab import ReportlabPdfWriter
    from app.writers.pdfa import ArchivalPdfWriter
    from app.writers.pictures import PicturesWriter
    from app.writers.pptx import PptxWriter
    from app.writers.txt import TextWriter
    from app.writers.xlsx import XlsxWriter

    images = ImageConverter(settings.max_pixels, settings.max_pages, settings.max_document_pixels)
    pdf = PdfConverter(
        settings.max_pixels,
        settings.max_pages,
        settings.page_timeout_s,
        settings.max_unpacked_bytes,
    )
    unpacked = Unpacked(
        settings.max_unpacked_bytes, settings.max_unpacked_ratio, settings.max_archive_parts
    )
    # Its LibreOffice belongs to the process that uses it: each worker builds a pipeline of its own.
    program: Office = office or NoOffice()
    if office is None and settings.office:
        program = OfficeProgram(
            settings.office_timeout_s, settings.office_files, settings.max_pages
        )
    return Pipeline(
        converters=[
            images,
            pdf,
            OfficeConverter(pdf, images, program, settings.max_pages, unpacked),
        ],
        engines=readers or engines(settings),
        writers={
            "txt": TextWriter(),
            "pdf": PdfWriter() if settings.pdf_writer == "own" else ReportlabPdfWriter(),
            "pdfa": ArchivalPdfWriter(),
            "docx": DocxWriter(),
            "xlsx": XlsxWriter(),
            "pptx": PptxWriter(),
            "json": JsonWriter(),
            "hocr": HocrWriter(),
            "alto": AltoWriter(),
            "pictures": PicturesWriter(),
        },
        engine=settings.engine,
        keepers={"docx": DocxKeeper(), "xlsx": XlsxKeeper(), "pptx": PptxKeeper()},
        max_result_bytes=settings.max_result_bytes,
    )


def engines(settings: Settings) -> dict[str, Engine]:
    """The engines by name; each loads its models when it is first used."""
    from app.engines.auto import AutoEngine
    from app.engines.ppocr import PpocrEngine
    from app.engines.stub import StubEngine
    from app.engines.tesseract import TesseractEngine
    from app.engines.timed import TimedEngine

    ppocr = TimedEngine("ppocr", PpocrEngine(settings.worker_threads, settings.data_dir / "models"))
    tesseract = TimedEngine(
        "tesseract",
        TesseractEngine(timeout_s=settings.page_timeout_s, binding=settings.tesseract_binding),
    )
    return {
        "auto": AutoEngine(ppocr, tesseract),
        "ppocr": ppocr,
        "tesseract": tesseract,
        "stub": TimedEngine("stub", StubEngine(settings.stub_page_s)),
    }


def fetcher(
    settings: Settings,
    timeout_s: float | None = None,
    kind: Callable[..., Fetcher] = Fetcher,
) -> Fetcher:
    """The one way out to addresses that clients name."""
    return kind(
        max_bytes=settings.max_upload_bytes,
        timeout_s=timeout_s or settings.fetch_timeout_s,
        open_networks=settings.fetch_networks,
        open_ports=tuple(int(port) for port in settings.fetch_ports),
    )


def work_queue(settings: Settings) -> Queue:
    """The queue of the workers."""
    return _queue(settings, "ocr", lambda: None)


def installed_models() -> frozenset[str]:
    """Tesseract's models that are installed, by names like "eng" and "script/Latin"."""
    from app.engines import tesseract

    return tesseract.installed_models()


def devices() -> dict[str, str]:
    """What OpenVINO could compute on here: names, and what they are."""
    from app.engines import ppocr_networks

    return ppocr_networks.devices()


def check_languages(settings: Settings, wanted: tuple[Language, ...]) -> None:
    """Raise BadRequest unless the models for ``wanted`` are installed."""
    if settings.engine == "auto":
        wanted = languages.for_tesseract(wanted)
    if wanted and settings.engine in ("auto", "tesseract"):
        from app.engines.tesseract import installed_models

        languages.require_models(wanted, installed_models())


def migrate(settings: Settings) -> None:
    """Bring the database's schema up to date."""
    database.migrate(settings.database, settings.data_dir)


def revisions(settings: Settings) -> tuple[str | None, tuple[str, ...]]:
    """The schema's revision in the database, None before the first; all that are known, in order.

    Raises Unavailable.
    """
    return database.revisions(settings.database)


def allowance(settings: Settings) -> Allowance:
    """What tokens may do that have no limits of their own."""
    return Allowance(settings.rate_per_minute, settings.tasks_at_once, settings.page_quota)


def store(settings: Settings) -> Storage:
    """Where files are kept."""
    if settings.bucket is not None:
        from app.storage.s3 import S3Storage

        return S3Storage(settings.bucket, _cache(settings))
    return FolderStorage(settings.files)


def disk(settings: Settings) -> Disk:
    """The disks that everything is kept on."""
    if settings.bucket is not None:
        return Disk([settings.data_dir], settings.min_free_bytes, _cache(settings).make_room)
    return Disk([settings.data_dir, *_files_elsewhere(settings)], settings.min_free_bytes)


def staging(settings: Settings) -> Path:
    """The folder for uploads that are still coming in."""
    return settings.data_dir / "staging"


def locks(settings: Settings) -> Path:
    """The folder for the locks of the worker processes."""
    return settings.data_dir / "workers"


def rooms(settings: Settings) -> Path:
    """The folder for the temporary files of the worker processes."""
    return settings.data_dir / "tmp"


def ration(settings: Settings) -> Ration:
    """What a worker process may take."""
    return Ration(
        settings.task_memory_bytes,
        settings.max_file_bytes,
        settings.worker_max_bytes,
        settings.worker_tasks,
    )


def is_local(settings: Settings) -> bool:
    """Whether workers find all that they need on this machine, without a network."""
    is_sqlite = settings.database.startswith("sqlite:")
    return is_sqlite and not settings.queue_url and settings.bucket is None


def _queue(settings: Settings, name: str, failed: Callable[[], None]) -> Queue:
    from app.queue import HueyQueue

    return HueyQueue(settings.queue_url, settings.data_dir, name, failed)


def _ends(settings: Settings, sessions: sessionmaker[Session]) -> Ends:
    if settings.database.startswith("sqlite:"):
        return PipeEnds(settings.data_dir / "ends")
    return PostgresEnds(sessions.kw["bind"])


def _files_elsewhere(settings: Settings) -> list[Path]:
    """The folder of files, if it may be on another file system."""
    return [settings.files] if settings.storage_url and settings.bucket is None else []


def _cache(settings: Settings) -> Cache:
    """What is kept on this machine of files in a bucket."""
    return Cache(settings.data_dir / "cache", settings.cache_bytes, settings.min_free_bytes)


def _tidy(settings: Settings) -> Callable[[], None]:
    return _cache(settings).tidy if settings.bucket is not None else lambda: None


def _secret(settings: Settings) -> bytes:
    """What addresses of results are signed with."""
    return settings.secret.get_secret_value().encode() or kept_secret(settings.data_dir / "secret")
