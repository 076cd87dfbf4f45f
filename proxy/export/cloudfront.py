"""The settings as a CloudFormation template: a CloudFront distribution for each region, a function in front that keeps
the rules, and the policies between. Must not know how it is deployed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import ceil

from proxy.export.cloudfront_function import function_code
from proxy.export.cloudfront_policies import answer_policy, request_policy
from proxy.export.gaps import Place, Server, gaps
from proxy.export.layout import YAML_INDENT, comment, document, indented, listing, mapping
from proxy.export.plan import ExportError, Plan, Region, answer_time, connect_time, public_paths
from proxy.export.quoting import yaml as quoted
from proxy.model.verdict import Route
from proxy.settings import Upstream

# AWS's own policy that caches nothing.
_CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
# Every status whose answer CloudFront would otherwise repeat to others for ten seconds.
_ERRORS = (400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504)
_STEP = "  "


def cloudfront(plan: Plan) -> str:
    """The whole template. Raises ExportError."""
    _refuse(plan)
    return document(_lines(plan))


def _refuse(plan: Plan) -> None:
    if plan.any_origin:
        text = 'CloudFront would answer "*", which browsers refuse for beacons: name your origins'
        raise ExportError("cors.allow_origins", text)
    for region in plan.regions:
        for route, upstream in region.routes:
            path = f"upstreams.{region.name}.{route.value}"
            if upstream.connect:
                raise ExportError(f"{path}.connect", "CloudFront connects to the name in the url only")
            if upstream.ca_file:
                raise ExportError(f"{path}.ca_file", "CloudFront trusts the public authorities only")


def _lines(plan: Plan) -> Iterator[str]:
    yield from comment(
        "CloudFront for session-replay traffic, exported from the gateway's settings. Deploy it in us-east-1: "
        "`aws cloudformation deploy --region us-east-1 --stack-name replay --template-file FILE`."
    )
    yield 'AWSTemplateFormatVersion: "2010-09-09"'
    yield 'Description: "Session-replay traffic on your own domain"'
    parameters = list(_parameters(plan))
    if parameters:
        yield from mapping("Parameters", parameters)
    yield from mapping("Resources", _resources(plan))
    yield from mapping("Outputs", _outputs(plan))


def _identifier(region: Region) -> str:
    """Letters and digits only, another one for each region."""
    return region.name.replace("-", "Dash").replace("_", "Line").title()


def _parameters(plan: Plan) -> Iterator[str]:
    if any(region.hosts for region in plan.regions):
        text = "A certificate for your hosts, by its ARN in us-east-1"
        yield from mapping("Certificate", ["Type: String", f"Description: {quoted(text, '')}"])
    for number, name in enumerate(plan.set_headers, 1):
        text = f"The value of {name} (headers.upstream.set)"
        lines = ["Type: String", "NoEcho: true", f"Description: {quoted(text, '')}"]
        yield from mapping(f"Header{number}", lines)


def _resources(plan: Plan) -> Iterator[str]:
    yield from _resource("Requests", "OriginRequestPolicy", request_policy(plan))
    yield from _resource("Answers", "ResponseHeadersPolicy", answer_policy(plan))
    yield from gaps(plan, Server.CLOUDFRONT, Place.REGIONS)
    for region in plan.regions:
        name = _identifier(region)
        yield from _resource(f"Rules{name}", "Function", _function(plan, region))
        yield from _resource(f"Distribution{name}", "Distribution", _distribution(plan, region))


def _resource(name: str, kind: str, properties: Iterable[str]) -> Iterator[str]:
    yield from mapping(name, [f"Type: AWS::CloudFront::{kind}", *mapping("Properties", properties)])


def _function(plan: Plan, region: Region) -> Iterator[str]:
    yield f'Name: !Sub "${{AWS::StackName}}-rules-{region.name}"'
    yield "AutoPublish: true"
    yield from mapping("FunctionConfig", ['Comment: "Paths, methods, preflights, sizes"', "Runtime: cloudfront-js-2.0"])
    yield from gaps(plan, Server.CLOUDFRONT, Place.BODIES, region)
    yield "FunctionCode: |"
    yield from indented(function_code(plan, region), YAML_INDENT)


def _distribution(plan: Plan, region: Region) -> Iterator[str]:
    yield from mapping("DistributionConfig", _distribution_config(plan, region))


def _distribution_config(plan: Plan, region: Region) -> Iterator[str]:
    yield from gaps(plan, Server.CLOUDFRONT, Place.REQUESTS, region)
    yield "Enabled: true"
    yield f'Comment: "Session-replay traffic, region {region.name}"'
    yield "HttpVersion: http2"
    yield "IPV6Enabled: true"
    yield from _names(plan, region)
    yield from gaps(plan, Server.CLOUDFRONT, Place.TIMES, region)
    yield from gaps(plan, Server.CLOUDFRONT, Place.UPSTREAM, region)
    yield "Origins:"
    for route, upstream in region.routes:
        yield from _item(_origin(plan, region, route, upstream))
    yield from comment("Other paths go to the function only, which answers 404.")
    yield from mapping("DefaultCacheBehavior", _behaviour(region, Route.TRACK))
    yield "CacheBehaviors:"
    for route in Route:
        for path in public_paths(plan.settings, route):
            # Not /config*, which would be /configANYTHING, too.
            for pattern in (path, f"{path}/*") if route is Route.CONFIG else (path,):
                yield from _item([f"PathPattern: {quoted(pattern, 'paths')}", *_behaviour(region, route)])
    yield from comment("CloudFront repeats errors to others for ten seconds unless it is told not to.")
    yield from listing("CustomErrorResponses", (f"{{ErrorCode: {code}, ErrorCachingMinTTL: 0}}" for code in _ERRORS))


def _names(plan: Plan, region: Region) -> Iterator[str]:
    if not region.hosts:
        yield from comment("Without a host of yours it has a name below cloudfront.net, which blockers may know.")
        return
    yield from listing("Aliases", (quoted(host, "region.hosts") for host in region.hosts))
    lines = (
        "AcmCertificateArn: !Ref Certificate",
        "SslSupportMethod: sni-only",
        "MinimumProtocolVersion: TLSv1.2_2021",
    )
    yield from mapping("ViewerCertificate", lines)


def _item(lines: Iterable[str]) -> Iterator[str]:
    first = True
    for line in lines:
        yield f"  {'- ' if first else '  '}{line}"
        first = False


def _seconds(value: float, most: int) -> int:
    return min(max(ceil(value), 1), most)


def _origin(plan: Plan, region: Region, route: Route, upstream: Upstream) -> Iterator[str]:
    settings, secure = plan.settings, upstream.tls
    yield f"Id: {route.value}"
    yield f"DomainName: {quoted(upstream.host, f'upstreams.{region.name}.{route.value}.url')}"
    yield "ConnectionAttempts: 1"
    yield f"ConnectionTimeout: {_seconds(connect_time(settings, route), 10)}"
    lines = [
        f"OriginProtocolPolicy: {'https-only' if secure else 'http-only'}",
        f"{'HTTPSPort' if secure else 'HTTPPort'}: {upstream.port}",
        "OriginSSLProtocols: [TLSv1.2]",
        f"OriginReadTimeout: {_seconds(answer_time(settings, route), 60)}",
        f"OriginKeepaliveTimeout: {_seconds(settings.timeouts.upstream_idle, 60)}",
    ]
    yield from mapping("CustomOriginConfig", lines)
    if plan.set_headers:
        headers = (
            f"{{HeaderName: {name}, HeaderValue: !Ref Header{number}}}"
            for number, name in enumerate(plan.set_headers, 1)
        )
        yield from listing("OriginCustomHeaders", headers)


def _behaviour(region: Region, route: Route) -> Iterator[str]:
    # CloudFront knows three sets of methods; the function keeps the route's own.
    allowed = "[GET, HEAD, OPTIONS, PUT, PATCH, POST, DELETE]" if route is Route.TRACK else "[GET, HEAD, OPTIONS]"
    yield f"TargetOriginId: {route.value}"
    yield "ViewerProtocolPolicy: https-only"
    yield f"AllowedMethods: {allowed}"
    yield "Compress: false"
    yield f"CachePolicyId: {_CACHING_DISABLED}"
    yield "OriginRequestPolicyId: !Ref Requests"
    yield "ResponseHeadersPolicyId: !Ref Answers"
    association = (
        f"{{EventType: viewer-request, FunctionARN: !GetAtt Rules{_identifier(region)}.FunctionMetadata.FunctionARN}}"
    )
    yield from listing("FunctionAssociations", [association])


def _outputs(plan: Plan) -> Iterator[str]:
    for region in plan.regions:
        name = _identifier(region)
        yield from mapping(f"Domain{name}", [f"Value: !GetAtt Distribution{name}.DomainName"])
