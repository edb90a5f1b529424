"""Every mutation of a GraphQL schema as a request, found by introspection, with arguments of the right types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_TYPE = "kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } }"
INTROSPECTION = f"""{{ __schema {{
  mutationType {{ fields {{ name type {{ {_TYPE} possibleTypes {{ name }} }} args {{ name type {{ {_TYPE} }} }} }} }}
  types {{ name kind enumValues {{ name }} possibleTypes {{ name }} inputFields {{ name type {{ {_TYPE} }} }} }}
}} }}"""


# where the refusal stands in answers that are neither a success nor an error
_ONE = "... on TerminateRunFailure { message }"
_INNER = {
    "launchMultipleRuns": "... on LaunchMultipleRunsResult { launchMultipleRunsResult { __typename } }",
    "terminateRuns": f"... on TerminateRunsResult {{ terminateRunResults {{ __typename {_ONE} }} }}",
    "terminateRun": _ONE,
    "terminatePipelineExecution": _ONE,
}


def mutations(
    schema: dict[str, Any], known: Mapping[str, Any], of: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield name, query and variables of each mutation.

    ``known`` holds values of arguments and fields by their names, ``of`` those of one mutation. What may be left out and
    is in neither, is left out.
    """
    types = {t["name"]: t for t in schema["types"]}
    for mutation in schema["mutationType"]["fields"]:
        name = mutation["name"]
        values = {**known, **of.get(name, {})}
        args = [a for a in mutation["args"] if a["type"]["kind"] == "NON_NULL" or a["name"] in values]
        variables = {a["name"]: _value(a["name"], a["type"], types, values) for a in args}
        declared = ", ".join(f"${a['name']}: {_written(a['type'])}" for a in args)
        handed = ", ".join(f"{a['name']}: ${a['name']}" for a in args)
        plain = _named(mutation["type"])["kind"] in ("SCALAR", "ENUM")
        result = "" if plain else f" {{ __typename ... on Error {{ message }} {_INNER.get(name, '')} }}"
        query = f"mutation{f'({declared})' if declared else ''} {{ {name}{f'({handed})' if handed else ''}{result} }}"
        yield name, query, variables


def _named(type_: dict[str, Any]) -> dict[str, Any]:
    while type_.get("ofType"):
        type_ = type_["ofType"]
    return type_


def _written(type_: dict[str, Any]) -> str:
    if type_["kind"] == "NON_NULL":
        return _written(type_["ofType"]) + "!"
    if type_["kind"] == "LIST":
        return f"[{_written(type_['ofType'])}]"
    return str(type_["name"])


def _value(name: str, type_: dict[str, Any], types: dict[str, Any], known: Mapping[str, Any]) -> Any:
    """Return a value of the type; fields that may be left out and are not known are left out."""
    if type_["kind"] == "NON_NULL":
        return _value(name, type_["ofType"], types, known)
    if name in known:
        return known[name]
    if type_["kind"] == "LIST":
        return [_value(name, type_["ofType"], types, known)]
    if type_["kind"] == "ENUM":
        return types[type_["name"]]["enumValues"][0]["name"]
    if type_["kind"] == "INPUT_OBJECT":
        fields = types[type_["name"]]["inputFields"]
        return {
            f["name"]: _value(f["name"], f["type"], types, known)
            for f in fields
            if f["type"]["kind"] == "NON_NULL" or f["name"] in known
        }
    return {"Int": 1, "Float": 1.0, "Boolean": True, "RunConfigData": {}}.get(type_["name"], "x")
