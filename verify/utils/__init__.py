"""What every room uses: errors, validators, statistics, threads. Imports nothing of flatproof."""
