"""What tests of files for others share."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from nacre.cli import main


@pytest.fixture
def invoke():
    """The command line; what it is asked to do has to work, unless another exit status is expected."""

    def run(*words, status=0):
        result = CliRunner().invoke(main, list(words))
        assert result.exit_code == status, result.output
        return result

    return run
