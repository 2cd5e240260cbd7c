"""``python -m pipeline.embedded [PARAMS]``, or ``make embedded``: learn the embedded model from nothing, or go on."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.embedded.recipe import load_recipe
from pipeline.embedded.steps import run
from pipeline.errors import GossamerError

if __name__ == "__main__":
    params = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "params.yaml"
    try:
        run(load_recipe(params), params)
    except GossamerError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted: all but the last two minutes is kept; run the same command again to go on from there")
