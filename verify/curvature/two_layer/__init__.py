"""The two-layer family's Hessian in closed form: products and the whole spectrum. Importing it registers its product as a kernel."""

from flatproof.verify.curvature.kernels import closed_form
from flatproof.verify.curvature.two_layer import product

closed_form.register(closed_form.Family(product.refuses, product.prepare))
