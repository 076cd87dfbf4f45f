"""The rules that CloudFront has no setting for, as a function that it runs before each request: paths, methods,
preflights, sizes. Must not know of templates.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.export import patterns
from proxy.export.plan import Plan, Region, foreign_status, methods
from proxy.export.quoting import script
from proxy.model.verdict import Route

# What clients say of themselves. CloudFront itself removes X-Forwarded-Proto and X-Real-IP.
_CLAIMS = ("forwarded", "x-forwarded-host", "x-forwarded-port", "x-forwarded-server")
# The parts that are the same in every export.
_CODE = """
function known(origin) {
  return origin !== "" && ORIGINS.test(origin);
}

function answer(status, phrase, text, origin, more) {
  var headers = more || {};
  headers["cache-control"] = { value: "no-store" };
  headers["vary"] = { value: "Origin" };
  if (known(origin)) {
    headers["access-control-allow-origin"] = { value: origin };
    headers["access-control-allow-credentials"] = { value: "true" };
    headers["access-control-expose-headers"] = { value: EXPOSED };
  }
  var own = { statusCode: status, statusDescription: phrase, headers: headers };
  if (text !== "") {
    headers["content-type"] = { value: "text/plain" };
    own.body = { encoding: "text", data: text };
  }
  return own;
}

// CloudFront would send OPTIONS on to the vendor, whose answer need not be yours.
function preflight(origin, methods) {
  if (!known(origin)) {
    return answer(204, "No Content", "", origin);
  }
  return answer(204, "No Content", "", origin, {
    "access-control-allow-methods": { value: methods },
    "access-control-allow-headers": { value: ALLOWED },
    "access-control-max-age": { value: MAX_AGE },
  });
}

function valueOf(request, name) {
  var field = request.headers[name];
  return field ? field.value : "";
}

function handler(event) {
  var request = event.request;
  var origin = valueOf(request, "origin");
  var track = TRACK.test(request.uri);
  var config = CONFIG.exec(request.uri);
  var methods = track ? TRACK_METHODS : CONFIG_METHODS;
  if (!track && !config) {
    return answer(404, "Not Found", "no such path", origin);
  }
  if (request.method === "OPTIONS") {
    return preflight(origin, methods);
  }
  if (methods.split(", ").indexOf(request.method) < 0) {
    return answer(405, "Method Not Allowed", "not this method", origin, { allow: { value: methods } });
  }
  if (HOSTS !== null && HOSTS.indexOf(valueOf(request, "host").toLowerCase()) < 0) {
    return answer(421, "Misdirected Request", "no rule gives its region", origin);
  }
  if (REFUSES_FOREIGN && origin !== "" && !known(origin)) {
    return answer(track ? FOREIGN_TRACK : FOREIGN_CONFIG, "Refused", "foreign origin", origin);
  }
  if (track && Number(valueOf(request, "content-length")) > BODY_LIMIT) {
    // These words make the SDK halve its batch and send it again; any other 413 loses it.
    return answer(413, "Payload Too Large", TOO_LARGE, origin);
  }
  REMOVED.forEach(function (name) { delete request.headers[name]; });
  request.uri = track ? TRACK_UPSTREAM : CONFIG_UPSTREAM + (config[2] || "") || "/";
  return request;
}
"""


def function_code(plan: Plan, region: Region) -> Iterator[str]:
    """The lines of the function, in CloudFront's JavaScript 2.0."""
    settings = plan.settings
    origins = patterns.any_of(map(patterns.origin, settings.cors.allow_origins))
    yield f"var ORIGINS = {_pattern(origins)};"
    yield f"var TRACK = {_pattern(patterns.track(settings.paths.track))};"
    yield f"var CONFIG = {_pattern(patterns.config(settings.paths.config))};"
    constants = {
        "TRACK_UPSTREAM": region.track.path or "/",
        "CONFIG_UPSTREAM": region.config.path,
        "TRACK_METHODS": ", ".join(methods(Route.TRACK)),
        "CONFIG_METHODS": ", ".join(methods(Route.CONFIG)),
        "ALLOWED": plan.allow_headers,
        "EXPOSED": plan.expose_headers,
        "MAX_AGE": str(plan.max_age),
        "REMOVED": [*_CLAIMS, *(name.lower() for name in plan.removed)],
        "HOSTS": None if plan.has_fallback else region.hosts,
        "REFUSES_FOREIGN": plan.refuses_foreign,
        "FOREIGN_TRACK": foreign_status(Route.TRACK),
        "FOREIGN_CONFIG": foreign_status(Route.CONFIG),
        "BODY_LIMIT": settings.limits.body,
        "TOO_LARGE": plan.too_large,
    }
    yield from (f"var {name} = {script(value)};" for name, value in constants.items())
    yield from _CODE.splitlines()


def _pattern(pattern: str) -> str:
    # Elsewhere `[]]` is the class of one bracket; here it would be an empty class, which nothing matches.
    return f"new RegExp({script(pattern.replace('[]]', chr(92) + ']'))})"
