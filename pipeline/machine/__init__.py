"""This machine: devices, threads, worker processes, and the plug-ins that are installed."""
