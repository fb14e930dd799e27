"""Owns andriushchenko2023's statements about diagonal linear networks, proved for every dimension and every parameter."""
