"""The doctor: why a network does not learn, measured, with a fix that is tried."""

from nacre.doctor.diagnosis import Diagnosis, Proof, diagnose
from nacre.doctor.finding import Finding, Fix
from nacre.doctor.script import first_training
from nacre.doctor.watch import Watch

__all__ = ["Diagnosis", "Finding", "Fix", "Proof", "Watch", "diagnose", "first_training"]
