import re
from typing import NamedTuple
from urllib.parse import quote, unquote

_MODEL = re.compile(r"([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?/*")

# What an address, a shell and models.config take without quotes.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def check_model_name(name):
    """Raises a `ValueError` unless the name is valid for a served model."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            "The folder's name is the model's name on the server: it may have letters, "
            "digits, '_', '.' and '-' only. Export to another folder. "
            f"Received: path ends in {name!r}"
        )


class Address(NamedTuple):
    """Address of a served model: the server, the model's name, its version or label."""

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
        match = _MODEL.fullmatch(rest)
        if not match:
            raise ValueError(
                "An address with a model ends in /v1/models/<name>, then "
                "/versions/<number> or /labels/<label>, or nothing. "
                f"Received: url={url!r}"
            )
        model, version, label = match.groups()
        if name and name != unquote(model):
            raise ValueError(
                f"The address has another model name, {unquote(model)!r}. Pass one name. "
                f"Received: name={name!r}"
            )
        return cls(server, unquote(model), version, label and unquote(label))
