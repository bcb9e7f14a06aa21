//! A request of a scenario with its placeholders, checked against the method's message.

use super::{
    draw::{Drawer, Drawn},
    placeholder::{Fits, Length, Placeholder},
    schema::{self, Input},
    unknown,
};
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use toml::{Table, Value as Toml};

/// A mistake, and its key within the entry of the mix: `method`, `request`, `request.account_id`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) key: String,
    pub(crate) rule: String,
}

/// A request that was checked.
#[derive(Debug)]
pub(crate) struct Template {
    body: Option<Body>,
    pub(crate) needs: Needs,
}

/// What must be drawn for each request.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// The number of different accounts that the list must have.
    pub(crate) accounts: usize,
    pub(crate) counterparty: bool,
    /// The length of the period, if a placeholder wants one.
    pub(crate) length: Option<Length>,
}

#[derive(Debug)]
struct Body {
    message: MessageDescriptor,
    fields: Vec<(FieldDescriptor, Slot)>,
}

#[derive(Debug)]
enum Slot {
    Constant(Value),
    Drawn(Placeholder, Kind),
    List(Vec<Slot>),
    Message(Body),
}

#[derive(Debug, Default)]
struct Compiler {
    faults: Vec<Fault>,
    needs: Needs,
}

/// Returns `/package.Service/Method`, whether or not `method` has the leading slash.
pub(crate) fn path_of(method: &str) -> String {
    format!("/{}", method.strip_prefix('/').unwrap_or(method))
}

/// Checks a request to the method at `path`. An error has at least one fault.
pub(crate) fn compile(path: &str, request: &Table) -> Result<Template, Vec<Fault>> {
    let mut compiler = Compiler::default();
    let body = match schema::input(path) {
        Err(rule) => compiler.fault("method", rule),
        Ok(_) if path == super::writes::PATH => compiler.fault(
            "method",
            "is a write, and a mix has reads only: use load.writes_per_second".to_owned(),
        ),
        Ok(Input::Message(message)) => Some(compiler.body("request", message, request)),
        Ok(Input::Unknown) if request.is_empty() => None,
        Ok(Input::Unknown) => compiler.fault(
            "request",
            "must be empty: the service's messages aren't known here".to_owned(),
        ),
    };
    if compiler.faults.is_empty() {
        let needs = compiler.needs;
        Ok(Template { body, needs })
    } else {
        Err(compiler.faults)
    }
}

impl Template {
    /// Encodes the next request.
    pub(crate) fn encode(&self, drawer: &mut Drawer<'_>) -> Vec<u8> {
        let Some(body) = &self.body else {
            return Vec::new();
        };
        let drawn = drawer.request(&self.needs);
        body.fill(drawer, &drawn).encode_to_vec()
    }
}

impl Body {
    fn fill(&self, drawer: &mut Drawer<'_>, drawn: &Drawn<'_>) -> DynamicMessage {
        let mut message = DynamicMessage::new(self.message.clone());
        for (field, slot) in &self.fields {
            message.set_field(field, slot.value(drawer, drawn));
        }
        message
    }
}

impl Slot {
    fn value(&self, drawer: &mut Drawer<'_>, drawn: &Drawn<'_>) -> Value {
        match self {
            Self::Constant(value) => value.clone(),
            Self::Message(body) => Value::Message(body.fill(drawer, drawn)),
            Self::List(slots) => {
                let values = slots.iter().map(|slot| slot.value(drawer, drawn));
                Value::List(values.collect())
            }
            Self::Drawn(placeholder, kind) => match placeholder {
                Placeholder::Account => Value::String(drawn.place.account.clone()),
                Placeholder::Asset => Value::String(drawn.place.asset.clone()),
                Placeholder::Counterparty => Value::String(drawn.counterparty.account.clone()),
                Placeholder::From(_) => Value::I64(drawn.period.start),
                Placeholder::To(_) => Value::I64(drawn.period.end),
                Placeholder::Position(last) => position(drawer.position(*last), kind),
                Placeholder::Accounts(count) => {
                    let accounts = drawer.accounts(count).into_iter();
                    Value::List(accounts.map(|id| Value::String(id.to_owned())).collect())
                }
            },
        }
    }
}

/// Converts a position. Positions are below 2^32, so they fit every kind.
fn position(position: u64, kind: &Kind) -> Value {
    match kind {
        Kind::Uint32 => Value::U32(u32::try_from(position).unwrap_or(u32::MAX)),
        Kind::Int64 => Value::I64(i64::try_from(position).unwrap_or(i64::MAX)),
        _ => Value::U64(position),
    }
}

