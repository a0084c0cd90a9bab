"""The tools that make vectors and pages."""
