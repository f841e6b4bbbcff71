"""A drop-in for tiny_ca, whose managers accept only instances of their own `BaseDB`.

tiny_ca is never imported from here: who does not use it neither needs nor loads it.
"""

from __future__ import annotations

import sys
from typing import Any, Final

_MODULE: Final = "tiny_ca.db.base_db"


def introduce(ours: type) -> None:
    """Make `ours` a virtual subclass of tiny_ca's `BaseDB` where that is loaded."""
    # While the module is being imported it is listed but has no class yet.
    theirs: Any = getattr(sys.modules.get(_MODULE), "BaseDB", None)
    if theirs is not None and not issubclass(ours, theirs):
        theirs.register(ours)
