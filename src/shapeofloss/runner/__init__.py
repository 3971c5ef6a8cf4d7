"""Run notebooks headlessly, and move what ended well into its committed place."""

import sys

# nbformat loads jsonschema, and that a grammar of international addresses: two seconds in each process, for a check
# that no notebook needs. jsonschema does without it where it is not installed; None says so.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
