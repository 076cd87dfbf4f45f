# The gateway as an image: built in one stage, run in another that holds Python, the certificates of the public
# authorities, the gateway with its dependencies, and no compiler, no pip cache, no source tree.

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
COPY --from=build /opt/replay-gateway /opt/replay-gateway
COPY config/gateway.yaml /etc/replay-gateway/gateway.yaml
ENV PATH=/opt/replay-gateway/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8080
# The admin server is on loopback unless the configuration moves it; then move this too.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s \
  CMD ["python", "-c", "from urllib.request import ProxyHandler as P, build_opener as b; b(P({})).open('http://127.0.0.1:9090/health/ready', timeout=2)"]
# The gateway drains: give it longer than timeouts.lame_duck + timeouts.drain (docker run --stop-timeout 30).
STOPSIGNAL SIGTERM
ENTRYPOINT ["replay-gateway"]
CMD ["run", "--config", "/etc/replay-gateway/gateway.yaml"]
