"""Moving a whole registry from one database to another, of any kinds, with a proof at the end."""

from certledger.copying.copier import copy
from certledger.copying.report import CopyReport

__all__ = ["CopyReport", "copy"]
