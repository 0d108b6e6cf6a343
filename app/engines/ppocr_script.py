"""Which Han characters each script is written with."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

# The national character sets are lists of the characters in use in each script.
_CHARACTER_SETS = {"Hans": "gb2312", "Hant": "big5", "Jpan": "euc_jp"}


def foreign(characters: Sequence[str], scripts: Collection[str]) -> NDArray[np.bool_] | None:
    """Flags the Han characters that none of ``scripts`` (ISO 15924) has; None if none has any."""
    sets = [_CHARACTER_SETS[script] for script in scripts if script in _CHARACTER_SETS]
    if not sets:
        return None
    return np.array(
        [_is_han(c) and not any(_holds(name, c) for name in sets) for c in characters], bool
    )


def _is_han(character: str) -> bool:
    return len(character) == 1 and (
        "\u3400" <= character <= "\u9fff" or "\uf900" <= character <= "\ufaff"
    )


def _holds(character_set: str, character: str) -> bool:
    try:
        character.encode(character_set)
    except UnicodeEncodeError:
        return False
    return True
