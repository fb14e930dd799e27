"""Owns the choice of the device that an experiment's jobs run on."""


def device_of(scale: str, device: str | None = None) -> str:
    """Where the jobs of a scale run: at paper on the given device, by default a GPU if this machine has one, else on the CPU."""
    if scale != "paper":
        return "cpu"
    if device is None:
        import torch  # slow to import

        device = "cuda" if torch.cuda.is_available() else "cpu"
    return device
