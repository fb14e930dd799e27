"""The flattest networks that interpolate: a convex program, solved with certificates, and what all of them predict."""
