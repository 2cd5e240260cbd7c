from __future__ import annotations

from pathlib import Path

from pipeline.bundled_diffusion.training.training_curves import DENOISER, write_curves


def test_a_long_log_is_averaged_over_equal_stretches_and_plotted(tmp_path: Path) -> None:
    rows = [f"{step},{1000 + step},{step % 2},1,2,3,{step % 4}" for step in range(1000)]
    log = tmp_path / "log.csv"
    log.write_text("\n".join(["step,seconds,loss,low_noise,middle,high_noise,alignment", *rows]), encoding="utf-8")
    write_curves(log, DENOISER, tmp_path / "learning")
    lines = (tmp_path / "learning.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "step,loss,low_noise,middle,high_noise,alignment"
    assert len(lines) == 201
    assert lines[1] == "4,0.4,1,2,3,1.2"
    svg = (tmp_path / "learning.svg").read_bytes()
    write_curves(log, DENOISER, tmp_path / "learning")
    assert (tmp_path / "learning.svg").read_bytes() == svg
