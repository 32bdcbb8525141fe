"""The command `nacre about`."""

from __future__ import annotations

import json

import numpy as np
from click.testing import CliRunner

import nacre
from nacre.cli import main


def test_versions_and_the_machine_are_told_to_programs_and_to_people() -> None:
    told = json.loads(CliRunner().invoke(main, ["about", "--json"]).stdout)
    assert told["nacre"] == nacre.__version__
    assert told["libraries"]["numpy"] == np.__version__
    assert told["threads"] >= 1
    assert "mlflow" in told["libraries"], "extras are told of, whether they are there or not"
    lines = CliRunner().invoke(main, ["about"]).stdout
    assert np.__version__ in lines
