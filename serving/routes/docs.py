"""GET /docs: the API on one page, drawn here from the OpenAPI document; nothing is loaded from elsewhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

__all__ = ["render", "router"]

router = APIRouter(include_in_schema=False)

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1c2733}
code,pre{font:13px/1.45 ui-monospace,monospace;background:#f3f5f7;border-radius:4px}
code{padding:.1em .3em}pre{padding:.8rem;overflow:auto}
h2{margin-top:2.2rem;border-top:1px solid #dde3e8;padding-top:1rem}
.m{display:inline-block;min-width:3.4rem;font-weight:600;color:#0b5c8a}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #e6eaee;vertical-align:top}
"""


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Draw the page."""
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return Response(render(request.app.openapi()), headers=headers, media_type="text/html; charset=utf-8")


def render(document: dict[str, Any]) -> str:
    """Draw an OpenAPI document as HTML.

    Parameters
    ----------
    document : dict
        The OpenAPI document.

    Returns
    -------
    str
        A page that stands alone.

    Examples
    --------
    >>> "<h1>t" in render({"info": {"title": "t", "version": "1"}, "paths": {}})
    True
    """
    info = document["info"]
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(info['title'])}</title>",
        f"<style>{_STYLE}</style>",
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info.get('description', ''))}</p>",
        "<p>Machine-readable: <a href=openapi.json>openapi.json</a></p>",
    ]
    for path, methods in document["paths"].items():
        parts += [_operation(path, method, operation) for method, operation in methods.items()]
    schemas = document.get("components", {}).get("schemas", {})
    parts += [_schema(name, schema) for name, schema in schemas.items()]
    return "\n".join(parts)


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    html = f"<h2><span class=m>{method.upper()}</span> <code>{escape(path)}</code></h2>"
    html += f"<p><b>{escape(operation.get('summary', ''))}.</b> {escape(operation.get('description', ''))}</p>"
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        html += f"<p>Body {escape(media)}: {_type(content['schema'])}</p>"
        if "example" in content:
            html += f"<pre>{escape(json.dumps(content['example'], indent=2))}</pre>"
    for status, answer in operation.get("responses", {}).items():
        kinds = [_type(c["schema"]) for c in answer.get("content", {}).values() if "schema" in c]
        html += f"<div><code>{escape(status)}</code> {' '.join(kinds) or escape(answer.get('description', ''))}</div>"
    return html


def _schema(name: str, schema: dict[str, Any]) -> str:
    rows = [
        f"<tr><td><code>{escape(field)}</code><td>{_type(kind)}<td>{_default(field, kind, schema)}"
        for field, kind in schema.get("properties", {}).items()
    ]
    text = escape((schema.get("description") or "").split("\n\n")[0])
    return f"<h2 id={escape(name)}>{escape(name)}</h2><p>{text}</p><table>{''.join(rows)}</table>"


def _default(field: str, kind: dict[str, Any], schema: dict[str, Any]) -> str:
    if field in schema.get("required", ()):
        return "required"
    return f"default <code>{escape(json.dumps(kind['default']))}</code>" if "default" in kind else ""


def _type(kind: dict[str, Any]) -> str:
    if "$ref" in kind:
        name = escape(kind["$ref"].rsplit("/", 1)[-1])
        return f'<a href="#{name}">{name}</a>'
    for key in ("anyOf", "oneOf"):
        if key in kind:
            return " or ".join(_type(k) for k in kind[key])
    if "enum" in kind:
        return " or ".join(f"<code>{escape(json.dumps(v))}</code>" for v in kind["enum"])
    if kind.get("type") == "array":
        inner = kind.get("items") or (kind.get("prefixItems") or [{}])[0]
        return f"list of {_type(inner) if isinstance(inner, dict) and inner else 'values'}"
    return escape(str(kind.get("format") or kind.get("type") or "value"))
