"""Holds a value against a JSON Schema: the keywords that /openapi.json uses, and no others."""

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
KEYWORDS = {"type", "properties", "required", "items", "maxItems", "additionalProperties", "enum", "anyOf", "minimum", "maximum", "default",
            "description"}


def has_type(value, name):
    if name in ("integer", "number"):
        return isinstance(value, (int, float) if name == "number" else int) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def problems(value, schema, path="$"):
    """What is wrong with it, a line each; none where it fits."""
    if unknown := schema.keys() - KEYWORDS:
        return [f"{path}: the schema has {unknown}"]
    types = schema.get("type", [])
    types = types if isinstance(types, list) else [types]
    if types and not any(has_type(value, name) for name in types):
        return [f"{path}: {value!r} is no {types}"]
    out = []
    if "enum" in schema and value not in schema["enum"]:
        out.append(f"{path}: {value!r} is none of {schema['enum']}")
    if "anyOf" in schema and all(problems(value, one, path) for one in schema["anyOf"]):
        out.append(f"{path}: {value!r} is none of the alternatives")
    if isinstance(value, dict):
        known = schema.get("properties", {})
        out += [f"{path}: no {name}" for name in schema.get("required", []) if name not in value]
        for name, part in value.items():
            if name in known or "additionalProperties" in schema:
                out += problems(part, known.get(name, schema.get("additionalProperties")), f"{path}.{name}")
    if isinstance(value, list) and len(value) > schema.get("maxItems", len(value)):
        out.append(f"{path}: {len(value)} are too many")
    if isinstance(value, list) and "items" in schema:
        for at, part in enumerate(value):
            out += problems(part, schema["items"], f"{path}[{at}]")
    return out
