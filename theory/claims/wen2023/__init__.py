"""The statements of wen2023, one module for a few neighbours; each function's docstring states what the paper prints."""
