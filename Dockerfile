# The gateway as an image: built in one stage, run in another that holds Python, the certificates of the public
# authorities, the gateway with its dependencies, and no compiler, no pip cache, no source tree.
#
# Python packages are pinned by their hashes, the base image by its tag alone: a tag moves, which brings Debian's and
# Python's fixes with each build. For builds that are the same byte for byte, append the digest that
# `docker buildx imagetools inspect python:3.11-slim-bookworm` shows (@sha256:…) in both places, and renew it monthly.

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements-build.lock requirements.lock ./
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev
RUN python -m venv --without-pip /opt/replay-gateway \
 && python -m pip --python /opt/replay-gateway install --require-hashes --only-binary :all: \
      --requirement requirements.lock \
 && python -m pip install --require-hashes --only-binary :all: --requirement requirements-build.lock
COPY pyproject.toml setup.py README.md LICENSE ./
COPY proxy proxy
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && python -m pip --python /opt/replay-gateway install --no-deps --no-index dist/*.whl

FROM python:3.11-slim-bookworm
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin replay
# For the archive's spool. A new volume there takes over the owner; a folder of the host must be given to uid 10001.
RUN install --directory --owner 10001 --group 10001 --mode 0700 /var/lib/replay-gateway
COPY --from=build /opt/replay-gateway /opt/replay-gateway
COPY config/gateway.yaml /etc/replay-gateway/gateway.yaml
ENV PATH=/opt/replay-gateway/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
LABEL org.opencontainers.image.title="replay-gateway" \
      org.opencontainers.image.description="First-party gateway for session-replay traffic" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
# The root may be read-only (docker run --read-only): written is only what the configuration names, so a spool and an
# archive in a folder. Commands such as `archive verify` want a /tmp beside it (--tmpfs /tmp).
WORKDIR /var/lib/replay-gateway
USER 10001:10001
EXPOSE 8080
# The admin server is on loopback unless the configuration moves it; then move this too.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s \
  CMD ["python", "-c", "from urllib.request import ProxyHandler as P, build_opener as b; b(P({})).open('http://127.0.0.1:9090/health/ready', timeout=2)"]
# The gateway drains: give it longer than timeouts.lame_duck + timeouts.drain (docker run --stop-timeout 30).
STOPSIGNAL SIGTERM
ENTRYPOINT ["replay-gateway"]
CMD ["run", "--config", "/etc/replay-gateway/gateway.yaml"]
