# plait, and the bookstore over HTTP/2 and HTTP/1.1 on one TLS port:
#
#   docker build --tag plait .
#   docker run --rm --publish 8443:8443 plait
#   curl --insecure "https://localhost:8443/book?id=1"
#
# docs/docker.md says how to keep the certificate and trust it, docs/deployment.md how to serve an
# application of yours from this image.

FROM python:3.13-slim AS build
COPY . /source
RUN python -m venv /opt/plait \
    && /opt/plait/bin/python -m pip install --no-cache-dir --disable-pip-version-check "/source[metrics]"

FROM python:3.13-slim
COPY --from=build /opt/plait /opt/plait
RUN useradd --create-home --uid 1000 plait \
    && install --directory --owner plait --group plait /home/plait/.local/share/plait
USER 1000:1000
# Every option of plait is a variable, too.
ENV PATH=/opt/plait/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PLAIT_HOST=0.0.0.0 \
    PLAIT_METRICS=127.0.0.1:9100
# Where the development certificate is: a named volume keeps it from one container to the next.
VOLUME /home/plait/.local/share/plait
EXPOSE 8443
# Well as long as requests are served; not while plait drains.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=2 CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://{os.environ[\"PLAIT_METRICS\"]}/readyz', timeout=2)"]
# Requests in flight finish first.
STOPSIGNAL SIGTERM
CMD ["plait", "bookstore"]
