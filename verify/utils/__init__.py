"""What every room uses: errors, validators, statistics, threads, objects by name, tables in files. Imports nothing of flatproof."""
