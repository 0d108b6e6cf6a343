import subprocess
import sys
from pathlib import Path

import pytest

_TEST = """
import urllib.request

import app  # Their own.


def test_client(ocr_server):
    assert app.THEIRS
    request = urllib.request.Request(ocr_server.url + "/tasks", headers=ocr_server.headers)
    assert urllib.request.urlopen(request).status == 200
    assert [each.path for each in ocr_server.requests] == ["/tasks"]
    assert ocr_server.requests[0].fields is None


def test_another(ocr_server_session, ocr_server):
    assert ocr_server is ocr_server_session
    assert ocr_server.requests == []
"""


def test_it_is_there_for_projects_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for those that have a package called ``app``, a setting of ours, or stop at warnings."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("THEIRS = True\n")
    (tmp_path / "test_client.py").write_text(_TEST)
    monkeypatch.setenv("OCR_TOKENS", "sk-theirs")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_it_costs_nothing_where_it_is_not_used() -> None:
    """Neither the server is loaded, nor what asks it."""
    program = "import pytest, sys; before = {*sys.modules}; import pytest_ocr_server; "
    program += "print(*{*sys.modules} - before)"

    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not {"app", "http.client", "subprocess"} & {*loaded}
    assert len(loaded) < 10
