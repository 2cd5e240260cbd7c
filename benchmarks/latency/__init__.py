"""Latency, load time and memory of artifacts: alone, side by side, and by MLPerf LoadGen."""
