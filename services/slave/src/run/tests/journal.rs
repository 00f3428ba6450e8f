//! The limit of the slave's journal (`SLAVE_JOURNAL_BYTES`), from the variable to the bytes that are held.

use super::proxy::{Proxy, ProxyListener, ResponseLog};
use super::*;

/// Bytes of the journal: room for two of the results below.
const LIMIT: usize = 4_000_000;

/// Bytes of one result's text.
const RESULT: usize = 1_500_000;

/// Returns the kind of the error that ended a call; `None` for a result.
fn error_kind(answers: &ResponseLog) -> Option<String> {
    let end: serde_json::Value = serde_json::from_slice(&answers.end()).unwrap();
    end["data"]["kind"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn results_that_nobody_reads_fill_the_journal_up_to_its_limit_and_the_next_ones_fail() {
    let (listener, mut proxy) = (ProxyListener::open().await, Proxy::new());
    let slave = start(&listener.url, &[("SLAVE_JOURNAL_BYTES", &LIMIT.to_string())]).await;
    proxy.link(&listener).await;
    proxy.reads = false;
    let (endpoint, mut peak) = (Arc::clone(&slave.links.endpoint), 0);
    let arguments = format!(r#"{{"bytes":{RESULT}}}"#);
    let calls: Vec<ResponseLog> = (0..6).map(|_| proxy.call("payload", &arguments).1).collect();
    // The errors of the calls that do not fit arrive, since each call has a credit window of its own.
    proxy
        .until("the journal is full and the other calls have ended", |_| {
            peak = peak.max(endpoint.usage().journal);
            calls.iter().filter(|answers| answers.is_over()).count() == 4
        })
        .await;
    let journal = endpoint.usage().journal;
    assert!(peak <= LIMIT && (2 * RESULT..=LIMIT).contains(&journal), "{peak} {journal}");
    let (failed, waiting): (Vec<_>, Vec<_>) = calls.iter().partition(|answers| answers.is_over());
    assert!(failed.iter().all(|answers| error_kind(answers).as_deref() == Some("result_too_large")));
    proxy.reads = true;
    proxy.until("the results that were held arrive", |_| waiting.iter().all(|call| call.is_over())).await;
    assert!(waiting.iter().all(|answers| answers.end().len() > RESULT && error_kind(answers).is_none()));
    proxy.until("the journal is empty", |_| endpoint.usage().journal == 0).await;
    let (_, next) = proxy.call("payload", &arguments);
    proxy.until("the next result", |_| next.is_over()).await;
    assert_eq!(error_kind(&next), None);
    drop(proxy);
    slave.stop().await;
}
