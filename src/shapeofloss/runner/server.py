"""The Jupyter server that `lab` starts: it keeps prints as they are, and asks for a token."""

import secrets
from pathlib import Path
from typing import Any

from jupyter_server.auth.identity import PasswordIdentityProvider
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from jupytext.async_contentsmanager import build_async_jupytext_contents_manager_class
from tornado.web import HTTPError
from traitlets import validate

from shapeofloss.engine import workspace


class _Files(AsyncLargeFileManager):
    """Files as Jupyter has them, but for prints, which the runner alone writes."""

    async def save(self, model: dict[str, Any], path: str = "") -> Any:
        keep_print(Path(self._get_os_path(path)))
        return await super().save(model, path)


class Contents(build_async_jupytext_contents_manager_class(_Files)):  # type: ignore[misc]
    """Scripts as notebooks. What would save a print is refused before jupytext makes an unexpected error of it."""

    async def save(self, model: dict[str, Any], path: str = "") -> Any:
        """Save what is no print.

        Raises:
            HTTPError: With status 403 for the print of a script.
        """
        keep_print(Path(self._get_os_path(path)))
        return await super().save(model, path)

    async def restore_checkpoint(self, checkpoint_id: str, path: str) -> None:
        """Bring back an earlier state of what is no print.

        Raises:
            HTTPError: With status 403 for the print of a script.
        """
        keep_print(Path(self._get_os_path(path)))
        await super().restore_checkpoint(checkpoint_id, path)


class Identity(PasswordIdentityProvider):
    """Ask for a token, even where the user's own settings empty it."""

    @validate("token")
    def _never_empty(self, proposal: dict[str, Any]) -> str:
        if not proposal["value"]:
            self.token_generated = True  # so that the address is shown with it
        return proposal["value"] or secrets.token_hex(24)


def keep_print(place: Path) -> None:
    """Refuse a place that is the print of a script, by way of links, too.

    Raises:
        HTTPError: With status 403.
    """
    place = place.resolve()
    script = place.with_suffix(".py")
    if place.suffix == ".ipynb" and place.parent == (workspace.root() / "notebooks").resolve() and script.is_file():
        raise HTTPError(
            403,
            f"{place.name} is the executed print of {script.name} and is written by the runner only. "
            f"Open {script.name} to change or try things.",
        )


if __name__ == "__main__":
    from jupyterlab.labapp import main

    main()
