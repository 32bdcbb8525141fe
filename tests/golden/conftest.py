"""The scripts here, which make the golden files, are run by hand, with packages that nacre does not need."""

collect_ignore_glob = ["make_*.py"]
