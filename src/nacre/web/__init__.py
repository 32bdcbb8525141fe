"""What every page of nacre's needs that listens on a port: a `Guard` before the application, and a server with limits.

::

    browser, client ─► Protocol (limits, deadlines) ─► Guard (who may ask for what) ─► the application

Raise `Refused` in an application to answer with an error in one line.
"""

from nacre.web.application import Assets, Refused, answer, application
from nacre.web.guard import Guard
from nacre.web.limits import Limits
from nacre.web.server import run, running

__all__ = ["Assets", "Guard", "Limits", "Refused", "answer", "application", "run", "running"]
