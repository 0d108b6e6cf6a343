"""A server that runs in a container of the image that `make image` built."""

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests import stack
from tests.server import TOKEN, Server
from tests.services import free_port

ROOT = Path(__file__).parent.parent
BUILT = ROOT / "build" / "image"


def server(folder: Path, settings: dict[str, str]) -> Server:
    """A server on ``folder``: of the image that OCR_TEST_IMAGE names, else of this checkout."""
    image = os.environ.get("OCR_TEST_IMAGE")
    return Container(folder, settings, image=image) if image else Server(folder, settings)


def podman(*arguments: str) -> list[str]:
    """A call of podman on what was built here; containers have the host's network."""
    storage = ["--root", str(BUILT / "storage"), "--runroot", str(BUILT / "run")]
    chosen = ["--storage-driver", "overlay", "--runtime", "runc", "--cgroup-manager", "cgroupfs"]
    return ["podman", *storage, *chosen, *arguments]


def run(image: str, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
    """A call that runs ``image`` as docker-compose.yml does: nothing but the volume is writable."""
    return podman("run", "--rm", *_CONFINED, *options, image, *arguments)


@dataclass
class Container(Server):
    """The image's server, without rights and on a file system that is read only."""

    image: str = ""
    host: str = "127.0.0.1"

    @property
    def base(self) -> str:
        return f"http://{self.host}:{self.port}"

    def launch(self) -> "subprocess.Popen[bytes]":
        """The call of podman, which passes signals on."""
        self.port = self.port or free_port()
        self.folder.chmod(0o777)
        values = {
            "OCR_PORT": str(self.port),
            "OCR_TOKENS": TOKEN,
            "OCR_HOST": self.host,
            **stack.settings(self.folder),
            **self.settings,
        }
        named = (f"--env={name}={value}" for name, value in values.items())
        options = (f"--volume={self.folder}:/data", *named)
        command = run(self.image, *self.command.split(), options=options)
        with (self.log or self.folder.parent / "server.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self) -> None:
        """End the call and what it runs."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


_LIMITS = ("nofile=1024:16384", "nproc=4096:4096")  # No more than the host may have.
_CONFINED = (
    *("--init", "--no-healthcheck", "--read-only", "--read-only-tmpfs=false"),
    *("--tmpfs=/tmp", "--network=host"),
    *("--cap-drop=all", "--security-opt=no-new-privileges"),
    *(f"--ulimit={limit}" for limit in _LIMITS),
)
