"""LibreOffice's profile, which allows no macros, no updates of links, no way out; its program."""

import re
import shutil
from pathlib import Path

from app.errors import ToolFailed


def write_profile(profile: Path, program: str) -> None:
    """Make ``profile``, the folder of a user who has never opened anything."""
    (profile / "user" / "extensions").mkdir(parents=True)
    (profile / "user" / "registrymodifications.xcu").write_text(_PROFILE)
    # A profile without the id of the installation makes LibreOffice start twice.
    versions = Path(program).with_name("versionrc")
    if versions.exists() and (build := _BUILD_ID.search(versions.read_text(errors="replace"))):
        (profile / "user" / "extensions" / "buildid").write_text(build[1])


def find_program() -> str:
    """The real program: ``soffice`` is a launcher that leaves it behind when it is killed."""
    launcher = shutil.which("soffice") or shutil.which("libreoffice")
    if launcher is None:
        raise ToolFailed("LibreOffice is not installed.")
    program = Path(launcher).resolve().with_name("soffice.bin")
    return str(program) if program.exists() else launcher


_BUILD_ID = re.compile(r"^buildid=(.+)$", re.MULTILINE)


def _setting(path: str, name: str, value: str) -> str:
    return (
        f'<item oor:path="/org.openoffice.{path}"><prop oor:name="{name}" oor:op="fuse">'
        f"<value>{value}</value></prop></item>"
    )


_PROFILE = "".join(
    [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<oor:items xmlns:oor="http://openoffice.org/2001/registry"',
        ' xmlns:xs="http://www.w3.org/2001/XMLSchema"',
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">',
        _setting("Office.Common/Security/Scripting", "MacroSecurityLevel", "3"),
        _setting("Office.Common/Security/Scripting", "DisableMacrosExecution", "true"),
        _setting("Office.Common/Security/Scripting", "BlockUntrustedRefererLinks", "true"),
        _setting("Office.Common/Security/Scripting", "CheckDocumentEvents", "true"),
        _setting("Office.Writer/Content/Update", "Link", "0"),  # Never.
        _setting("Office.Calc/Content/Update", "Link", "1"),  # Never.
        _setting("Office.Calc/Formula/Load", "OOXMLRecalcMode", "1"),  # Never.
        _setting("Office.Java/VirtualMachine", "Enable", "false"),
        # A proxy that nobody answers at: what still asks for an address gets nothing.
        _setting("Inet/Settings", "ooInetProxyType", "2"),
        _setting("Inet/Settings", "ooInetHTTPProxyName", "127.0.0.1"),
        _setting("Inet/Settings", "ooInetHTTPProxyPort", "9"),
        _setting("Inet/Settings", "ooInetHTTPSProxyName", "127.0.0.1"),
        _setting("Inet/Settings", "ooInetHTTPSProxyPort", "9"),
        _setting("Office.Common/Misc", "FirstRun", "false"),
        _setting("Setup/Office", "ooSetupInstCompleted", "true"),
        _setting("Setup/L10N", "ooLocale", "en-US"),
        "</oor:items>",
    ]
)
