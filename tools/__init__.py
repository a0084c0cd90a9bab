"""What the project's own vectors and reference pages are made with. Nothing here is installed."""
