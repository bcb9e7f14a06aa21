//! Says how two answers differ: first the status and the bytes, then the fields that the bytes stand for.

use super::peer::Answer;
use crate::{proto, wallet::Wallet};
use hotpath::model::Model as _;
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor,
    MethodDescriptor, ReflectMessage as _, Value,
};
use tonic::Code;

/// Differing fields that are listed for one question.
const FIELDS: usize = 10;
/// Longest text of one value, and of a request.
const VALUE_CHARS: usize = 200;
const REQUEST_CHARS: usize = 1_000;

/// The messages of the hot methods.
pub(super) struct Messages {
    methods: Vec<MethodDescriptor>,
}

impl Messages {
    pub(super) fn new() -> Result<Self, String> {
        let pool = DescriptorPool::decode(proto::DESCRIPTORS).map_err(|error| error.to_string())?;
        let service = pool.get_service_by_name(Wallet::SERVICE);
        let service = service.ok_or_else(|| format!("{} is not described", Wallet::SERVICE))?;
        let method = |name: &&str| {
            let found = service.methods().find(|method| method.name() == *name);
            found.ok_or_else(|| format!("{name} is not described"))
        };
        let methods = Wallet::METHODS
            .iter()
            .map(method)
            .collect::<Result<_, _>>()?;
        Ok(Self { methods })
    }

    /// A request as text, on one line.
    pub(super) fn request(&self, method: usize, bytes: &[u8]) -> String {
        let descriptor = self.methods.get(method).map(MethodDescriptor::input);
        let decoded = descriptor.map(|of| DynamicMessage::decode(of, bytes));
        match decoded {
            Some(Ok(message)) => cut(&message.to_string(), REQUEST_CHARS),
            _ => format!("{bytes:?}"),
        }
    }

    /// A line for each difference between the answers of the sidecar and of Go. Empty if they are equal.
    pub(super) fn differences(&self, method: usize, sidecar: &Answer, go: &Answer) -> Vec<String> {
        let mut found = Found::default();
        found.text(
            "code",
            &format!("{:?}", sidecar.code),
            &format!("{:?}", go.code),
        );
        found.text("message", &sidecar.message, &go.message);
        found.text(
            "details",
            &format!("{:?}", sidecar.details),
            &format!("{:?}", go.details),
        );
        // The text of an invalid argument is the same at every position, so each side names its newest.
        if sidecar.code != Code::InvalidArgument {
            let position = |answer: &Answer| format!("{:?}", answer.position);
            found.text("position", &position(sidecar), &position(go));
        }
        if sidecar.reply != go.reply {
            self.fields(method, &sidecar.reply, &go.reply, &mut found);
        }
        found.lines()
    }

    fn fields(&self, method: usize, sidecar: &[u8], go: &[u8], found: &mut Found) {
        let descriptor = self.methods.get(method).map(MethodDescriptor::output);
        let decoded = |bytes: &[u8]| {
            let message = DynamicMessage::decode(descriptor.clone()?, bytes);
            message.ok()
        };
        let before = found.count;
        match (decoded(sidecar), decoded(go)) {
            (Some(sidecar), Some(go)) => message("", &sidecar, &go, found),
            (sidecar, go) => {
                let word = |decoded: bool| if decoded { "a message" } else { "no message" };
                found.text("reply", word(sidecar.is_some()), word(go.is_some()));
            }
        }
        if found.count == before {
            let common = sidecar
                .iter()
                .zip(go)
                .take_while(|(one, other)| one == other);
            let text = format!(
                "encoded differently from byte {} on, with equal fields",
                common.count()
            );
            found.add("reply", &text);
        }
    }
}

/// The differences so far. Only the first few are kept.
#[derive(Default)]
struct Found {
    lines: Vec<String>,
    count: usize,
}

impl Found {
    fn add(&mut self, path: &str, text: &str) {
        self.count += 1;
        if self.lines.len() < FIELDS {
            self.lines.push(format!("{path}: {text}"));
        }
    }

    fn text(&mut self, path: &str, sidecar: &str, go: &str) {
        if sidecar != go {
            let (sidecar, go) = (cut(sidecar, VALUE_CHARS), cut(go, VALUE_CHARS));
            self.add(path, &format!("sidecar {sidecar}, Go {go}"));
        }
    }

    fn lines(mut self) -> Vec<String> {
        if self.count > self.lines.len() {
            let more = self.count - self.lines.len();
            self.lines.push(format!("and {more} more"));
        }
        self.lines
    }
}

fn message(path: &str, sidecar: &DynamicMessage, go: &DynamicMessage, found: &mut Found) {
    let descriptor: MessageDescriptor = sidecar.descriptor();
    for field in descriptor.fields() {
        let name = if path.is_empty() {
            field.name().to_owned()
        } else {
            format!("{path}.{}", field.name())
        };
        if field.cardinality() == Cardinality::Repeated {
            list(&name, &field, sidecar, go, found);
            continue;
        }
        let value = |of: &DynamicMessage| {
            let present = !field.supports_presence() || of.has_field(&field);
            present.then(|| of.get_field(&field).into_owned())
        };
        values(&name, value(sidecar).as_ref(), value(go).as_ref(), found);
    }
}

