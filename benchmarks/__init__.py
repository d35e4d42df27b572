"""Side-by-side measurements with peers; `python -m benchmarks` runs them and writes benchmarks/results/*.json."""
