//! Tests of `mcp-relay up`, `share` and `import`: a stdio server made of shell, served at a URL and through a proxy.

use super::{CODE, proxy_env, run, text};
use crate::server::Server;

/// A stdio MCP server with one tool, whose description is a variable of its environment. Reads requests line by line.
const SCRIPT: &str = r#"while read -r line; do
  id=$(printf %s "$line" | sed -n 's/.*"id":\([^,}]*\).*/\1/p')
  case $line in
  *'"initialize"'*) r='{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}' ;;
  *'"tools/list"'*) r='{"tools":[{"name":"greet","description":"'"$GREETING"'","inputSchema":{"type":"object"}}]}' ;;
  *'"tools/call"'*) r='{"content":[{"type":"text","text":"good day"}]}' ;;
  *) r= ;;
  esac
  [ -z "$id" ] || [ -z "$r" ] || printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$r"
  [ -z "$id" ] || [ -n "$r" ] || printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no"}}\n' "$id"
done"#;

const PATH: (&str, &str) = ("PATH", "/usr/local/bin:/usr/bin:/bin");

#[test]
fn up_serves_a_command_on_loopback() {
    let port = free_port();
    let port = port.as_str();
    let env = [PATH, ("GREETING", "says hello"), ("MCP_SERVER_HOST", "0.0.0.0")];
    let args = ["up", "--port", port, "--env", "GREETING", "--", "sh", "-c", SCRIPT];
    let mut server = Server::start(&args, &env);
    assert_eq!(server.address("MCP server listening on http://"), format!("127.0.0.1:{port}"));
    let url = format!("http://127.0.0.1:{port}");
    let called = run(&["call", "greet", "--url", &url, "--wait", "30"], &[]);
    assert_eq!(text(&called.stdout), "good day\n", "{}", text(&called.stderr));
    assert!(text(&run(&["call", "--list", "--url", &url], &[]).stdout).contains("says hello"));
    // The doctor knows nothing of the command line, and looks for no backend that runs already.
    let examined = run(&["doctor"], &[PATH, ("MCP_SERVER_PORT", port)]);
    let report = text(&examined.stdout);
    assert_eq!(examined.status.code(), Some(0), "{report}");
    assert!(report.contains("tools: this environment names no backend"), "{report}");
}

#[test]
fn share_offers_a_command_through_a_proxy() {
    let mut proxy = Server::start(&[], &proxy_env(&[]));
    let slaves = proxy.address("WebSocket server listening on ws://");
    let url = format!("http://{}", proxy.address("MCP server listening on http://"));
    let folder = tempfile::tempdir().unwrap();
    let code = folder.path().join("code");
    std::fs::write(&code, CODE).unwrap();
    let to = format!("ws://{slaves}");
    let args = ["share", "--to", &to, "--code-file", code.to_str().unwrap(), "--", "sh", "-c", SCRIPT];
    let _slave = Server::start(&args, &[PATH, ("SLAVE_CODE", "another one")]);
    let called = run(&["call", "greet", "--url", &url, "--wait", "30"], &[]);
    assert_eq!(text(&called.stdout), "good day\n", "{}", text(&called.stderr));
}

#[test]
fn servers_of_a_client_are_imported() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let file = "// mine\n{\"servers\":{\"good\":{\"command\":\"x\",\"env\":{\"T\":\"${input:my-token}\"}},\
                \"bad\":{\"args\":[]},\"off\":{\"command\":\"y\",\"disabled\":true}},}";
    std::fs::write(at("client.json"), file).unwrap();
    let printed = run(&["import", &at("client.json")], &[]);
    let shown = text(&printed.stdout);
    assert!(
        shown.contains("${MY_TOKEN}") && !shown.contains("\"bad\"") && !shown.contains("\"off\""),
        "{shown}"
    );
    let noted = text(&printed.stderr);
    assert!(noted.contains("\"bad\" is left out") && noted.contains("MY_TOKEN"), "{noted}");

    std::fs::write(at("slave.json"), "{\"mcpServers\":{\"kept\":{\"command\":\"z\"}} /* kept */}").unwrap();
    let dry = run(&["import", &at("client.json"), "--into", &at("slave.json"), "--dry-run"], &[]);
    assert!(text(&dry.stdout).contains("\"good\""), "{}", text(&dry.stderr));
    let wrote = run(&["import", &at("client.json"), "--into", &at("slave.json")], &[]);
    assert!(text(&wrote.stdout).contains("as it was"), "{}", text(&wrote.stderr));
    let content = std::fs::read_to_string(at("slave.json")).unwrap();
    assert!(
        content.contains("/* kept */") && content.contains("\"kept\"") && content.contains("\"good\""),
        "{content}"
    );

    let only_bad = ["import", &at("client.json"), "--only", "bad"];
    for (args, word) in [
        (&only_bad[..], "no server that a slave can use"),
        (&["import", &at("client.json"), "--only", "nobody"], "has no server \"nobody\""),
        (&["import", &at("nowhere.json")], "no such file"),
        (&["up"], "--file"),
        (&["up", "--file", "x", "--", "y"], "cannot be used"),
    ] {
        let output = run(args, &[]);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(64) && said.contains(word), "{args:?}: {said}");
    }
}

fn free_port() -> String {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port().to_string()
}
