"""The contract of `BaseDB`, rule by rule."""

from certledger.testing.contract.calling import Calling
from certledger.testing.contract.deleting import Deleting
from certledger.testing.contract.failing import Failing
from certledger.testing.contract.looking_up import LookingUp
from certledger.testing.contract.managing import Managing
from certledger.testing.contract.records import Records
from certledger.testing.contract.registering import Registering
from certledger.testing.contract.revoking import Revoking

__all__ = ["Contract", "Managing"]


class Contract(Calling, Registering, LookingUp, Revoking, Deleting, Records, Failing):
    """All rules of the contract that hold for any database and any implementation."""