impl Compiler {
    fn fault<T>(&mut self, key: &str, rule: String) -> Option<T> {
        let key = key.to_owned();
        self.faults.push(Fault { key, rule });
        None
    }

    fn body(&mut self, key: &str, message: MessageDescriptor, table: &Table) -> Body {
        let mut fields: Vec<(FieldDescriptor, Slot)> = Vec::new();
        for (name, value) in table {
            let key = format!("{key}.{name}");
            let Some(field) = message.get_field_by_name(name) else {
                let names: Vec<String> = message.fields().map(|f| f.name().to_owned()).collect();
                let rule = unknown(&format!("field of {}", message.full_name()), name, &names);
                self.fault::<()>(&key, rule);
                continue;
            };
            let rival = fields.iter().find(|(other, _)| {
                let oneof = field.containing_oneof();
                oneof.is_some() && oneof == other.containing_oneof()
            });
            if let Some((rival, _)) = rival {
                let rule = format!("excludes {}: only one of them can be set", rival.name());
                self.fault::<()>(&key, rule);
            }
            if let Some(slot) = self.slot(&key, &field, value) {
                fields.push((field, slot));
            }
        }
        Body { message, fields }
    }

    fn slot(&mut self, key: &str, field: &FieldDescriptor, value: &Toml) -> Option<Slot> {
        if field.is_map() {
            return self.fault(key, "is a map, which a scenario can't set".to_owned());
        }
        match value {
            Toml::Array(values) if field.is_list() => {
                let before = self.faults.len();
                let slots: Vec<Slot> = values
                    .iter()
                    .enumerate()
                    .filter_map(|(i, value)| self.item(&format!("{key}[{i}]"), field, value))
                    .collect();
                (self.faults.len() == before).then_some(Slot::List(slots))
            }
            Toml::String(text) if field.is_list() && is_placeholder(text) => {
                self.placeholder(key, field, true, text)
            }
            other if field.is_list() => {
                let rule = format!("must be an array, not {}", other.type_str());
                self.fault(key, rule)
            }
            _ => self.item(key, field, value),
        }
    }

    /// Compiles the value of a field that is not repeated, or one value of a repeated field.
    fn item(&mut self, key: &str, field: &FieldDescriptor, value: &Toml) -> Option<Slot> {
        match (value, field.kind()) {
            (Toml::String(text), _) if is_placeholder(text) => {
                self.placeholder(key, field, false, text)
            }
            (Toml::Table(table), Kind::Message(message)) => {
                Some(Slot::Message(self.body(key, message, table)))
            }
            (value, kind) => match super::value::constant(&kind, value) {
                Ok(value) => Some(Slot::Constant(value)),
                Err(rule) => self.fault(key, rule),
            },
        }
    }

    fn placeholder(
        &mut self,
        key: &str,
        field: &FieldDescriptor,
        whole_list: bool,
        text: &str,
    ) -> Option<Slot> {
        let placeholder = match Placeholder::parse(text) {
            Ok(placeholder) => placeholder,
            Err(rule) => return self.fault(key, rule),
        };
        let kind = field.kind();
        let fits = match placeholder.fits() {
            Fits::Text => !whole_list && kind == Kind::String,
            Fits::Texts => whole_list && kind == Kind::String,
            Fits::Time => !whole_list && kind == Kind::Int64,
            Fits::Number => {
                !whole_list && matches!(kind, Kind::Int64 | Kind::Uint32 | Kind::Uint64)
            }
        };
        if !fits {
            let place = placeholder.fits().name();
            let repeated = if field.is_list() { "repeated " } else { "" };
            let kind = super::value::name(&kind);
            let rule = format!("{text} stands for {place}, and the field is {repeated}{kind}");
            return self.fault(key, rule);
        }
        self.need(key, &placeholder);
        Some(Slot::Drawn(placeholder, kind))
    }

    fn need(&mut self, key: &str, placeholder: &Placeholder) {
        let needs = &mut self.needs;
        match placeholder {
            Placeholder::Counterparty => {
                needs.counterparty = true;
                needs.accounts = needs.accounts.max(2);
            }
            Placeholder::Accounts(count) => needs.accounts = needs.accounts.max(*count.end()),
            Placeholder::From(length) | Placeholder::To(length) => {
                if *needs.length.get_or_insert(*length) != *length {
                    let rule = "$from_us and $to_us of a request must have the same length";
                    self.fault::<()>(key, rule.to_owned());
                }
            }
            Placeholder::Account | Placeholder::Asset | Placeholder::Position(_) => {}
        }
    }
}

fn is_placeholder(text: &str) -> bool {
    text.starts_with('$') && !text.starts_with("$$")
}
