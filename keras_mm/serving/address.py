import re
from typing import NamedTuple
from urllib.parse import quote, unquote

_MODEL = re.compile(r"([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?/*")

# What an address, a shell and models.config take without quotes.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def check_model_name(name):
    """Raises a `ValueError` unless a server can call a model so."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            "A model's folder has the name by which the server is asked: letters, "
            "digits, '_', '.' and '-'. Export to another folder. "
            f"Received: path ends in {name!r}"
        )


class Address(NamedTuple):
    """Where a model is served: the server, its name there, its version or label."""

    server: str
    name: str
    version: str | None = None
    label: str | None = None

    @property
    def path(self):
        """The model's part of a REST address."""
        path = f"/v1/models/{quote(self.name)}"
        if self.version:
            return f"{path}/versions/{self.version}"
        return f"{path}/labels/{quote(self.label)}" if self.label else path

    @classmethod
    def parse(cls, url, name=None):
        """`http://host:port[/v1/models/<name>[/versions/<n> | /labels/<l>]]`, or grpc.

        Args:
            url: string.
            name: string, the model's name, unless the address has it.

        Raises:
            ValueError: if the address cannot be used, or no model is named.
        """
        url = str(url)
        if url.partition("://")[0] not in ("http", "https", "grpc"):
            raise ValueError(
                "The address must start with http://, https:// or grpc://. "
                f"Received: url={url!r}"
            )
        server, has_model, rest = url.partition("/v1/models/")
        server = server.rstrip("/")
        if not has_model:
            if not name:
                raise ValueError(
                    "Name the model: Client(url, name), or the address "
                    f"http://host:port/v1/models/<name>. Received: url={url!r}"
                )
            return cls(server, name)
        found = _MODEL.fullmatch(rest)
        if not found:
            raise ValueError(
                "An address with a model ends in /v1/models/<name>, then "
                "/versions/<number> or /labels/<label>, or nothing. "
                f"Received: url={url!r}"
            )
        model, version, label = found.groups()
        if name and name != unquote(model):
            raise ValueError(
                f"The address names another model, {unquote(model)!r}. Give one name. "
                f"Received: name={name!r}"
            )
        return cls(server, unquote(model), version, label and unquote(label))
