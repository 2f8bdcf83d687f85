"""Training: the step, the recipes, the loop."""
