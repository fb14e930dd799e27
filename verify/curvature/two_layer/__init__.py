"""The two-layer family's Hessian in closed form: products and the whole spectrum."""
