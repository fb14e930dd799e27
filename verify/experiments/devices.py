"""Owns the choice of the device that an experiment's jobs run on."""


def device_of(scale: str, device: str | None = None) -> str:
    """Where the jobs of a scale run: at paper on the given device, by default a GPU if this machine has one, else on the CPU."""
    if scale != "paper":
        return "cpu"
    if device is None:
        import torch  # slow to import

        device = "cuda" if torch.cuda.is_available() else "cpu"
    return device


def devices_of(scale: str) -> tuple[str | None, ...]:
    """Where stored jobs of a scale may have run, as `device_of` takes it: a report shows those of the device that most are stored of."""
    return ("cuda", "cpu") if scale == "paper" else (None,)
