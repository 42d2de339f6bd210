"""Figures of the chapters. Each function takes arrays and returns the matplotlib figure; styles are in matplotlibrc."""
