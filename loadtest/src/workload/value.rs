//! Converts constants of a scenario to protobuf values.

use super::unknown;
use prost_reflect::{EnumDescriptor, Kind, Value, bytes::Bytes};
use std::fmt::Display;
use toml::Value as Toml;

/// Returns the value for a field of this kind.
pub(super) fn constant(kind: &Kind, value: &Toml) -> Result<Value, String> {
    match (kind, value) {
        (Kind::String, Toml::String(text)) => Ok(Value::String(literal(text).to_owned())),
        (Kind::Bytes, Toml::String(text)) => Ok(Value::Bytes(Bytes::copy_from_slice(
            literal(text).as_bytes(),
        ))),
        (Kind::Bool, Toml::Boolean(on)) => Ok(Value::Bool(*on)),
        (Kind::Enum(of), Toml::String(name)) => enum_by_name(of, name),
        (Kind::Enum(of), Toml::Integer(number)) => enum_by_number(of, *number),
        (_, Toml::Integer(number)) => integer(kind, *number),
        (Kind::Double, Toml::Float(number)) => Ok(Value::F64(*number)),
        #[allow(clippy::cast_possible_truncation)] // A float field holds no more.
        (Kind::Float, Toml::Float(number)) => Ok(Value::F32(*number as f32)),
        _ => Err(wrong_type(kind, value)),
    }
}

/// Returns a kind's name, for errors.
pub(super) fn name(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => format!("message {}", message.full_name()),
        Kind::Enum(of) => format!("enum {}", of.full_name()),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn literal(text: &str) -> &str {
    if text.starts_with("$$") {
        &text[1..]
    } else {
        text
    }
}

fn integer(kind: &Kind, number: i64) -> Result<Value, String> {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            fitting(number, i32::MIN, i32::MAX, Value::I32)
        }
        Kind::Uint32 | Kind::Fixed32 => fitting(number, u32::MIN, u32::MAX, Value::U32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Ok(Value::I64(number)),
        Kind::Uint64 | Kind::Fixed64 => fitting(number, u64::MIN, u64::MAX, Value::U64),
        #[allow(clippy::cast_precision_loss)] // As protobuf's JSON does.
        Kind::Double => Ok(Value::F64(number as f64)),
        #[allow(clippy::cast_precision_loss)]
        Kind::Float => Ok(Value::F32(number as f32)),
        _ => Err(wrong_type(kind, &Toml::Integer(number))),
    }
}

fn fitting<T: TryFrom<i64> + Display + Copy>(
    number: i64,
    low: T,
    high: T,
    value: fn(T) -> Value,
) -> Result<Value, String> {
    let rule = format!("must be a whole number from {low} to {high}, not {number}");
    T::try_from(number).map(value).map_err(|_| rule)
}

fn enum_by_name(of: &EnumDescriptor, name: &str) -> Result<Value, String> {
    let found = of.get_value_by_name(name);
    let found = found.map(|value| Value::EnumNumber(value.number()));
    found.ok_or_else(|| {
        let names: Vec<String> = of.values().map(|value| value.name().to_owned()).collect();
        unknown(&format!("value of {}", of.full_name()), name, &names)
    })
}

fn enum_by_number(of: &EnumDescriptor, number: i64) -> Result<Value, String> {
    let known = i32::try_from(number)
        .ok()
        .filter(|n| of.get_value(*n).is_some());
    known
        .map(Value::EnumNumber)
        .ok_or_else(|| format!("{} has no value {number}", of.full_name()))
}

fn wrong_type(kind: &Kind, value: &Toml) -> String {
    format!("must be {}, not {}", name(kind), value.type_str())
}
