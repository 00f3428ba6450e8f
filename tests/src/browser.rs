//! A headless Chromium, controlled by the `DevTools` protocol. Knows no page.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use futures_util::{SinkExt, StreamExt};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::process::Process;
use crate::wait::{self, TIMEOUT};

/// Names under which Chromium may be installed (`scripts/setup ui`).
const PROGRAMS: [&str; 4] = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];

/// A browser with one tab. Dropping it stops the browser.
pub struct Browser {
    socket: WebSocketStream<TcpStream>,
    session: Option<String>,
    last_id: u64,
    /// Errors of pages so far, violations of content security policies included.
    pub faults: Vec<String>,
    /// Every URL that was requested.
    pub asked: Vec<String>,
    _profile: TempDir,
    process: Process,
}

/// Decodes Base64, in which `DevTools` sends pictures.
fn base64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => u32::from(c - b'A'),
        b'a'..=b'z' => u32::from(c - b'a') + 26,
        b'0'..=b'9' => u32::from(c - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|c| *c != b'=').collect();
    let group = |four: &[u8]| {
        let bits = four.iter().fold(0, |bits, c| bits << 6 | value(*c)) << (6 * (4 - four.len()));
        bits.to_be_bytes()[1..four.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}

impl Browser {
    /// Starts the browser with an empty page.
    pub async fn start() -> Self {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let program = PROGRAMS
            .iter()
            .find(|name| {
                std::env::var_os("PATH").is_some_and(|path| {
                    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
                })
            })
            .expect("a Chromium: run scripts/setup ui");
        let mut command = Command::new(program);
        // Containers provide no namespaces for a sandbox; only pages of the test are loaded.
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
        command.args(["--remote-debugging-port=0", "--hide-scrollbars", "--no-first-run", "--lang=en-GB"]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        // A process group of its own: the installed program may be a script that starts the browser as a child.
        command.process_group(0);
        let process = Process::start("chromium", command);
        let line = process.log.wait_for("DevTools listening on ").await;
        let url = line.split_once("DevTools listening on ").map_or("", |(_, url)| url.trim());
        let address = url.trim_start_matches("ws://").split('/').next().unwrap_or_default();
        let stream = TcpStream::connect(address).await.expect("the browser's port");
        let upgrade = Box::pin(tokio_tungstenite::client_async(url, stream));
        let (socket, _) = wait::within("the browser's socket", TIMEOUT, upgrade).await.expect("a socket");
        let (faults, asked) = (Vec::new(), Vec::new());
        let mut browser =
            Self { socket, session: None, last_id: 0, faults, asked, _profile: profile, process };
        browser.attach().await;
        browser
    }

    async fn attach(&mut self) {
        let target = self.send("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.send("Target.attachToTarget", attach).await;
        self.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            self.send(domain, json!({})).await;
        }
        self.window(1120, 760).await;
    }

    /// Sends a command and waits for its result.
    pub async fn send(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.socket.send(Message::text(message.to_string())).await.expect("the browser listens");
        loop {
            let heard = self.receive(method).await;
            if heard["id"] == id {
                assert!(heard["error"].is_null(), "{method}: {}", heard["error"]);
                return heard["result"].clone();
            }
        }
    }

    async fn receive(&mut self, waiting_for: &str) -> Value {
        let next = wait::within(waiting_for, TIMEOUT, self.socket.next()).await;
        let text = next.expect("the browser runs").expect("a message").into_text().expect("text");
        let heard: Value = serde_json::from_str(&text).expect("JSON");
        self.note(&heard);
        heard
    }

    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        match event["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => self.faults.push(params["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" if params["type"] == "error" => {
                self.faults.push(params["args"].to_string());
            }
            // Some tests expect statuses such as 401.
            "Log.entryAdded"
                if params["entry"]["level"] == "error" && params["entry"]["source"] != "network" =>
            {
                self.faults.push(params["entry"].to_string());
            }
            "Network.requestWillBeSent" => {
                self.asked.push(params["request"]["url"].as_str().unwrap_or_default().to_owned());
            }
            _ => {}
        }
    }

    /// Sets the size of the window, in CSS pixels.
    pub async fn window(&mut self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.send("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Loads a page and waits for its document.
    pub async fn open(&mut self, url: &str) {
        self.send("Page.navigate", json!({ "url": url })).await;
        self.until("the document", "document.readyState === 'complete' && location.href !== 'about:blank'")
            .await;
    }

    /// Returns the value of an expression.
    pub async fn eval(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.send("Runtime.evaluate", params).await;
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub async fn until(&mut self, what: &str, expression: &str) {
        let deadline = std::time::Instant::now() + TIMEOUT;
        while self.eval(&format!("Boolean({expression})")).await != true {
            let page = if std::time::Instant::now() > deadline {
                self.eval("document.body.innerText").await.to_string()
            } else {
                String::new()
            };
            assert!(page.is_empty(), "waited in vain: {what}; faults: {:?}; the page: {page}", self.faults);
        }
    }

    /// Presses and releases a key, by its `DevTools` name and code.
    pub async fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Space" => (32, " "),
            other => panic!("no code for the key {other:?}"),
        };
        let name = if key == "Space" { " " } else { key };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({ "type": kind, "key": name, "code": key, "windowsVirtualKeyCode": code });
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = text.into();
            }
            self.send("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Types into the focused element.
    pub async fn write(&mut self, text: &str) {
        self.send("Input.insertText", json!({ "text": text })).await;
    }

    /// Sets the colour scheme, `light` or `dark`.
    pub async fn scheme(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.send("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Saves a picture of the window as a PNG file.
    pub async fn screenshot(&mut self, file: &Path) {
        let answer = self.send("Page.captureScreenshot", json!({ "format": "png" })).await;
        let picture = base64(answer["data"].as_str().expect("a picture"));
        std::fs::write(file, picture).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    /// Asserts that there were no errors, and no requests to other origins than `origin`.
    pub fn assert_clean(&self, origin: &str) {
        assert!(self.faults.is_empty(), "{:?}", self.faults);
        let own =
            |url: &&String| !url.starts_with(origin) && !url.starts_with("data:") && *url != "about:blank";
        let foreign: Vec<&String> = self.asked.iter().filter(own).collect();
        assert!(foreign.is_empty(), "{foreign:?}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.process.pid()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

#[test]
fn pictures_are_decoded() {
    for (text, bytes) in
        [("", &b""[..]), ("Zg==", b"f"), ("Zm8=", b"fo"), ("Zm9v", b"foo"), ("+/+/", b"\xfb\xff\xbf")]
    {
        assert_eq!(base64(text), bytes, "{text}");
    }
}
