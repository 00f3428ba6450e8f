# One image for proxy, slave and standalone server.
#   docker build -t mcp-relay .
# Debian 12 in both stages: the binary needs no newer glibc than 2.36, so that the slave's chart can put it into most tool images.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /build

# The dependencies are a layer of their own, made again only when a manifest changes: every crate of ours is empty in it.
COPY Cargo.toml Cargo.lock ./
COPY services/front/Cargo.toml services/front/
COPY services/mcp-relay/Cargo.toml services/mcp-relay/
COPY services/protocol/Cargo.toml services/protocol/
COPY services/proxy/Cargo.toml services/proxy/
COPY services/runtime/Cargo.toml services/runtime/
COPY services/slave/Cargo.toml services/slave/
COPY tests/Cargo.toml tests/
COPY tests/bench/Cargo.toml tests/bench/
RUN for crate in services/* tests tests/bench; do mkdir "$crate/src" && touch "$crate/src/lib.rs" || exit 1; done \
    && rm services/mcp-relay/src/lib.rs \
    && echo 'fn main() {}' > services/mcp-relay/src/main.rs \
    && cargo build --locked --release -p mcp-relay

# Cargo goes by times of change: those of the sources may be older than those of the empty crates.
COPY services services
RUN find services -name '*.rs' -exec touch {} + \
    && cargo build --locked --release -p mcp-relay \
    && ./target/release/mcp-relay --version

# glibc, libgcc, certificates and users; no shell.
FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mcp-relay" \
      org.opencontainers.image.description="Self-hosted secure MCP tunnel: a proxy for clients, slaves that dial out and run the tools" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /build/target/release/mcp-relay /usr/local/bin/mcp-relay
# The program's own default is loopback, which nobody outside of a container reaches.
ENV MCP_SERVER_HOST=0.0.0.0
USER 65532:65532
EXPOSE 8000 8001
HEALTHCHECK --interval=5s --timeout=4s --start-period=5s --retries=3 CMD ["/usr/local/bin/mcp-relay", "health"]
# Without an argument the environment decides: PROXY_MODE=1, PROXY_SLAVE=1, or neither.
ENTRYPOINT ["/usr/local/bin/mcp-relay"]
