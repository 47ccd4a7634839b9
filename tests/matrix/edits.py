"""Every edit, by name."""

from matrix import (
    edits_code,
    edits_core,
    edits_data,
    edits_files,
    edits_merged,
    edits_package,
    edits_running,
    edits_shared,
)
from matrix.model import EDITS

MODULES = (
    *(edits_code, edits_package, edits_data, edits_files),
    *(edits_merged, edits_shared, edits_running, edits_core),
)

__all__ = ["EDITS", "MODULES"]
