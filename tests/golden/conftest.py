"""The scripts here are run by hand, with packages that nacre does not need."""

collect_ignore = ["make_initializers.py", "make_keras.py", "make_losses.py", "make_regularizers.py"]
