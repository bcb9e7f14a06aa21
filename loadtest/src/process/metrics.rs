//! Reads the part of Prometheus' text format that is needed here.

use crate::measure::GcUsage;
use std::{collections::HashMap, time::Duration};

/// The longest wait for `/metrics`.
const TIMEOUT_SECONDS: u64 = 5;

/// A counter of the shim: hot requests that Go answered in place of the sidecar, by method and reason.
pub const FALLBACKS: &str = "hotpath_shim_fallbacks_total";
/// A counter of the shim: hot requests that its spliced front door left to grpc-go, by reason.
pub const HANDED_OVER: &str = "hotpath_shim_spliced_handed_over_total";
/// The label of those that came before the settings of their connection were acknowledged.
pub const AT_THE_BEGINNING: &str = "reason=\"settings\"";
/// The beginning of each metric of the shim.
const SHIM: &str = "\nhotpath_shim_";

/// What a process reports about itself.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Told {
    /// Go's collector, if all three of its metrics are there.
    pub gc: Option<GcUsage>,
    /// The sum of [`FALLBACKS`], if the process has a shim.
    pub fallbacks: Option<u64>,
    /// The sum of [`HANDED_OVER`] without [`AT_THE_BEGINNING`], if the process has a shim.
    pub handed_over: Option<u64>,
}

/// Values of metrics, by name. Labels are a part of the name, as in `name{label="value"}`.
pub type Values = HashMap<String, f64>;

/// Asks `host:port` for its metrics.
pub fn scrape(admin: &str) -> Result<Values, String> {
    Ok(parse(&text(admin)?))
}

/// Asks `host:port` for a counter with labels, and returns the sum of its values, but for those with the label `without`.
pub fn total(admin: &str, name: &str, without: Option<&str>) -> Result<u64, String> {
    Ok(sum(&text(admin)?, name, without))
}

fn text(admin: &str) -> Result<String, String> {
    let request = minreq::get(format!("http://{admin}/metrics")).with_timeout(TIMEOUT_SECONDS);
    let response = request.send().map_err(|error| error.to_string())?;
    if response.status_code != 200 {
        return Err(format!("http://{admin}/metrics: {}", response.status_code));
    }
    let text = response.as_str().map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// Asks `host:port` for [`Told`], which is empty if there is no answer.
#[must_use]
pub fn told(admin: &str) -> Told {
    text(admin).map_or_else(|_| Told::default(), |text| told_in(&text))
}

fn told_in(text: &str) -> Told {
    // A counter with labels is missing until it has its first value, so a missing one counts as 0.
    let counter = |name, without| text.contains(SHIM).then(|| sum(text, name, without));
    Told {
        gc: gc_of(&parse(text)),
        fallbacks: counter(FALLBACKS, None),
        handed_over: counter(HANDED_OVER, Some(AT_THE_BEGINNING)),
    }
}

fn parse(text: &str) -> Values {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| {
        let (name, value) = line.split_once(' ')?;
        let value = value.split_whitespace().next()?.parse().ok()?;
        Some((name.to_owned(), value))
    });
    pairs.collect()
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn sum(text: &str, name: &str, without: Option<&str>) -> u64 {
    let values = text.lines().filter_map(|line| {
        let labels = line.strip_prefix(name)?.strip_prefix('{')?;
        let (labels, value) = labels.rsplit_once("} ")?;
        let value = value.trim().parse::<f64>().ok();
        value.filter(|_| without.is_none_or(|label| !labels.contains(label)))
    });
    values.sum::<f64>() as u64
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn gc_of(values: &Values) -> Option<GcUsage> {
    let seconds = |name: &str| Duration::try_from_secs_f64(*values.get(name)?).ok();
    Some(GcUsage {
        cpu: seconds("go_cpu_classes_gc_total_cpu_seconds_total")?,
        pause: seconds("go_gc_duration_seconds_sum")?,
        cycles: *values.get("go_gc_duration_seconds_count")? as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    const TEXT: &str = "# HELP go_gc_duration_seconds x\n\
        go_gc_duration_seconds{quantile=\"0\"} 1e-05\ngo_gc_duration_seconds_sum 0.25\n\
        go_gc_duration_seconds_count 17\ngo_cpu_classes_gc_total_cpu_seconds_total 1.5\nbroken\n";

    #[test]
    fn values_are_read_over_http() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).unwrap();
            let length = TEXT.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{TEXT}"
            )
            .unwrap();
        });
        let gc = told(&address).gc.unwrap();
        server.join().unwrap();
        assert_eq!(gc.cpu, Duration::from_millis(1500));
        assert_eq!(gc.pause, Duration::from_millis(250));
        assert_eq!(gc.cycles, 17);
    }

    #[test]
    fn only_a_shim_tells_of_fallbacks() {
        let shim = format!("{TEXT}hotpath_shim_lanes 2\n");
        let label = |reason: &str, value: u32| {
            format!("{FALLBACKS}{{method=\"M\",reason=\"{reason}\"}} {value}\n")
        };
        assert_eq!(told_in(TEXT).fallbacks, None);
        assert_eq!(told_in(&shim).fallbacks, Some(0));
        let some = format!("{shim}{}{}", label("busy", 3), label("timeout", 4));
        assert_eq!(told_in(&some).fallbacks, Some(7));
        let past = format!(
            "{shim}{HANDED_OVER}{{{AT_THE_BEGINNING}}} 9\n{HANDED_OVER}{{reason=\"shut\"}} 5\n"
        );
        assert_eq!(told_in(&past).handed_over, Some(5));
        assert_eq!(told_in(TEXT).handed_over, None);
        assert!(told_in(&some).gc.is_some());
    }

    #[test]
    fn who_tells_only_part_tells_nothing() {
        assert_eq!(gc_of(&parse("go_gc_duration_seconds_sum 0.25\n")), None);
    }

    #[test]
    fn the_values_of_all_labels_add_up() {
        let text = "# TYPE a_total counter\na_total{x=\"1\"} 2\na_total{x=\"} 9\"} 3e1\na_total_b{x=\"1\"} 5\n";
        assert_eq!(sum(text, "a_total", None), 32);
        assert_eq!(sum(text, "a_total", Some("x=\"1\"")), 30);
        assert_eq!(sum(text, "c_total", None), 0);
    }

    #[test]
    fn nobody_there_is_an_error() {
        // Nobody listens on port 1, and no system gives it to who asks for a free port.
        assert!(scrape("127.0.0.1:1").is_err());
    }
}
