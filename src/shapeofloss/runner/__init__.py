"""Run notebooks headlessly, and move what ended well into its committed place."""
