"""Weights before, during and after a stage: where it starts, their average, their calibration."""
