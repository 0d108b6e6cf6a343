"""Draws pages whose text is known exactly: dense A4 pages as a scanner gives them, and a screen.

Everything follows from a seed, so that each run reads the same pages. Other measurements take
their pages from here too: ``draw(folder, count, languages)`` and ``draw_screen(folder)``.
"""

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from benchmarks.prose import collections
from benchmarks.samples import Sample

LANGUAGES = {"zh": "ChinesePRC", "zh-Hant": "ChineseTaiwan", "ja": "Japanese", "en": "English"}


def draw(folder: Path, count: int, languages: Sequence[str] = tuple(LANGUAGES)) -> list[Sample]:
    """``count`` pages in each language, no two of a language set alike, as files in ``folder``."""
    return [_drawn(folder, language, number) for language in languages for number in range(count)]


def draw_screen(folder: Path) -> Sample:
    """The settings of a phone, Chinese and English lines below each other."""
    image = Image.new("RGB", (1080, 2340), "#f2f2f7")
    pen = ImageDraw.Draw(image)
    title, item, note = (_SANS.font("Noto Sans CJK SC", pixels) for pixels in (64, 44, 34))
    pen.text((48, 110), _SCREEN_TITLE, "black", title)
    lines, top = [_SCREEN_TITLE], 240
    for name, detail in _SCREEN:
        pen.rounded_rectangle((32, top, 1048, top + 120), 24, "white")
        pen.ellipse((60, top + 30, 120, top + 90), "#4a7dff")
        pen.text((150, top + 8), name, "#111111", item)
        pen.text((150, top + 66), detail, "#8a8a8e", note)
        lines += [name, detail]
        top += 130
    path = folder / "phone.png"
    image.save(path)
    return Sample("phone", path.name, "ChinesePRC", "\n".join(lines), path, (path,))


@dataclass(frozen=True, slots=True)
class _Fonts:
    """A font file, which may hold several faces."""

    path: str

    def font(self, name: str, pixels: float) -> ImageFont.FreeTypeFont:
        """The face called ``name``."""
        return ImageFont.truetype(self.path, pixels, index=self._index(name))

    def characters(self, name: str) -> frozenset[int]:
        """The code points that the face ``name`` has a glyph for."""
        with TTFont(self.path, fontNumber=self._index(name), lazy=True) as face:
            return frozenset(face.getBestCmap())

    def _index(self, name: str) -> int:
        index = 0
        while ImageFont.truetype(self.path, 10, index=index).getname()[0] != name:
            index += 1
        return index


_SHARE = "/usr/share/fonts"
_SANS = _Fonts(f"{_SHARE}/opentype/noto/NotoSansCJK-Regular.ttc")
_SERIF = _Fonts(f"{_SHARE}/opentype/noto/NotoSerifCJK-Regular.ttc")
_MING = _Fonts(f"{_SHARE}/truetype/arphic/uming.ttc")
_KAI = _Fonts(f"{_SHARE}/truetype/arphic/ukai.ttc")
_ZEN = _Fonts(f"{_SHARE}/truetype/wqy/wqy-zenhei.ttc")
_MINCHO = _Fonts(f"{_SHARE}/opentype/ipaexfont-mincho/ipaexm.ttf")
_GOTHIC = _Fonts(f"{_SHARE}/opentype/ipaexfont-gothic/ipaexg.ttf")
_LATIN_SERIF = _Fonts(f"{_SHARE}/truetype/liberation/LiberationSerif-Regular.ttf")
_LATIN_SANS = _Fonts(f"{_SHARE}/truetype/liberation/LiberationSans-Regular.ttf")
_LATIN_NOTO = _Fonts(f"{_SHARE}/truetype/noto/NotoSerif-Regular.ttf")
_LATIN_CARLITO = _Fonts(f"{_SHARE}/truetype/crosextra/Carlito-Regular.ttf")

_FACES = {
    "zh": (
        (_SERIF, "Noto Serif CJK SC"),
        (_SANS, "Noto Sans CJK SC"),
        (_MING, "AR PL UMing CN"),
        (_ZEN, "WenQuanYi Zen Hei"),
    ),
    "zh-Hant": (
        (_SERIF, "Noto Serif CJK TC"),
        (_SANS, "Noto Sans CJK TC"),
        (_MING, "AR PL UMing TW"),
        (_KAI, "AR PL UKai TW"),
    ),
    "ja": (
        (_SERIF, "Noto Serif CJK JP"),
        (_SANS, "Noto Sans CJK JP"),
        (_MINCHO, "IPAexMincho"),
        (_GOTHIC, "IPAexGothic"),
    ),
    "en": (
        (_LATIN_SERIF, "Liberation Serif"),
        (_LATIN_SANS, "Liberation Sans"),
        (_LATIN_NOTO, "Noto Serif"),
        (_LATIN_CARLITO, "Carlito"),
    ),
}
_RESOLUTIONS = (300, 200, 150, 250)  # Dots per inch, page after page.
_POINTS = (10.5, 12, 11, 10)


