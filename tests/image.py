"""What is in the image, and that it runs: `make test-image`, after `make image`."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.container import Container, run
from tests.pictures import CJK, frames, picture

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
        "2>/dev/null; ls /run/host /etc/pip.conf 2>/dev/null; true"
    )

    left = [line for line in told.splitlines() if line and not line.startswith("/var")]
    assert [line for line in left if line not in ("lock", "partial", "/run/host")] == []


def test_where_it_was_built_is_not_in_it() -> None:
    """What the host is told of mirrors, proxies and certificates stays there."""
    told = _sh("cat /etc/pip.conf /etc/apt/apt.conf.d/99host 2>/dev/null; env")

    assert "/run/host" not in told
    assert "PIP_" not in told


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
