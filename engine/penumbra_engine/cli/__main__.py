"""`python -m penumbra_engine.cli`: the command without its script, as the command line starts the engine."""

import sys

from penumbra_engine.cli import main

sys.exit(main())
