"""What the solvers reach and what it costs: tables of figures against truth and against baselines."""
