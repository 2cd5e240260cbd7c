"""Train the bundled model, or resume: ``python -m pipeline.bundled_diffusion [PARAMS]``, or ``make bundled``."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.bundled_diffusion.config import load_config
from pipeline.bundled_diffusion.training_steps import run
from pipeline.errors import GossamerError

if __name__ == "__main__":
    params = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "params.yaml"
    try:
        run(load_config(params), params)
    except GossamerError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted: training state is saved every two minutes; run the same command again to resume")
