"""Draws the documents that the handbook's pictures show: they look like scans, a little askew."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SERIF = "/usr/share/fonts/opentype/noto/NotoSerifCJK-Regular.ttc"
SANS = "/usr/share/fonts/opentype/noto/NotoSansCJK-Bold.ttc"
_WIDE, _HIGH = 1654, 2339  # A4, 200 dpi.
_LEFT, _RIGHT = 200, 1454
_INK = "#222222"


def draw(folder: Path) -> dict[str, Path]:
    """A letter, an invoice and a page of two columns, by their names."""
    makers: dict[str, Callable[[ImageDraw.ImageDraw], None]] = {
        "letter": _letter,
        "invoice": _invoice,
        "columns": _columns,
    }
    files = {}
    for n, (name, make) in enumerate(makers.items()):
        page = Image.new("RGB", (_WIDE, _HIGH), "#fdfcf8")
        make(ImageDraw.Draw(page))
        files[name] = folder / f"{name}.jpg"
        _scanned(page, (0.4, -0.3, 0.5)[n]).save(files[name], quality=88, dpi=(200, 200))
    return files


def _letter(page: ImageDraw.ImageDraw) -> None:
    _text(page, _LEFT, 170, "江南文献修复中心", 54, SANS, "#7a1f1f")
    _text(page, _LEFT, 250, "杭州市西湖区文一路 128 号　电话 0571-8800 1234", 28)
    page.line((_LEFT, 310, _RIGHT, 310), fill="#7a1f1f", width=4)
    _text(page, 1130, 360, "2025 年 3 月 18 日", 34)
    _text(page, _LEFT, 450, "关于古籍数字化合作的函", 48, SANS)
    y = 560
    for paragraph in (
        "尊敬的李主任：",
        "　　感谢贵馆寄来的三十二册地方志样本。我们已经完成全部书页的扫描和初步识别，"
        "共得页面 4,816 张，"
        "其中竖排刻本 3,950 页，近代铅印本 866 页。识别结果经抽样核对，每千字平均差错不到三处，"
        "可以满足全文检索的需要。",
        "　　少数书页因虫蛀和水渍而字迹不清，我们已在目录中逐页注明，并保留了原图。"
        "建议贵馆安排两位熟悉"
        "本地地名的同事参加复核，预计两周即可完成。",
        "　　下一步工作请参看附件中的计划表（Project plan, version 2.1）。"
        "若有意见，请于四月十日之前告知，"
        "以便我们安排设备和人员。来信请寄 archive@example.com，或致电上面的号码。",
        "　　此致",
        "敬礼！",
    ):
        y = _paragraph(page, _LEFT, y, _RIGHT, paragraph, 36) + 18
    _text(page, 1090, y + 60, "江南文献修复中心", 36)
    _text(page, 1180, y + 125, "陈 静 宜", 36)


_ROWS = (
    ("序号", "品名", "规格", "数量", "单价", "金额"),
    ("1", "无酸档案盒", "A4, 80 mm", "120", "18.50", "2,220.00"),
    ("2", "宣纸修复胶带", "25 m", "40", "36.00", "1,440.00"),
    ("3", "平板扫描仪", "A3, 600 dpi", "2", "8,650.00", "17,300.00"),
    ("4", "恒湿储藏柜", "XC-240", "1", "12,400.00", "12,400.00"),
    ("5", "运输与安装", "", "1", "980.00", "980.00"),
)


def _invoice(page: ImageDraw.ImageDraw) -> None:
    _text(page, 620, 200, "销 售 发 票", 64, SANS)
    _text(page, _LEFT, 340, "客户：江南文献修复中心", 34)
    _text(page, 960, 340, "发票号码：INV-2025-0317", 34)
    _text(page, _LEFT, 400, "地址：杭州市西湖区文一路 128 号", 34)
    _text(page, 960, 400, "日期：2025-03-17", 34)
    edges = (_LEFT, 300, 620, 860, 990, 1210, _RIGHT)
    top, high = 500, 78
    for n, row in enumerate(_ROWS):
        y = top + n * high
        if n == 0:
            page.rectangle((_LEFT, y, _RIGHT, y + high), fill="#e9e4d8")
        for m, text in enumerate(row):
            x = edges[m] + 16
            if n and m >= 3:  # Figures stand at the right.
                x = edges[m + 1] - 16 - round(_font(32).getlength(text))
            _text(page, x, y + 18, text, 32, SANS if n == 0 else SERIF)
    bottom = top + len(_ROWS) * high
    _text(page, 860 + 16, bottom + 18, "合计", 32, SANS)
    total = "34,340.00"
    _text(page, _RIGHT - 16 - round(_font(32).getlength(total)), bottom + 18, total, 32)
    for n in range(len(_ROWS) + 1):
        page.line((_LEFT, top + n * high, _RIGHT, top + n * high), fill=_INK, width=3)
    page.line((_LEFT, bottom + high, _RIGHT, bottom + high), fill=_INK, width=3)
    for edge in edges:
        inner = edge in (300, 620, 990)  # The last row is one cell up to the unit price.
        page.line((edge, top, edge, bottom if inner else bottom + high), fill=_INK, width=3)
    y = bottom + 150
    _text(page, _LEFT, y, "付款期限：收到发票后 30 天内", 34)
    _text(page, _LEFT, y + 60, "开户行：示例银行杭州分行　账号：6222 0000 1111 2222", 34)


def _columns(page: ImageDraw.ImageDraw) -> None:
    _text(page, _LEFT, 180, "城市树木与夏季气温", 60, SANS)
    _text(page, _LEFT, 270, "Street trees and summer heat: a short report", 34)
    page.line((_LEFT, 335, _RIGHT, 335), fill=_INK, width=3)
    middle, gap = (_LEFT + _RIGHT) // 2, 36
    left = (
        "　　夏天走在树荫下，人们会感到凉爽。为了知道树木究竟能使街道降温多少，"
        "我们在二十条街道上安装了温度计，"
        "从六月到九月每十分钟记录一次。",
        "　　结果表明，树冠遮蔽率每增加一成，午后两点的气温平均下降 0.4 ℃。遮蔽率超过六成之后，"
        "降温的效果便不再明显增加。",
        "　　树种也有差别。叶片宽大的悬铃木效果最好，香樟次之；棕榈几乎没有作用。"
        "浇水充足的树木比缺水的树木多降温约三分之一。",
    )
    y = 380
    for paragraph in left:
        y = _paragraph(page, _LEFT, y, middle - gap, paragraph, 34) + 14
    y = 380
    top, bottom = y, y + 380
    _street(page, (middle + gap, top, _RIGHT, bottom))
    y = _paragraph(page, middle + gap, bottom + 16, _RIGHT, "图 1　两侧有树的街道", 28) + 24
    for paragraph in (
        "The effect is local. Ten metres away from the trees hardly anything of it is left, so "
        "that many small trees cool a street better than a few large ones in a park.",
        "　　因此我们建议：新建道路应当留出连续的种植带，旧街道可以先在公交车站和路口补种。"
        "维护的费用每年约为每棵 160 元，低于同等降温所需的其他措施。",
    ):
        y = _paragraph(page, middle + gap, y, _RIGHT, paragraph, 34) + 14


def _street(page: ImageDraw.ImageDraw, box: tuple[int, int, int, int]) -> None:
    """A street with trees, before a sky that grows paler towards the ground."""
    left, top, right, bottom = box
    for y in range(top, bottom):
        shade = (y - top) / (bottom - top)
        colour = (round(110 + 90 * shade), round(150 + 70 * shade), round(190 + 40 * shade))
        page.line((left, y, right, y), fill=colour)
    ground = bottom - 90
    for n, (x, high) in enumerate(((40, 190), (135, 130), (240, 230), (370, 150), (450, 210))):
        wide = 70 + n % 3 * 22
        house = (left + x, ground - high, left + x + wide, ground)
        page.rectangle(house, fill=("#8a7f78", "#a3968a", "#6f6a72")[n % 3])
    page.rectangle((left, ground, right, bottom), fill="#5c5a58")
    generator = np.random.default_rng(3)
    for n in range(6):
        x, y = left + 45 + n * 98, ground - 60 - n % 2 * 24
        page.rectangle((x - 7, y, x + 7, ground + 16), fill="#4a3524")
        for dx, dy, size in generator.normal((0, -44, 26), (22, 22, 6), (46, 3)):
            green = ("#2f6b3f", "#3c7a47", "#28583a", "#4d8a50")[round(abs(dx)) % 4]
            leaf = (x + dx - size, y + dy - size, x + dx + size, y + dy + size)
            page.ellipse((max(left, leaf[0]), *leaf[1:2], min(right, leaf[2]), leaf[3]), fill=green)


def _paragraph(
    page: ImageDraw.ImageDraw, left: int, top: int, right: int, text: str, size: int
) -> int:
    """Set ``text`` between ``left`` and ``right``; where the next may begin."""
    y = top
    for line in _lines(text, size, right - left):
        _text(page, left, y, line, size)
        y += round(size * 1.75)
    return y


def _lines(text: str, size: int, wide: int) -> Sequence[str]:
    font = _font(size)
    lines, line = [], ""
    for part in re.findall(r"[!-~]+|.", text):  # Han characters alone, words whole.
        # A full stop does not begin a line.
        if font.getlength(line + part) > wide and part not in "，。；：、） ":
            lines.append(line)
            line = part
        else:
            line += part
    return [*lines, line]


def _text(
    page: ImageDraw.ImageDraw,
    x: int,
    y: int,
    text: str,
    size: int,
    face: str = SERIF,
    colour: str = _INK,
) -> None:
    page.text((x, y), text, colour, _font(size, face))


def _font(size: int, face: str = SERIF) -> ImageFont.FreeTypeFont:
    # The collection's third face has the shapes of simplified Chinese.
    return ImageFont.truetype(face, size, index=2)


def _scanned(page: Image.Image, degrees: float) -> Image.Image:
    """``page`` as a scanner sees it: askew, a little soft and noisy."""
    turned = page.rotate(degrees, Image.Resampling.BICUBIC, fillcolor="#f4f2ec")
    noise = np.random.default_rng(7).normal(0, 5, (page.height, page.width, 1))
    pixels = np.clip(np.asarray(turned, np.float64) + noise, 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))
