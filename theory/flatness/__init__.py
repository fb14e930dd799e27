"""The flattest networks that interpolate: a convex program, solved with certificates, and what all of them predict.

What each module owns, from the problem to the proof:

    setting             the problem, validated once: points, labels, architecture, notion at kinks, coordinates
    feasibility         which labels a network of the class can fit at all
    arrangement         points as hyperplanes in whole numbers
    patterns            activation patterns: cells and faces of the arrangement of the points, listed exactly
    counts              a lower bound of their number, by which too many are refused at once
    walls               the few samples that bound each cell
    neurons             the coordinates in which programs are solved, and neurons as columns of them
    program             the convex program as one reads it, its prices, and a reference solution through cvxpy
    cone_solver         that program over a chosen list of patterns, assembled for Clarabel
    projection          what a pattern is worth at a dual point: the projection on the outputs that it can produce
    column_generation   the program over all patterns of a list, solved over the few that matter
    interior_point      the same by a primal-dual interior-point method, for many points
    differences         the equations of interpolation as it is given them: second differences in the plane
    linear_programs     the linear programs that the others solve
    settle              where a neuron may lie that has given activations: on kinks, or inside its cell
    realize             networks made of given neurons: exact interpolation, off the kinks
    flattest            `flattest`: the flattest network of a data set, with a dual point that proves it

    lower_bounds        bounds of the flattest trace that need no list of patterns
    known_patterns      patterns that a search has met, and cells beside neurons on kinks
    pricing             local search for patterns that are worth more than their price
    at_once             an interpolating network that takes next to no time
    search              the program over patterns met so far, round by round
    bracket             `bracket`: lower and upper bound where patterns are too many to list
    all_flattest        `decide_parity`: what all flattest networks do on parity data of any dimension; theory/check_parity.py checks it
    parity              how flat the generalizing networks without bias are on parity data of any dimension

    half_cells          cells cut in two by a query point
    range_program       the largest prediction at one point over nearly flattest networks, in floating point
    exact_predictions   its proof in rational numbers
    predictions         the ranges of predictions, point by point, with their proofs
    decide              `decide`: whether all nearly flattest networks classify a population correctly

    objectives          what may be minimized besides the trace, and how well networks may have to fit
    whole_program       cone programs for these in which every pattern has its variables, semidefinite for the largest eigenvalue
    exact_metrics       proofs for an on-set in rational numbers, lengths being those of an objective
    exact_networks      networks in rational numbers made from their solutions
    wider               `flattest_for`: the least value of an objective, ranges of predictions, certificates
    logistic            `for_logistic`: what a certificate of the trace proves for the smoothed logistic loss

    outputs_program     networks of several outputs: a bound by linear matrix inequalities, networks by alternating search
    outputs             `flattest_outputs`: the least trace of several outputs from both sides, predictions, certificates

    rational            exact arithmetic: linear systems and projections on cones in rational numbers
    multipliers         proofs by multipliers alone, all patterns at once
    bumps               exact interpolation of many points in short numbers
    certificate         dual points and neurons turned into a proof in rational numbers; theory/check_certificate.py checks it

Functions are imported from their modules or, those that have a module's name among them, from `flatproof.theory`.
"""
