"""Hessian-vector products: every kernel and installed peer as multiples of one gradient."""
