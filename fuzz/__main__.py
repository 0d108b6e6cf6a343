"""All of it in turn: damaged files, requests after the OpenAPI document, odd bodies, the server.

Usage: python -m fuzz [--seconds S] [--seed N] [--schemathesis PROGRAM] [--corpus DIR]

Findings are kept in the folder fuzz-findings; the exit status tells whether there are any.
"""

import argparse
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from fuzz import bodies, files, seeds, service
from fuzz.files import FINDINGS
from fuzz.pool import MOST_PAGES, MOST_PIXELS
from tests.server import TOKEN, Server

_CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_headers_conformance", "response_schema_conformance", "unsupported_method",
    "allow_header_conformance", "ignored_auth", "use_after_free",
)  # fmt: skip


def main() -> None:
    """Half of the time for files, a quarter for requests, a quarter for files over HTTP."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, help="for the same cases again; else by the clock")
    parser.add_argument("--schemathesis", help="the program; without it, its part is left out")
    parser.add_argument("--corpus", type=Path, help="a folder with more files to damage")
    arguments = parser.parse_args()
    logging.disable()  # What libraries say of files that are damaged already.
    seconds = arguments.seconds
    seed = time.time_ns() if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    chosen = seeds.simple() + seeds.old()
    if arguments.corpus is not None:
        chosen += seeds.found(arguments.corpus)
    found = files.fuzz(chosen, seed, seconds / 2)
    with _started() as server:
        until = time.monotonic() + seconds / 10
        found += bodies.fuzz(server.port, TOKEN, seed, lambda: time.monotonic() < until, FINDINGS)
        if arguments.schemathesis:
            found += _requests(arguments.schemathesis, server, seed, seconds * 0.15)
        found += service.fuzz(server, chosen, seed + 1, seconds / 4, FINDINGS)
    print(f"{len(found)} findings")
    sys.exit(bool(found))


@contextmanager
def _started() -> Iterator[Server]:
    """A server with the engine that needs no time, which does each page by itself."""
    with TemporaryDirectory(prefix="ocr-fuzz-") as name:
        folder = Path(name, "data")
        folder.mkdir()
        settings = {"OCR_ENGINE": "stub", "OCR_TURN_S": "0"}
        settings |= {"OCR_MAX_PIXELS": str(MOST_PIXELS), "OCR_MAX_PAGES": str(MOST_PAGES)}
        server = Server(folder, settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _requests(program: str, server: Server, seed: int, seconds: float) -> list[str]:
    """Requests that the OpenAPI document describes, and such as it does not; with and without."""
    found = []
    for headers in ([f"Authorization: Bearer {TOKEN}"], []):
        command = [str(Path(program).absolute()), "run", f"{server.base}/openapi.json"]
        command += ["--checks", ",".join(_CHECKS)]
        command += ["--max-time", str(max(1, round(seconds / 2))), "--seed", str(seed % 2**32)]
        command += ["--continue-on-failure", "--warnings", "off", "--no-color"]
        command += [word for header in headers for word in ("--header", header)]
        # Where it runs it leaves what it found, for its command "replay".
        FINDINGS.mkdir(exist_ok=True)
        ended = subprocess.run(command, cwd=FINDINGS, capture_output=True, text=True, check=False)
        lines = [line for line in ended.stdout.splitlines() if line.strip()]
        print("\n".join(lines if ended.returncode else lines[-2:]), ended.stderr, flush=True)
        if ended.returncode:
            found.append(f"schemathesis, {'with' if headers else 'without'} a token")
    return found


if __name__ == "__main__":
    main()
