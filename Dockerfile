# One image for every role: docker run ludoteca ROLE
FROM rust:1.95-slim-bookworm AS build
WORKDIR /store
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/store/target \
    cargo build --locked --release && cp target/release/ludoteca /usr/local/bin/ludoteca

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /var/lib/ludoteca --create-home ludoteca \
    && install -d -o ludoteca -g ludoteca /var/lib/ludoteca/logs /var/lib/ludoteca/outbox
COPY --from=build /usr/local/bin/ludoteca /usr/local/bin/ludoteca
USER ludoteca
WORKDIR /var/lib/ludoteca
ENTRYPOINT ["ludoteca"]
CMD ["--help"]
