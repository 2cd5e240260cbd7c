from __future__ import annotations

import logging
import os
import warnings

import pytest

from export.toolkit_output import quiet_output, quiet_toolkits


def test_native_and_python_chatter_is_held_back_and_comes_back_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_toolkits():
        os.write(2, b"native banner\n")
        os.write(1, b"native progress\n")
        warnings.warn("untested version", UserWarning, stacklevel=1)
        logging.getLogger("coremltools").warning("untested version")
    os.write(2, b"ours\n")
    out, err = capfd.readouterr()
    assert (out, err) == ("", "ours\n")


def test_exceptions_pass_and_everything_is_put_back() -> None:
    level, opened = logging.getLogger("coremltools").level, os.dup(2)
    os.close(opened)
    with pytest.raises(ValueError, match="real"), quiet_toolkits():
        raise ValueError("real")
    assert logging.getLogger("coremltools").level == level
    again = os.dup(2)
    os.close(again)
    assert again == opened


def test_quiet_output_holds_back_what_native_code_writes(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_output():
        os.write(2, b"delegate created\n")
    assert capfd.readouterr().err == ""
