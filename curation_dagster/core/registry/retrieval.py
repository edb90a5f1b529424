"""How an archive's files come: one model for each method, told apart by ``method``.

All methods end in the same pick-up. A delivery that lies in the landing folder goes before every method, so that an
archive can always be delivered by hand. Credentials are never written here, only the names of the environment's
variables that hold them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from curation_dagster.core.registry.parts import Text

EnvName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]


class Source(BaseModel):
    """What every method says."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    urls: tuple[str, ...] = Field((), description="Where the files are; none where none is known.")
    instructions: Text = Field(
        description="What to fetch and where to put it, for a person who has never done it."
    )


class Landing(Source):
    """A person or a tool puts the files into the landing folder."""

    method: Literal["landing"] = Field("landing", description="The landing folder.")


class Remote(Source):
    """What all methods that fetch say."""

    include: tuple[str, ...] = Field(
        (), description="Globs of the files that are fetched; all of the source without it."
    )
    plain_http_reason: str | None = Field(
        None, description="Why addresses with http:// are accepted; without a reason they are refused."
    )

    @field_validator("include")
    @classmethod
    def _relative(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for glob in value:
            if glob.startswith("/") or "\\" in glob:
                raise ValueError(f'"{glob}" can\'t match: paths are POSIX and relative to the source')
        return value


class Https(Remote):
    """The files of the version that state a ``url``, over HTTPS."""

    method: Literal["https"] = Field(description="Files at addresses.")
    token_env: EnvName | None = Field(None, description="Variable that holds a bearer token.")
    user_env: EnvName | None = Field(
        None, description="Variable that holds the user of basic authentication."
    )
    password_env: EnvName | None = Field(None, description="Variable that holds its password.")

    @model_validator(mode="after")
    def _both_or_none(self) -> Https:
        if (self.user_env is None) != (self.password_env is None):
            raise ValueError("user_env and password_env go together")
        return self


class Sftp(Remote):
    """All files below a folder of an SFTP server whose key is known."""

    method: Literal["sftp"] = Field(description="An SFTP server.")
    host: Text = Field(description="Name of the server.")
    port: int = Field(22, ge=1, le=65535, description="Its port.")
    folder: Text = Field(description="Folder on the server; the version's `source` is a folder below it.")
    host_keys: tuple[Text, ...] = Field(
        min_length=1,
        description="Public keys of the server, as `ssh-ed25519 AAAA...`, told by its operator. "
        "A server with another key is refused; none is ever accepted on first sight.",
    )
    user_env: EnvName = Field(description="Variable that holds the user.")
    password_env: EnvName | None = Field(None, description="Variable that holds the password.")
    key_env: EnvName | None = Field(None, description="Variable that holds the path of a private key.")

    @model_validator(mode="after")
    def _one_credential(self) -> Sftp:
        if (self.password_env is None) == (self.key_env is None):
            raise ValueError("give either password_env or key_env")
        return self


class S3(Remote):
    """All objects below a prefix of a bucket, at Amazon or any other endpoint."""

    method: Literal["s3"] = Field(description="An S3 bucket.")
    bucket: Text = Field(description="Name of the bucket.")
    prefix: str = Field(
        "", description="Prefix of the objects; the version's `source` is appended where given."
    )
    endpoint: str | None = Field(None, description="Address of the endpoint; Amazon's without it.")
    region: str = Field("us-east-1", description="Region of the bucket.")
    access_key_env: EnvName | None = Field(
        None, description="Variable that holds the access key; anonymous without it."
    )
    secret_key_env: EnvName | None = Field(None, description="Variable that holds the secret key.")
    session_token_env: EnvName | None = Field(
        None, description="Variable that holds the session's token, where there is one."
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> S3:
        if (self.access_key_env is None) != (self.secret_key_env is None):
            raise ValueError("access_key_env and secret_key_env go together")
        return self


class Doi(Remote):
    """The files of a record in a data repository, with the checksums that it publishes."""

    method: Literal["doi"] = Field(description="A record with a DOI.")
    repository: Literal["dataverse", "zenodo", "figshare", "mendeley"] = Field(
        description="Software of the repository: which interface is spoken."
    )
    record: Text = Field(
        description="The record: the DOI (Dataverse), or the number or id in it. The version's `source`, or else its "
        "name, is the version of the record; at Zenodo, where each version is a record, the record itself."
    )
    api: str = Field(description="Address of the repository, such as https://dataverse.harvard.edu.")
    token_env: EnvName | None = Field(
        None, description="Variable that holds a token, for records that need one."
    )


class Isic(Remote):
    """Images and records of the ISIC Archive, through its API v2; a licence and an attribution for each image."""

    method: Literal["isic"] = Field(description="The ISIC Archive.")
    api: str = Field("https://api.isic-archive.com/api/v2", description="Address of the interface.")
    collections: tuple[int, ...] = Field((), description="Numbers of collections; all of them without it.")
    query: str | None = Field(None, description="Query in the archive's own language.")
    token_env: EnvName | None = Field(None, description="Variable that holds a bearer token.")

    @model_validator(mode="after")
    def _bounded(self) -> Isic:
        if not self.collections and not self.query:
            raise ValueError("give collections, query or both: the whole archive is no version of anything")
        return self


class UrlList(Remote):
    """A list of addresses, each of which gets a fate of its own."""

    method: Literal["url_list"] = Field(description="A list of addresses.")
    list: Text = Field(
        description="The list: the name of a file in the delivery's landing folder, or an https address."
    )
    column: str | None = Field(
        None, description="Column of the addresses, where the list is a CSV; null: one address a line."
    )


class Drop(Source):
    """A gated delivery in the landing folder, with a manifest of its files and their checksums."""

    method: Literal["drop"] = Field(description="The landing folder, with a manifest.")
    manifest: Text = Field(
        "manifest.json",
        description="Name of the manifest: JSON with `archive`, `version` and `files` (path to sha256 or md5, and "
        "bytes), or the output of sha256sum.",
    )


def _method_of(value: Any) -> str:
    found = value.get("method", "landing") if isinstance(value, dict) else getattr(value, "method", "landing")
    return found if isinstance(found, str) else repr(found)


Retrieval = Annotated[
    Annotated[Landing, Tag("landing")]
    | Annotated[Https, Tag("https")]
    | Annotated[Sftp, Tag("sftp")]
    | Annotated[S3, Tag("s3")]
    | Annotated[Doi, Tag("doi")]
    | Annotated[Isic, Tag("isic")]
    | Annotated[UrlList, Tag("url_list")]
    | Annotated[Drop, Tag("drop")],
    Discriminator(_method_of),
]

METHODS: dict[str, type[Source]] = {
    "landing": Landing,
    "https": Https,
    "sftp": Sftp,
    "s3": S3,
    "doi": Doi,
    "isic": Isic,
    "url_list": UrlList,
    "drop": Drop,
}
"""Every method, by the word in ``retrieval.method``."""
