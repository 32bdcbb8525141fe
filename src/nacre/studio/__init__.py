"""The studio: see a network learn, in the browser.

The page (``page/``) is plain modules that the browser reads as they are. Each view has a file here that answers it with JSON,
computed by the engine. Pages change nothing without a token; `nacre.web` keeps strangers out.
"""

from nacre.studio.app import application, run, scripts

__all__ = ["application", "run", "scripts"]
