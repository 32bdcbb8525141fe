"""The doctor: why a network does not learn, measured, with a fix that is tried."""

from nacre.doctor.case import Case
from nacre.doctor.diagnosis import Diagnosis, Proof, case_of, diagnose, last_good_epoch
from nacre.doctor.finding import Finding, Fix
from nacre.doctor.script import first_training
from nacre.doctor.trial import plan_of
from nacre.doctor.watch import Watch

__all__ = [
    "Case",
    "Diagnosis",
    "Finding",
    "Fix",
    "Proof",
    "Watch",
    "case_of",
    "diagnose",
    "first_training",
    "last_good_epoch",
    "plan_of",
]
