"""Owns what the paper prints. Replace: the statements that runs can judge, and the numbers that ours stand beside."""

ID = "template"  # the prefix of every id: the first author and the year, also the name of this folder

CLAIMS = {  # by name; "template/claim-1" is the statement's id in the ledger
    "claim-1": "A larger learning rate leads to a smaller trace of the Hessian.",
    "claim-2": "A larger learning rate leads to better generalization.",
}
SETTING = "As printed: parity data with d = 30, n = 100; width 500; learning rates 0.01 and 0.1."
