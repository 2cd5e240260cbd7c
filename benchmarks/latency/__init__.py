"""Latency, load time and memory of artifacts: single, side by side, and under MLPerf LoadGen."""