fn list(
    name: &str,
    field: &FieldDescriptor,
    sidecar: &DynamicMessage,
    go: &DynamicMessage,
    found: &mut Found,
) {
    let (sidecar, go) = (sidecar.get_field(field), go.get_field(field));
    let sidecar = sidecar.as_list().unwrap_or_default();
    let go = go.as_list().unwrap_or_default();
    if sidecar.len() != go.len() {
        found.text(
            &format!("{name} (length)"),
            &sidecar.len().to_string(),
            &go.len().to_string(),
        );
    }
    for at in 0..sidecar.len().max(go.len()) {
        values(&format!("{name}[{at}]"), sidecar.get(at), go.get(at), found);
    }
}

fn values(name: &str, sidecar: Option<&Value>, go: Option<&Value>, found: &mut Found) {
    if let (Some(Value::Message(sidecar)), Some(Value::Message(go))) = (sidecar, go) {
        return message(name, sidecar, go, found);
    }
    if sidecar != go {
        let text = |value: Option<&Value>| value.map_or("absent".to_owned(), Value::to_string);
        found.text(name, &text(sidecar), &text(go));
    }
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most).collect();
    format!("{kept}… ({} bytes)", text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto as p;
    use prost::Message as _;

    fn ok(message: &impl prost::Message) -> Answer {
        Answer {
            reply: message.encode_to_vec(),
            position: Some(7),
            ..Answer::empty(Code::Ok)
        }
    }

    fn lines(method: usize, sidecar: &Answer, go: &Answer) -> Vec<String> {
        Messages::new()
            .expect("descriptors")
            .differences(method, sidecar, go)
    }

    #[test]
    fn equal_answers_have_no_differences() {
        let answer = ok(&p::GetStatisticsResponse::default());
        assert!(lines(2, &answer, &answer).is_empty());
        let refused = Answer {
            position: Some(8),
            ..Answer::empty(Code::InvalidArgument)
        };
        let newer = Answer {
            position: Some(9),
            ..refused.clone()
        };
        assert!(
            lines(2, &refused, &newer).is_empty(),
            "each names its newest position"
        );
    }

    #[test]
    fn fields_are_named_by_their_path_with_both_values() {
        let bucket = |count, closing_balance| p::TimeBucket {
            count,
            closing_balance,
            ..p::TimeBucket::default()
        };
        let series = |buckets| ok(&p::GetTimeSeriesResponse { buckets });
        let found = lines(
            4,
            &series(vec![bucket(1, 5), bucket(2, 6)]),
            &series(vec![bucket(1, 5), bucket(3, -6), bucket(0, 0)]),
        );
        let expected = [
            "buckets (length): sidecar 2, Go 3",
            "buckets[1].count: sidecar 2, Go 3",
            "buckets[1].closing_balance: sidecar 6, Go -6",
        ];
        assert_eq!(found[..3], expected);
        assert!(
            found[3].starts_with("buckets[2]: sidecar absent, Go"),
            "{found:?}"
        );
    }

    #[test]
    fn a_zero_is_not_absent() {
        let with = |min| {
            ok(&p::GetStatisticsResponse {
                min,
                ..p::GetStatisticsResponse::default()
            })
        };
        assert_eq!(
            lines(2, &with(Some(0)), &with(None)),
            ["min: sidecar 0, Go absent"]
        );
    }

    #[test]
    fn statuses_positions_and_encodings_are_compared_too() {
        let found = Answer {
            message: "account_id: has no entries".to_owned(),
            position: Some(7),
            ..Answer::empty(Code::NotFound)
        };
        let other = Answer {
            position: Some(6),
            ..Answer::empty(Code::Ok)
        };
        let expected = [
            "code: sidecar NotFound, Go Ok",
            "message: sidecar account_id: has no entries, Go ",
            "position: sidecar Some(7), Go Some(6)",
        ];
        assert_eq!(lines(0, &found, &other), expected);
        let raw = |reply: &[u8]| Answer {
            reply: reply.to_vec(),
            position: Some(7),
            ..Answer::empty(Code::Ok)
        };
        let found = lines(2, &raw(&[8, 1]), &raw(&[8, 0x81, 0]));
        assert_eq!(
            found,
            ["reply: encoded differently from byte 1 on, with equal fields"]
        );
        assert_eq!(
            lines(2, &raw(&[0xff]), &raw(&[])),
            ["reply: sidecar no message, Go a message"]
        );
    }

    #[test]
    fn long_lists_are_cut() {
        let percentile = |value| p::Percentile {
            basis_points: 1,
            value,
        };
        let with = |value| {
            ok(&p::GetStatisticsResponse {
                percentiles: (0..50).map(|_| percentile(value)).collect(),
                ..p::GetStatisticsResponse::default()
            })
        };
        let found = lines(2, &with(1), &with(2));
        assert_eq!((found.len(), found[10].as_str()), (11, "and 40 more"));
    }

    #[test]
    fn a_request_is_one_line() {
        let messages = Messages::new().expect("descriptors");
        let request = p::GetBalanceRequest {
            account_id: "acct-1".to_owned(),
            asset: None,
            as_of_us: Some(-1),
        };
        let text = messages.request(0, &request.encode_to_vec());
        assert!(
            text.contains("acct-1") && text.contains("as_of_us:-1") && !text.contains('\n'),
            "{text}"
        );
    }
}
