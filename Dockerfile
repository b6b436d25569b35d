# One image for every role: docker run ludoteca ROLE
FROM rust:1.95-slim-bookworm AS build
WORKDIR /store
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/store/target \
    cargo build --locked --release && cp target/release/ludoteca /usr/local/bin/ludoteca

FROM debian:bookworm-slim
# Folders that volumes are mounted at: a new volume takes their owner.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /var/lib/ludoteca --create-home ludoteca \
    && cd /var/lib/ludoteca && install -d -o 10001 -g 10001 -m 750 settings logs outbox psp \
       keys/master keys/tokens keys/psp keys/sandbox keys/webhooks keys/search keys/index keys/notary
COPY --from=build /usr/local/bin/ludoteca /usr/local/bin/ludoteca
USER 10001:10001
WORKDIR /var/lib/ludoteca
ENTRYPOINT ["ludoteca"]
CMD ["--help"]
