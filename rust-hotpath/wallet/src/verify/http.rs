//! Reads pages of the two admin ports.

use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Longest page that is read.
const PAGE_BYTES: u64 = 16 << 20;

/// Returns the status and the body of a page. `within` bounds the whole exchange.
pub(super) async fn get(
    address: SocketAddr,
    target: &str,
    within: Duration,
) -> Result<(u16, String), String> {
    let failed = |why: String| format!("cannot read http://{address}{target}: {why}");
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {target} HTTP/1.0\r\nhost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut page = Vec::new();
        stream.take(PAGE_BYTES).read_to_end(&mut page).await?;
        Ok::<_, std::io::Error>(page)
    };
    let page = match timeout(within, exchange).await {
        Ok(page) => page.map_err(|error| failed(error.to_string()))?,
        Err(_) => return Err(failed("no answer in time".to_owned())),
    };
    let page = String::from_utf8_lossy(&page);
    let parts = page.split_once("\r\n\r\n").and_then(|(head, body)| {
        let code = head.split(' ').nth(1)?.parse().ok()?;
        Some((code, body.to_owned()))
    });
    parts.ok_or_else(|| failed("it does not speak HTTP".to_owned()))
}

/// The methods that the shim of this page of metrics forwards to a sidecar. There are none without a shim.
pub(super) fn forwarded(metrics: &str) -> Vec<String> {
    let lines = metrics.lines().filter_map(|line| {
        let labels = line.strip_prefix("hotpath_shim_mode{")?;
        let (labels, value) = labels.split_once("} ")?;
        let on = value.parse::<f64>().is_ok_and(|value| value > 0.0);
        (on && labels.contains("mode=\"sidecar\"")).then_some(labels)
    });
    let methods = lines.filter_map(|labels| {
        let (_, rest) = labels.split_once("method=\"")?;
        let (method, _) = rest.split_once('"')?;
        Some(method.rsplit('/').next().unwrap_or(method).to_owned())
    });
    methods.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_in_mode_sidecar_are_found() {
        let page = "# TYPE hotpath_shim_mode gauge\n\
            hotpath_shim_mode{method=\"/w/GetBalance\",mode=\"legacy\"} 0\n\
            hotpath_shim_mode{method=\"/w/GetBalance\",mode=\"sidecar\"} 1\n\
            hotpath_shim_mode{method=\"/w/GetStatistics\",mode=\"legacy\"} 1\n\
            hotpath_shim_mode{method=\"/w/GetStatistics\",mode=\"sidecar\"} 0\n";
        assert_eq!(forwarded(page), ["GetBalance"]);
        assert!(forwarded("go_goroutines 7\n").is_empty());
    }
}
