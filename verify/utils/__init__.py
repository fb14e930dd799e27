"""What every room uses: errors, validators, statistics, threads, objects by name. Imports nothing of flatproof."""
