"""What is in the image, and that it runs: `make test-image`, after `make image`."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests import services
from tests.container import ROOT, Container, run
from tests.pictures import CJK, frames, picture
from tests.server import TOKEN

IMAGE = os.environ.get("OCR_TEST_IMAGE", "ocr-server")


def _sh(script: str) -> str:
    """What ``script`` says in the image."""
    command = run(IMAGE, "-c", script, options=("--entrypoint=sh", "--tmpfs=/data:mode=777"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


HAS_OFFICE = _sh("echo $OCR_OFFICE").strip() != "0"


def test_its_user_has_no_rights() -> None:
    """And can write nowhere but to the volume and the temporary folder."""
    told = _sh(
        "id -u; for place in / /opt/ocr /etc /usr /var/tmp /run; do "
        "touch $place/x 2>/dev/null && echo $place; done; touch /tmp/x /data/x; "
        "grep CapEff /proc/self/status"
    )

    assert told.split() == ["10001", "CapEff:", "0000000000000000"]


def test_nothing_that_builds_is_left() -> None:
    """Neither compilers nor pip, nor lists and caches of packages."""
    told = _sh(
        "for name in gcc cc g++ ld as strip make pip pip3 uv; do command -v $name; done; "
        "ls /var/lib/apt/lists /var/cache/apt/archives; find / -xdev -type d -name pip "
        "2>/dev/null; ls /mnt /etc/pip.conf 2>/dev/null; true"
    )

    left = [line for line in told.splitlines() if line and not line.startswith("/var")]
    assert [line for line in left if line not in ("lock", "partial", "/mnt:")] == []


def test_where_it_was_built_is_not_in_it() -> None:
    """What the host is told of mirrors, proxies and certificates stays there."""
    told = _sh("cat /etc/apt/apt.conf.d/*; env")

    assert "/mnt" not in told
    assert not {"APT_CONFIG", "PIP_CONFIG_FILE"} & {line.partition("=")[0] for line in told.split()}


def test_certificates_of_others_can_be_checked() -> None:
    """Documents are fetched by https, and files kept at S3."""
    told = _sh("python -c 'import ssl; print(len(ssl.create_default_context().get_ca_certs()))'")

    assert int(told) > 100


def test_licences_stay() -> None:
    """Of every Debian package, and of every Python package that brings one."""
    told = _sh(
        "dpkg-query -W -f '${Package}\\n' | while read name; do "
        "test -e /usr/share/doc/$name/copyright || echo $name; done; "
        "ls -d /opt/ocr/lib/python3*/site-packages/openvino*.dist-info/licenses >/dev/null"
    )

    assert told.split() == []


def test_the_doctor_finds_nothing_broken(tmp_path: Path) -> None:
    """With LibreOffice or where it was left out."""
    tmp_path.chmod(0o777)
    command = run(IMAGE, "doctor", "--json", options=(f"--volume={tmp_path}:/data",))

    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    found = {row["part"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0, done.stdout + done.stderr
    assert {name for name, row in found.items() if row["level"] == "fault"} == set()
    assert ("OCR_OFFICE=0" in found["libreoffice"]["text"]) is not HAS_OFFICE


def test_sigterm_lets_work_be_finished(tmp_path: Path) -> None:
    """A task that is under way is complete after the next start, and the end is a clean one."""
    folder = tmp_path / "data"
    folder.mkdir()
    server = Container(folder, {"OCR_WORKERS": "1"}, image=IMAGE)
    server.start()
    task = server.post(frames([f"PAGE {n}" for n in range(6)]), sync="0", format="pdf")

    server.stop()

    assert server.process is not None
    assert server.process.returncode == 0
    server.start()
    record = server.until(lambda: (r := server.poll(task["task_id"]))["state"] == 1 and r)
    server.stop()
    assert record["file_pages"] == 6


@pytest.mark.parametrize("language", ["Korean", "Russian,English", "ChinesePRC,English"])
def test_languages_that_it_reads(tmp_path: Path, language: str) -> None:
    """Those that it has by default."""
    words = {"Korean": "한국어 문서", "Russian,English": "Привет мир"}
    tmp_path.chmod(0o777)
    (tmp_path / "a.png").write_bytes(
        picture(words.get(language, "中文 words"), font=CJK, points=40)
    )
    options = (f"--volume={tmp_path}:/data", "--workdir=/data")
    command = run(IMAGE, "recognize", "a.png", "-o", "-", "-l", language, options=options)

    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stderr
    assert words.get(language, "中文 words").split()[0] in done.stdout


def test_several_behind_the_proxy(tmp_path: Path) -> None:
    """The shape of the profile "scale": one of the servers may end under its requests."""
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(services.postgresql())
        store = stack.enter_context(services.s3())
        settings = {
            "OCR_DATABASE_URL": database.replace("postgresql:", "postgresql+psycopg:"),
            "OCR_QUEUE_URL": stack.enter_context(services.redis()),
            "OCR_STORAGE_URL": store.url,
            **store.environment,
            "OCR_SECRET": "of-all",
            "OCR_TRUSTED_PROXIES": "127.0.0.0/8",
            "OCR_WORKERS": "1",
            "OCR_ENGINE": "stub",
        }
        port = services.free_port()
        first, second = (
            Container(
                _folder(tmp_path / host),
                settings,
                port=port,
                command="serve --no-workers",
                image=IMAGE,
                host=host,
            )
            for host in ("127.0.0.2", "127.0.0.3")
        )
        worker = Container(_folder(tmp_path / "w"), settings, command="worker", image=IMAGE)
        for each in (first, second):
            each.start()
            stack.callback(each.stop)
        worker.process = worker.launch()
        stack.callback(worker.stop)
        proxy = stack.enter_context(_proxy(tmp_path, port, (first.host, second.host)))
        first.until(lambda: _answers(proxy))

        task = _post(proxy, sync="0")
        with ThreadPoolExecutor(4) as pool:
            before = list(pool.map(lambda _: _post(proxy), range(12)))
            ended = pool.submit(first.stop)
            after = list(pool.map(lambda _: _post(proxy), range(12)))
            ended.result()
        told = _events(proxy, task["task_id"])

    assert {record["state"] for record in before + after} == {1}
    assert {record["file"].partition("/tasks/")[0] for record in before + after} == {proxy}
    assert '"state":1' in told


_TOKEN = {"Authorization": f"Bearer {TOKEN}"}


def _folder(path: Path) -> Path:
    (path / "data").mkdir(parents=True)
    return path / "data"


def _post(base: str, again: int = 20, **fields: str) -> dict[str, Any]:
    """The record; what waits at a server that ends is cut off, and may be sent again.

    Compose's names forget a server that has ended, those of this test do not.
    """
    answer = httpx2.post(
        f"{base}/task/pic/ocr",
        headers=_TOKEN,
        files={"image_file": ("a.png", picture())},
        data=fields,
        timeout=120,
    )
    if answer.status_code in (502, 503) and again:
        return _post(base, again - 1, **fields)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


def _events(base: str, task_id: str) -> str:
    """What is told of a task; the proxy may not know yet that a server has ended."""
    for _ in range(20):
        answer = httpx2.get(f"{base}/task/{task_id}/events", headers=_TOKEN)
        if answer.status_code == 200:
            break
    return answer.text


def _answers(base: str) -> bool:
    with contextlib.suppress(httpx2.TransportError):
        return httpx2.get(f"{base}/readyz").status_code == 200
    return False


@contextlib.contextmanager
def _proxy(folder: Path, port: int, servers: tuple[str, ...]) -> Iterator[str]:
    """The address of a Caddy with Compose's own file, to which ``servers`` are called "api"."""
    address = f"http://127.0.0.1:{services.free_port()}"
    text = (ROOT / "deploy" / "compose" / "Caddyfile").read_text()
    text = text.replace("{$SITE_ADDRESS::8000}", address).replace("api 8000", f"api {port}")
    (folder / "Caddyfile").write_text(text)
    (folder / "hosts").write_text("".join(f"{server} api\n" for server in servers))
    run = f"mount --bind {folder}/hosts /etc/hosts && exec caddy run --config {folder}/Caddyfile"
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", run]
    environment = {**os.environ, "HOME": str(folder)}
    with (
        (folder / "proxy.log").open("wb") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as proxy,
    ):
        try:
            yield address
        finally:
            proxy.terminate()
