"""Starts peers, loads them, and reports ratios. Entry point: bench/run.py."""
