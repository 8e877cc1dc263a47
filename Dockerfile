# Unpush as a service: `docker run unpush run -c /etc/unpush/unpush.toml`.

FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/unpush
COPY constraints/run.txt constraints/
RUN /opt/unpush/bin/pip install --no-cache-dir --require-hashes -r constraints/run.txt
COPY . .
RUN /opt/unpush/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim
# The store and the keys: folders of this user, so that a fresh volume mounted there is its own too.
RUN useradd --system --uid 10001 --home-dir /var/lib/unpush --create-home unpush \
    && install -d -o unpush /var/lib/unpush/state /var/lib/unpush/keys
COPY --from=build /opt/unpush /opt/unpush
COPY config/unpush.toml /etc/unpush/unpush.toml
ENV PATH=/opt/unpush/bin:$PATH PYTHONUNBUFFERED=1
USER unpush
WORKDIR /var/lib/unpush
ENTRYPOINT ["unpush"]
