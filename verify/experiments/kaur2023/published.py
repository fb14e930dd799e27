"""Owns the statements of kaur2023 that are judged."""

CLAIMS = {
    "claim-1": "Larger learning rates reduce lambda_max at every batch size; their generalization benefit sometimes vanishes at large "
    "batch sizes.",
    "claim-2": "Scaling batch size and learning rate together changes lambda_max without changing generalization.",
    "claim-3": "SAM gives a smaller lambda_max at every batch size; its generalization benefit vanishes at large batch sizes too.",
    "claim-4": "Excessive dropout degrades generalization even while it lowers lambda_max.",
    "claim-5": "Batch normalization does not consistently lower lambda_max, yet helps generalization.",
    "claim-6": "The gap between full-batch and mini-batch behaviour limits lambda_max as an explanation of generalization.",
}
