from __future__ import annotations

import logging
import os
import warnings

import pytest

from export.toolkit_output import quiet_output, quiet_toolkits


def test_output_warnings_and_log_lines_are_held_back_and_restored(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_toolkits():
        os.write(2, b"native banner\n")
        os.write(1, b"native progress\n")
        warnings.warn("untested version", UserWarning, stacklevel=1)
        logging.getLogger("coremltools").warning("untested version")
    os.write(2, b"ours\n")
    out, err = capfd.readouterr()
    assert (out, err) == ("", "ours\n")


def test_exceptions_pass_and_everything_is_restored() -> None:
    disabled, opened = logging.root.manager.disable, os.dup(2)
    os.close(opened)
    with pytest.raises(ValueError, match="real"), quiet_toolkits():
        raise ValueError("real")
    assert logging.root.manager.disable == disabled
    again = os.dup(2)
    os.close(again)
    assert again == opened


def test_quiet_output_discards_what_native_code_writes(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_output():
        os.write(2, b"delegate created\n")
    assert capfd.readouterr().err == ""
