"""The command line: argv to one call each. What a command does is in the module named after it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from proxy.cli.archive import archive
from proxy.cli.options import CONFIG

EXPORTS = ("nginx", "caddy", "haproxy", "cloudfront", "sdk", "csp")


def installed_version() -> str:
    """The version of the installed package."""
    try:
        return version("replay-gateway")
    except PackageNotFoundError:
        return "(not installed)"


def build() -> str:
    """Whether the data path is machine code or plain Python: the same gateway at different cost."""
    found = find_spec("proxy.edge.connection")
    plain = found is None or str(found.origin).endswith(".py")
    return "plain Python" if plain else "compiled"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(f"{installed_version()} ({build()})", prog_name="replay-gateway")
def main() -> None:
    """A first-party gateway for session-replay traffic.

    Exit codes: 0 fine, 1 failure at run time, 2 wrong configuration or usage.
    """


@main.command()
@CONFIG
@click.option("--schema", is_flag=True, help="Print a JSON Schema for editors instead.")
@click.option("--json", "as_json", is_flag=True, help="Print problems, warnings and settings as JSON.")
@click.pass_context
def check(context: click.Context, config: Path | None, schema: bool, as_json: bool) -> None:
    """Tell everything that is wrong with a configuration, or print it in full, secrets masked."""
    from proxy.cli.check import check_settings, print_schema

    context.exit(print_schema() if schema else check_settings(config, as_json))


@main.command()
@CONFIG
@click.pass_context
def run(context: click.Context, config: Path | None) -> None:
    """Run the gateway until SIGTERM or Ctrl-C."""
    from proxy.cli.run import run_gateway

    context.exit(run_gateway(config))


@main.command()
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def reload(context: click.Context, config: Path | None, as_json: bool) -> None:
    """Have the running gateway apply its configuration as it is now, without dropping a connection.

    It reads the file that it was started with; the one given here only says where it is asked. What needs a restart is
    named, and nothing is changed then. SIGHUP does the same.
    """
    from proxy.cli.reload import reload_gateway

    context.exit(reload_gateway(config, as_json))


@main.command()
@CONFIG
@click.option("--url", metavar="URL", help="Look at the proxy with this address for uploads, from outside.")
@click.option("--config-url", metavar="URL", help="Its address for the configuration; by default the same host's.")
@click.option("--origin", metavar="ORIGIN", help="Of the page; by default the first that cors.allow_origins names.")
@click.option("--api-key", metavar="KEY", help="A key of yours, in place of an invented one: this records a session.")
@click.option("--ca-file", type=click.Path(path_type=Path), metavar="FILE", help="Trust the authorities in it only.")
@click.option("--standin", metavar="URL", help="Control address of a stand-in vendor behind the proxy.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(context: click.Context, /, config: Path | None, as_json: bool, url: str | None, **options: Any) -> None:
    """Look the gateway over, or any proxy from outside, and say how to mend what is wrong.

    Without --url, by the settings: the vendor's endpoints, certificates, addresses, limits, the archive. The vendor is
    sent an OPTIONS request and a GET with an invented key. With --url, as the browser SDK does: preflights, uploads of
    up to 5 MB, configurations, with an invented key and session, which a vendor refuses.

    Exit codes: 0 nothing failed, 1 something did, 2 wrong configuration or usage.
    """
    from proxy.cli.doctor import Proxy, examine_inside, examine_outside

    if url is None:
        given = [
            name for name in ("config_url", "origin", "api_key", "ca_file", "standin") if options[name] is not None
        ]
        if given:
            raise click.UsageError(f"--{given[0].replace('_', '-')} needs --url.")
        context.exit(examine_inside(config, as_json))
    context.exit(examine_outside(config, Proxy(url, **options), as_json))


@main.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Where browsers connect.")
@click.option("--admin-port", type=click.IntRange(1, 65535), default=9090, show_default=True, help="On loopback only.")
@click.pass_context
def demo(context: click.Context, port: int, admin_port: int) -> None:
    """Run the gateway in front of a stand-in vendor on this machine, and say how to try it."""
    from proxy.cli.demo import run_demo

    context.exit(run_demo(port, admin_port))


@main.command()
@click.argument("format_name", metavar="FORMAT", type=click.Choice(EXPORTS))
@CONFIG
@click.option("--public-url", metavar="URL", help="The address that browsers use, for sdk and csp.")
@click.option("--resolver", metavar="ADDRESS", help="A name server for nginx 1.27.3 or newer, to resolve names again.")
@click.option("--output", "-o", type=click.Path(path_type=Path), metavar="FILE", help="Write into this new file.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
@click.pass_context
def export(
    context: click.Context,
    format_name: str,
    config: Path | None,
    public_url: str | None,
    resolver: str | None,
    output: Path | None,
    force: bool,
) -> None:
    """Print the settings as the configuration of another server, or of the page.

    FORMAT is nginx, caddy, haproxy, cloudfront (a CloudFormation template), sdk (the lines for the page's script) or
    csp (its Content-Security-Policy). What the other server can't do is said in comments.
    """
    from proxy.cli.export import export_settings
    from proxy.export import Wishes

    context.exit(export_settings(format_name, config, Wishes(public_url, resolver), output, force))


main.add_command(archive)
