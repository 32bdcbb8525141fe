"""Callbacks, where Keras has them."""

from nacre.training.callbacks import Callback
from nacre.training.checkpoint import BackupAndRestore
from nacre.training.history import History
from nacre.training.hooks import LambdaCallback, LearningRateScheduler, TerminateOnNaN
from nacre.training.monitors import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau, TerminateOnTarget
from nacre.training.reports import CSVLogger, MLflow, TensorBoard
from nacre.training.statistics import LayerStatistics

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LayerStatistics",
    "LearningRateScheduler",
    "MLflow",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
    "TerminateOnTarget",
]
