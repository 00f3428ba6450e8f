//! The Prometheus text format, parsed for assertions. Knows no metric.

use std::net::SocketAddr;

use hyper::Method;

use crate::http::{Exchange, get, request};

/// One scrape of `/metrics`.
#[derive(Clone, Debug)]
pub struct Scrape(String);

impl Scrape {
    /// Reads a server's metrics.
    pub async fn of(address: SocketAddr) -> Self {
        let (status, text) = get(address, "/metrics").await;
        assert_eq!(status, 200, "/metrics: {text}");
        Self(text)
    }

    /// Reads the metrics of a server that asks for a key.
    pub async fn with_key(address: SocketAddr, key: &str) -> Self {
        let headers = [("authorization".to_owned(), format!("Bearer {key}"))];
        let mut exchange =
            Exchange::start(address, request(Method::GET, "/metrics", &headers, Vec::new())).await;
        exchange.head().await;
        let text = String::from_utf8(exchange.rest().await).expect("text");
        assert_eq!(exchange.status, 200, "/metrics: {text}");
        Self(text)
    }

    /// Returns whether the proxy says that this slave is in this state.
    pub fn has_slave(&self, slave: &str, state: &str) -> bool {
        let labels = [format!("slave=\"{slave}\""), format!("state=\"{state}\"")];
        self.sum("mcp_relay_slave_state", &labels.each_ref().map(String::as_str)) > 0.5
    }

    /// The received text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Sum of all samples of a metric whose labels contain every one of `labels` (`key="value"`).
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let mine = self.0.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        });
        mine.map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<f64>().expect("a value")).sum()
    }

    /// Names that have a `# TYPE` line.
    pub fn names(&self) -> Vec<&str> {
        self.0.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_with_the_labels_are_summed() {
        let text = "# TYPE a counter\na{x=\"1\",y=\"2\"} 3\na{x=\"1\",y=\"3\"} 4\nab{x=\"1\"} 9\na_sum 5\n";
        let scrape = Scrape(text.into());
        assert!((scrape.sum("a", &["x=\"1\""]) - 7.0).abs() < f64::EPSILON);
        assert!((scrape.sum("a", &["y=\"3\""]) - 4.0).abs() < f64::EPSILON);
        assert_eq!(scrape.names(), ["a"]);
    }
}
