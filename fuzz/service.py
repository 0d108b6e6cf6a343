"""Damaged files through the whole server: no worker dies, each task ends, good files are read."""

import re
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from app.errors import State
from fuzz.files import Made, cases
from fuzz.seeds import Seed
from tests.pictures import picture
from tests.server import Server

_CLIENTS = 4
_ENDED = re.compile(r"worker \S+ ended \((SIG\w+|exit status [1-9]\d*)\)")


def fuzz(
    server: Server, chosen: Sequence[Seed], seed: int, seconds: float, findings: Path
) -> list[str]:
    """Post files for so many seconds; what is wrong with what came of them."""
    until = time.monotonic() + seconds
    endless = cases(chosen, seed)
    lock = threading.Lock()
    states: Counter[str] = Counter()
    found: list[str] = []

    def taken() -> Made:
        with lock:
            return next(endless)

    def post() -> None:
        while time.monotonic() < until:
            made = taken()
            case = made.case
            fields = {"format": case.format, "mode": case.mode, "pdfa": str(int(case.pdfa))}
            if case.password:
                fields["password"] = case.password
            try:
                record = server.post(made.data, **fields)
                wrong = _wrong(record)
                states[State(record["state"]).name] += 1
            except Exception as error:
                wrong = f"{type(error).__name__}: {error}"
            if wrong:
                found.append(f"{wrong} ({_kept(made, wrong, findings)})")
                print(f"FINDING {found[-1]}", flush=True)

    with ThreadPoolExecutor(_CLIENTS) as clients:
        for each in [clients.submit(post) for _ in range(_CLIENTS)]:
            each.result()
    told = ", ".join(f"{count} {state}" for state, count in states.most_common())
    print(f"service: {states.total()} files: {told}", flush=True)
    return found + _after(server)


def _wrong(record: dict[str, object]) -> str:
    """What is wrong with the record of a task that was waited for."""
    state = State(int(str(record["state"])))
    if not state.final:
        return f"not final: {state.name}"
    if state in (State.INTERNAL_ERROR, State.TIMED_OUT, State.OUT_OF_RESOURCES):
        return f"{state.name}: {record['state_detail']}"
    return ""


def _kept(made: Made, wrong: str, findings: Path) -> Path:
    findings.mkdir(exist_ok=True)
    path = findings / f"service-{sha256(made.data).hexdigest()[:12]}.{made.kind}"
    path.write_bytes(made.data)
    path.with_suffix(path.suffix + ".txt").write_text(f"{wrong}\n{made.case}\n", encoding="utf-8")
    return path


def _after(server: Server) -> list[str]:
    """What is left of it all that should not be."""
    found = []
    log = (server.folder.parent / "server.log").read_text(encoding="utf-8", errors="replace")
    for said, count in Counter(_ENDED.findall(log)).items():
        found.append(f"{count} x a worker ended ({said})")
    good = server.post(picture(), format="txt")
    if good["state"] != State.COMPLETE or b"stub" not in server.result(good):
        found.append("a sound file is not read any more")
    for folder in ("work", "staging"):
        if left := list((server.folder / folder).glob("*")):
            found.append(f"{len(left)} files left in the folder {folder}")
    for each in found:
        print(f"FINDING {each}", flush=True)
    return found
