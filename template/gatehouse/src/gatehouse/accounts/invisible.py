"""Characters that cannot be seen: with one of them a text looks like another and is not it."""

import re

# Default_Ignorable_Code_Point of Unicode 14.0 (DerivedCoreProperties.txt, 4174 code points), and
# the controls (category Cc). Frozen, so that an address means the same under every Python.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f"
    "\u00ad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def holds_invisible(text: str) -> bool:
    """Whether a character of the text shows nothing."""
    return _INVISIBLE.search(text) is not None
