"""What weakens the promise of a registry: an examination that changes nothing."""

from certledger.doctor.examining import examine
from certledger.eventstore.symptom import Mend, Symptom

__all__ = ["Mend", "Symptom", "examine"]
