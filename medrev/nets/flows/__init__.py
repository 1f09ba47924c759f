"""Flows: invertible networks that give likelihoods and samples."""
