//! What `make test-conformance` starts: the MCP server that the official suite is run against, over stdio or Streamable HTTP, the
//! splitter that takes a random proxy at each request, and the forwarder that resets links.
//!
//! Knows MCP through rmcp only; must not know the relay.

mod ask;
mod input_required;
mod listen;
mod lists;
mod prompts;
mod reset;
mod resources;
mod server;
mod split;
mod tasks;
mod tools;

use std::time::Duration;

use clap::{Parser, Subcommand};
use rmcp::ServiceExt;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService, stdio};
use tokio::net::TcpListener;

use server::{Eras, Fixture};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves MCP on standard input and output.
    Stdio {
        /// Versions of MCP that are spoken.
        #[arg(long, value_enum, default_value_t = Eras::Both)]
        eras: Eras,
    },
    /// Serves Streamable HTTP on /mcp, and writes the URL to standard output.
    Http {
        /// Versions of MCP that are spoken.
        #[arg(long, value_enum, default_value_t = Eras::Both)]
        eras: Eras,
        /// Port of loopback; 0 takes a free one.
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// Forwards each request to a random one of the addresses, and writes its own URL to standard output.
    Split {
        /// Addresses (host:port) that are forwarded to.
        #[arg(required = true)]
        targets: Vec<String>,
    },
    /// Forwards TCP to an address, resets all connections again and again, and writes its own address to standard output.
    Reset {
        /// Address (host:port) that is forwarded to.
        target: String,
        /// Milliseconds between two resets.
        #[arg(long, default_value_t = 700)]
        every: u64,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Stdio { eras } => {
            Fixture::new(eras).serve(stdio()).await?.waiting().await?;
            Ok(())
        }
        Command::Http { eras, port } => serve_http(Fixture::new(eras), port).await,
        Command::Split { targets } => {
            let listener = listen_on(0).await?;
            println!("http://{}/mcp", listener.local_addr()?);
            axum::serve(listener, split::router(targets)).await?;
            Ok(())
        }
        Command::Reset { target, every } => {
            let listener = listen_on(0).await?;
            println!("{}", listener.local_addr()?);
            reset::serve(listener, &target, Duration::from_millis(every)).await?;
            Ok(())
        }
    }
}

/// Serves until the process is ended. Every session shares the fixture's state.
async fn serve_http(fixture: Fixture, port: u16) -> anyhow::Result<()> {
    let service = StreamableHttpService::new(
        move || Ok(fixture.clone()),
        LocalSessionManager::default().into(),
        StreamableHttpServerConfig::default(),
    );
    let listener = listen_on(port).await?;
    println!("http://{}/mcp", listener.local_addr()?);
    axum::serve(listener, axum::Router::new().nest_service("/mcp", service)).await?;
    Ok(())
}

async fn listen_on(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port)).await
}
