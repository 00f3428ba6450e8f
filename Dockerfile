# One image for proxy, slave and standalone server.
#   docker build -t mcp-relay .
#   docker buildx build --platform linux/amd64,linux/arm64 …    for both architectures
# PROFILE=quick compiles in a fraction of the time, for trying things out: without link-time optimisation.
# Debian 12 in both stages: the binary needs no newer glibc than 2.36, so that the slave's chart can put it into most tool images.
# By digest, which names one index for both architectures; scripts/pin-images renews them.
ARG RUST_IMAGE=rust:1.95-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082
ARG RUNTIME_IMAGE=gcr.io/distroless/static-debian12:nonroot@sha256:afa5c872c891853ca7fcf1f12c3edb23f7eeef36189728842dd51042ff57f7ab

FROM ${RUST_IMAGE} AS build
ARG PROFILE=release
# Packed relocations: 0.9 MB less to ship, and to read at each start. glibc has them since 2.36, that of both stages; linkers that do
# not know them say so and go on.
ENV RUSTFLAGS="-C link-arg=-Wl,-z,pack-relative-relocs"
WORKDIR /build

# The allocator is built with it, and slim images have none.
# hadolint ignore=DL3008
RUN command -v make || { apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*; }

# The dependencies are a layer of their own, made again only when a manifest changes: every crate of ours is empty in it.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY services/front/Cargo.toml services/front/
COPY services/broker/Cargo.toml services/broker/
COPY services/link/Cargo.toml services/link/
COPY services/mcp-relay/Cargo.toml services/mcp-relay/
COPY services/policy/Cargo.toml services/policy/
COPY services/protocol/Cargo.toml services/protocol/
COPY services/proxy/Cargo.toml services/proxy/
COPY services/runtime/Cargo.toml services/runtime/
COPY services/slave/Cargo.toml services/slave/
COPY tests/Cargo.toml tests/
COPY tests/bench/Cargo.toml tests/bench/
RUN for crate in services/* tests tests/bench; do mkdir "$crate/src" && touch "$crate/src/lib.rs" || exit 1; done \
    && rm services/mcp-relay/src/lib.rs \
    && echo 'fn main() {}' > services/mcp-relay/src/main.rs \
    && cargo build --locked --profile "$PROFILE" -p mcp-relay

# Cargo goes by times of change: those of the sources may be older than those of the empty crates.
COPY services services
COPY scripts/runtime-files scripts/
ARG REVISION=unknown
RUN find services -name '*.rs' -exec touch {} + \
    && MCP_RELAY_REVISION="$REVISION" cargo build --locked --profile "$PROFILE" -p mcp-relay \
    && scripts/runtime-files "target/$PROFILE/mcp-relay" out \
    && out/usr/local/bin/mcp-relay --version

# Certificates, time zones and users; no shell. Of glibc it gets what the program loads: the rest of it, converters of character sets
# above all, would be a quarter of the image.
FROM ${RUNTIME_IMAGE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mcp-relay" \
      org.opencontainers.image.description="Self-hosted secure MCP tunnel: a proxy for clients, slaves that dial out and run the tools" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /build/out/ /
# The program's own default is loopback, which nobody outside of a container reaches.
ENV MCP_SERVER_HOST=0.0.0.0
USER 65532:65532
EXPOSE 8000 8001
HEALTHCHECK --interval=5s --timeout=4s --start-period=5s --retries=3 CMD ["/usr/local/bin/mcp-relay", "health"]
# Without an argument the environment decides: PROXY_MODE=1, PROXY_SLAVE=1, or neither.
ENTRYPOINT ["/usr/local/bin/mcp-relay"]
