# A broker image for machines that cannot pull apache/kafka: the same release from its jars, with the same paths and
# the same contract (server.properties in /mnt/shared/config, KAFKA_* variables, CLUSTER_ID), because both run the
# KafkaDockerWrapper that is in the broker's jar.
#
# The build context is the directory of the jars; docker/kafka_image.sh finds it:
#   docker build --file docker/kafka.Dockerfile --tag apache/kafka:4.2.1 <directory of the jars>
ARG BASE=eclipse-temurin:17-jre
FROM ${BASE}

RUN useradd --uid 1000 --create-home appuser \
    && mkdir -p /opt/kafka/libs /opt/kafka/config /etc/kafka/docker /etc/kafka/secrets /mnt/shared/config \
        /var/lib/kafka/data \
    && chown -R appuser:root /opt/kafka /etc/kafka /var/lib/kafka /mnt/shared \
    && chmod -R ug+w /opt/kafka /etc/kafka /var/lib/kafka /mnt/shared

COPY *.jar /opt/kafka/libs/

ENV KAFKA_HEAP_OPTS="-Xms64m -Xmx512m"
USER appuser
VOLUME ["/var/lib/kafka/data"]
EXPOSE 9092

# Storage that is formatted already is what a restart finds; every other failure of the set-up ends the container.
CMD ["sh", "-c", "said=$(java -cp '/opt/kafka/libs/*' kafka.docker.KafkaDockerWrapper setup --default-configs-dir /etc/kafka/docker --mounted-configs-dir /mnt/shared/config --final-configs-dir /opt/kafka/config 2>&1) || case $said in *'already formatted'*) ;; *) echo \"$said\" >&2; exit 1 ;; esac; exec java $KAFKA_HEAP_OPTS -XX:+ExitOnOutOfMemoryError -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info -cp '/opt/kafka/libs/*' kafka.Kafka /opt/kafka/config/server.properties"]
