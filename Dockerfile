# The bookstore over HTTP/2 and HTTP/1.1, on one TLS port:
#
#   docker build --tag plait .
#   docker run --rm --publish 8443:8443 plait
#   curl --insecure "https://localhost:8443/book?id=1"
#
# docs/docker.md says how to keep the certificate and trust it.

FROM python:3.13-slim AS build
COPY . /source
RUN python -m venv /opt/plait \
    && /opt/plait/bin/python -m pip install --no-cache-dir --disable-pip-version-check /source

FROM python:3.13-slim
COPY --from=build /opt/plait /opt/plait
RUN useradd --create-home --uid 1000 plait \
    && install --directory --owner plait --group plait /home/plait/.local/share/plait
USER plait
ENV PATH=/opt/plait/bin:$PATH \
    PYTHONUNBUFFERED=1
# Where the development certificate is: a named volume keeps it from one container to the next.
VOLUME /home/plait/.local/share/plait
EXPOSE 8443
# Docker sends SIGTERM: requests in flight finish first.
CMD ["plait", "bookstore", "--host", "0.0.0.0"]
