"""Settings, read once from the environment (prefix ``OCR_``)."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting of the server; each has a default that works on one machine."""

    model_config = SettingsConfigDict(env_prefix="OCR_", frozen=True)

    data_dir: Path = Field(Path("data"), description="Folder for the database, queue and files.")
    max_pixels: int = Field(
        200_000_000, gt=0, description="Largest page image, in pixels, that is decoded."
    )
    max_pages: int = Field(5000, gt=0, description="Most pages a document may have.")
    office_timeout_s: float = Field(
        120, gt=0, description="Limit for converting one Office document, in seconds."
    )
    page_timeout_s: float = Field(60, gt=0, description="Limit for one page, in seconds.")
    fetch_timeout_s: float = Field(60, gt=0, description="Limit for one download, in seconds.")
    max_upload_bytes: int = Field(
        200 * 2**20, gt=0, description="Largest request body or download, in bytes."
    )
