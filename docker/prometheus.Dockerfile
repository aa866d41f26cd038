# Prometheus for machines that cannot pull prom/prometheus: Debian's package, with the paths and the user of the official
# image, so that docker/compose.yaml mounts into either. Its base is made by docker/build_base.sh; no build context:
#   docker/build_base.sh prometheus
#   docker build --tag axis-prometheus - <docker/prometheus.Dockerfile
#   export AXIS_PROMETHEUS_IMAGE=axis-prometheus
ARG BASE=debian-prometheus:bookworm
FROM ${BASE}
RUN mkdir -p /prometheus && chown nobody:nogroup /prometheus
USER nobody
WORKDIR /prometheus
VOLUME ["/prometheus"]
EXPOSE 9090
ENTRYPOINT ["/usr/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
