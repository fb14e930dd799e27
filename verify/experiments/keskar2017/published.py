"""Owns the numbers that keskar2017 prints: tables 2, 3 and 4, as (mean, standard deviation over 5 trials)."""

Pair = tuple[float, float]

DATA = {"F1": "mnist", "F2": "timit", "C1": "cifar10", "C2": "cifar10", "C3": "cifar100", "C4": "cifar100"}
DESCRIBED = {  # table 1
    "F1": "fully connected: 784 inputs, 5 batch-normalized ReLU layers of 512, 10-way softmax",
    "F2": "fully connected: 360 inputs, 7 batch-normalized ReLU layers of 512, 1973-way softmax",
    "C1": "AlexNet-like, 10 classes: 2 x [conv 5x5 of 64, batch norm, ReLU, max-pool 3x3 stride 2], dense 384 and 192 with batch norm, "
    "ReLU and dropout 0.5",
    "C2": "VGG-like, 10 classes: conv 3x3 blocks 2x64, 2x128, 3x256, 3x512, 3x512 with batch norm, ReLU and dropout 0.3-0.4, "
    "2x2 max-pools; dropout 0.5, dense 512, dropout 0.5",
    "C3": "as C1, 100 classes",
    "C4": "as C2, 100 classes",
}
ACCURACY: dict[str, tuple[Pair, Pair, Pair, Pair]] = {  # table 2, percent: training SB, LB; test SB, LB
    "F1": ((99.66, 0.05), (99.92, 0.01), (98.03, 0.07), (97.81, 0.07)),
    "F2": ((99.99, 0.03), (98.35, 2.08), (64.02, 0.2), (59.45, 1.05)),
    "C1": ((99.89, 0.02), (99.66, 0.2), (80.04, 0.12), (77.26, 0.42)),
    "C2": ((99.99, 0.04), (99.99, 0.01), (89.24, 0.12), (87.26, 0.07)),
    "C3": ((99.56, 0.44), (99.88, 0.30), (49.58, 0.39), (46.45, 0.43)),
    "C4": ((99.10, 1.23), (99.57, 1.84), (63.08, 0.5), (57.81, 0.17)),
}
EPSILONS = (1e-3, 5e-4)
SHARPNESS: dict[str, dict[str, tuple[Pair, Pair, Pair, Pair]]] = {  # epsilon 1e-3 SB, LB; 5e-4 SB, LB
    "full": {  # table 3
        "F1": ((1.23, 0.83), (205.14, 69.52), (0.61, 0.27), (42.90, 17.14)),
        "F2": ((1.39, 0.02), (310.64, 38.46), (0.90, 0.05), (93.15, 6.81)),
        "C1": ((28.58, 3.13), (707.23, 43.04), (7.08, 0.88), (227.31, 23.23)),
        "C2": ((8.68, 1.32), (925.32, 38.29), (2.07, 0.86), (175.31, 18.28)),
        "C3": ((29.85, 5.98), (258.75, 8.96), (8.56, 0.99), (105.11, 13.22)),
        "C4": ((12.83, 3.84), (421.84, 36.97), (4.07, 0.87), (109.35, 16.57)),
    },
    "subspace": {  # table 4
        "F1": ((0.11, 0.00), (9.22, 0.56), (0.05, 0.00), (9.17, 0.14)),
        "F2": ((0.29, 0.02), (23.63, 0.54), (0.05, 0.00), (6.28, 0.19)),
        "C1": ((2.18, 0.23), (137.25, 21.60), (0.71, 0.15), (29.50, 7.48)),
        "C2": ((0.95, 0.34), (25.09, 2.61), (0.31, 0.08), (5.82, 0.52)),
        "C3": ((17.02, 2.20), (236.03, 31.26), (4.03, 1.45), (86.96, 27.39)),
        "C4": ((6.05, 1.13), (72.99, 10.96), (1.89, 0.33), (19.85, 4.12)),
    },
}
CLAIMS = {
    "claim-1": "LB test accuracy is lower than SB at similar training accuracy (table 2), and it is not over-training (figure 2).",
    "claim-2": "LB solutions are sharper by one to two orders of magnitude, in the full space and in random subspaces; LB's Hessian has a "
    "significant number of large eigenvalues.",
    "claim-3": "Along straight and curved paths from SB to LB, loss and accuracy on training and test data show LB the sharper one.",
    "claim-4": "Past a threshold batch size test accuracy drops and sharpness has grown (figure 4).",
    "claim-5": "Warm start: LB started after enough SB epochs ends flat and generalizes (figure 5).",
    "claim-6": "||x_SB - x_0|| / ||x_LB - x_0|| lies in 3 to 10.",
    "claim-7": "Along training, sharpness of LB grows as the loss falls, SB's stays flat and then falls (figure 6).",
    "claim-8": "Data augmentation, conservative and adversarial training improve LB's generalization but leave sharp minima.",
}
