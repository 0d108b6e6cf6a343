"""What queue, rows and storage cost, and how far they carry: with an engine that invents its text.

Usage: python -m benchmarks.scale [--quick] [throughput ...]
"""

import argparse
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from benchmarks import stacks
from benchmarks.load import Load, load
from tests.server import TOKEN, Server

_CLIENTS = (1, 4, 16, 64)


def main() -> None:
    """Measure what is asked for, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[[], *_PARTS])
    parser.add_argument("--quick", action="store_true", help="a short look")
    arguments = parser.parse_args()
    for part in arguments.parts or _PARTS:
        _PARTS[part](arguments.quick)


def throughput(quick: bool) -> None:
    """Tasks a second through one API process."""
    seconds = 4 if quick else 20
    for name in stacks.NAMES:
        with stacks.stack(name) as stack, stacks.serving(stack) as server:
            _send(server, 8, 2)
            print(f"\n{name}: one API process, sync=1, small PNG, txt")
            print("  clients  tasks/s  p50 ms  p95 ms  p99 ms  failed  CPU ms a task")
            for clients in _CLIENTS:
                before = stacks.cpu_seconds()
                found = _send(server, clients, seconds)
                after = stacks.cpu_seconds()
                used = {kind: after[kind] - before.get(kind, 0) for kind in after}
                print(f"  {clients:7}  {_told(found)}  {_costs(found, used)}", flush=True)


def _send(server: Server, clients: int, seconds: float) -> Load:
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        Path(file.name).write_bytes(_page())
        return load(server.port, TOKEN, Path(file.name), clients, seconds, format="txt")


def _told(found: Load) -> str:
    quantiles = (1000 * found.quantile_s(share) for share in (0.5, 0.95, 0.99))
    told = "".join(f"{each:6.1f}  " for each in quantiles)
    return f"{found.per_s:7.1f}  {told}{found.failed:6}"


def _costs(found: Load, used: dict[str, float]) -> str:
    done = max(1, len(found.latencies_s))
    costs = {**used, "clients": found.cpu_s}
    return ", ".join(f"{kind} {1000 * seconds / done:.2f}" for kind, seconds in costs.items())


def _page() -> bytes:
    """A line of text, as a small PNG."""
    image = Image.new("L", (320, 64), 255)
    ImageDraw.Draw(image).text((16, 16), "HELLO OCR 12345", 0, ImageFont.load_default(size=24))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


_PARTS: dict[str, Callable[[bool], None]] = {"throughput": throughput}


if __name__ == "__main__":
    main()
