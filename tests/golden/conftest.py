"""The scripts here are run by hand, with packages that nacre does not need."""

collect_ignore = ["make_activations.py", "make_keras.py", "make_metrics.py", "make_ops.py"]