def _drawn(folder: Path, tag: str, number: int) -> Sample:
    random = np.random.default_rng(zlib.crc32(f"{tag} {number}".encode()))
    dpi = _RESOLUTIONS[number % 4]
    # The faces take turns at another pace, so that four pages more are not the same again.
    fonts, name = _FACES[tag][(number + number // 4) % 4]
    font = fonts.font(name, _POINTS[number % 4] * dpi / 72)
    page = Image.new("L", (round(8.27 * dpi), round(11.69 * dpi)), 255)
    lines = _set(page, font, _text(tag, number, fonts.characters(name)), dpi, tag)
    path = folder / f"{tag}-{number + 1}.jpg"
    _scanned(page, dpi, random).save(path, quality=85, dpi=(dpi, dpi))
    return Sample(tag, path.name, LANGUAGES[tag], "\n".join(lines), path, (path,))


def _text(tag: str, number: int, known: frozenset[int]) -> Iterator[str]:
    """Paragraphs for a page, each page from another place, that the font has all glyphs for."""
    works = collections(tag)
    work = works[number % len(works)]
    start = number * 61 % len(work)  # A page holds fewer paragraphs than this.
    for paragraph in islice(cycle(work), start, start + len(work)):
        if known.issuperset(map(ord, paragraph)):
            yield paragraph


def _set(
    page: Image.Image, font: ImageFont.FreeTypeFont, text: Iterator[str], dpi: int, tag: str
) -> list[str]:
    """Fill ``page`` with paragraphs; the lines that were set."""
    pen = ImageDraw.Draw(page)
    margin, bottom = round(0.85 * dpi), page.height - round(0.9 * dpi)
    size = font.size
    leading = size * (1.3 if tag == "en" else 1.55)
    indent = 0 if tag == "en" else 2 * size if tag.startswith("zh") else size
    lines: list[str] = []
    top = float(margin)
    for paragraph in text:
        for n, line in enumerate(_wrapped(paragraph, font, page.width - 2 * margin, indent)):
            if top + leading > bottom:
                return lines
            pen.text((margin + (0 if n else indent), top), line, 0, font)
            lines.append(line)
            top += leading
        top += leading * 0.4
    return lines


# A word or one character, with the marks that may not be parted from it by a line's end.
_UNITS = re.compile(
    r"\s+|[「『（《〈【“‘(\[]*(?:[!-~\u00a1-\u024f]+|\S)[、。，．；：？！）」』】》〉”’…ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ]*"
)


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float, indent: float) -> Iterator[str]:
    line, used = "", indent
    for unit in _UNITS.findall(text):
        length = font.getlength(unit)
        if line and not unit.isspace() and used + length > width:
            yield line.rstrip()
            line, used = "", 0.0
        if line or not unit.isspace():
            line, used = line + unit, used + length
    if line.strip():
        yield line.rstrip()


def _scanned(page: Image.Image, dpi: int, random: np.random.Generator) -> Image.Image:
    """The page a little turned and blurred, with grey ink, tinted paper and noise."""
    turned = page.rotate(random.uniform(-1, 1), Image.Resampling.BICUBIC, fillcolor=255)
    soft = turned.filter(ImageFilter.GaussianBlur(dpi / 300 * random.uniform(0.4, 1.0)))
    ink = 1 - np.asarray(soft, np.float32)[..., None] / 255
    paper = np.array((250, 247, 238), np.float32) - random.uniform(0, 10)
    light = np.linspace(1, random.uniform(0.94, 1), page.width, dtype=np.float32)[None, :, None]
    pixels = paper * light * (1 - ink) + random.uniform(20, 60) * ink
    pixels += random.normal(0, random.uniform(2, 6), (page.height, page.width, 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8), "RGB")


_SCREEN_TITLE = "设置 Settings"
_SCREEN = (
    ("无线局域网", "已连接到 Office-5G，信号很强"),
    ("蓝牙 Bluetooth", "2 台设备已连接"),
    ("移动网络", "本月已用 12.6 GB，剩余 27.4 GB"),
    ("通知中心", "每天 22:30 至 7:15 免打扰"),
    ("声音与触感", "铃声音量 65%，按键音已关闭"),
    ("显示与亮度", "自动调节，深色模式 19:00 开启"),
    ("电池 Battery", "87%，预计可用 1 天 3 小时"),
    ("存储空间", "共 256 GB，已用 143.8 GB"),
    ("隐私与安全", "Location services are on"),
    ("应用商店", "有 14 个应用可以更新"),
    ("账户与同步", "last synced 5 minutes ago"),
    ("语言和输入法", "简体中文、English (US)"),
    ("日期和时间", "2026年3月18日 星期三"),
    ("备份与恢复", "昨天 23:48 已自动备份"),
    ("软件更新", "Version 17.4.1 已是最新版本"),
    ("关于本机", "型号 A2890，序列号 F17GX0K4"),
)
