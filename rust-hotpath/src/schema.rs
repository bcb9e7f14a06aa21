//! The schema hash. By it shim and sidecar find out whether a method means the same to both. ARCHITECTURE.md specifies
//! the text that is hashed.

use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
};

/// The types and methods of a descriptor set, by full name.
#[derive(Debug, Default)]
pub struct Schema {
    messages: HashMap<String, DescriptorProto>,
    enums: HashMap<String, EnumDescriptorProto>,
    /// Request and reply types, by `/package.Service/Method`.
    methods: BTreeMap<String, (String, String)>,
}

/// SHA-256 of a method's canonical text.
pub type Hash = [u8; 32];

impl Schema {
    /// Reads an encoded `FileDescriptorSet`.
    ///
    /// # Errors
    /// If it cannot be decoded.
    pub fn decode(descriptors: &[u8]) -> Result<Self, prost::DecodeError> {
        let mut schema = Self::default();
        for file in FileDescriptorSet::decode(descriptors)?.file {
            let package = file.package().to_owned();
            schema.add_types(&package, &file.message_type, &file.enum_type);
            for service in &file.service {
                let service_name = join(&package, service.name());
                for method in &service.method {
                    let name = format!("/{service_name}/{}", method.name());
                    let types = (bare(method.input_type()), bare(method.output_type()));
                    schema.methods.insert(name, types);
                }
            }
        }
        Ok(schema)
    }

    /// The hash of `/package.Service/Method`. `None` if there is no such method.
    #[must_use]
    pub fn hash(&self, full_method: &str) -> Option<Hash> {
        Some(Sha256::digest(self.text(full_method)?).into())
    }

    /// The text that is hashed. `None` if there is no such method.
    #[must_use]
    pub fn text(&self, full_method: &str) -> Option<String> {
        let (request, reply) = self.methods.get(full_method)?;
        let mut names = BTreeSet::new();
        self.reach(request, &mut names);
        self.reach(reply, &mut names);
        let mut text = format!("method {full_method} {request} {reply}\n");
        let messages = names
            .iter()
            .filter_map(|name| Some((name, self.messages.get(name)?)));
        for (name, message) in messages {
            write_message(&mut text, name, message);
        }
        let enums = names
            .iter()
            .filter_map(|name| Some((name, self.enums.get(name)?)));
        for (name, numbers) in enums {
            write_enum(&mut text, name, numbers);
        }
        Some(text)
    }

    fn add_types(
        &mut self,
        scope: &str,
        messages: &[DescriptorProto],
        enums: &[EnumDescriptorProto],
    ) {
        for numbers in enums {
            self.enums
                .insert(join(scope, numbers.name()), numbers.clone());
        }
        for message in messages {
            let name = join(scope, message.name());
            self.add_types(&name, &message.nested_type, &message.enum_type);
            self.messages.insert(name, message.clone());
        }
    }

    fn reach(&self, name: &str, seen: &mut BTreeSet<String>) {
        if !seen.insert(name.to_owned()) {
            return;
        }
        let fields = self
            .messages
            .get(name)
            .map_or(&[][..], |message| &message.field);
        for field in fields.iter().filter(|field| field.type_name.is_some()) {
            self.reach(&bare(field.type_name()), seen);
        }
    }
}

// Writing to a `String` cannot fail.
fn write_message(text: &mut String, name: &str, message: &DescriptorProto) {
    let _ = writeln!(text, "message {name}");
    let mut fields: Vec<_> = message.field.iter().collect();
    fields.sort_by_key(|field| field.number());
    for field in fields {
        let kind = type_text(field);
        let arity = arity_text(message, field);
        let _ = writeln!(text, "  {} {} {kind} {arity}", field.number(), field.name());
    }
}

fn write_enum(text: &mut String, name: &str, numbers: &EnumDescriptorProto) {
    let _ = writeln!(text, "enum {name}");
    let mut values: Vec<_> = numbers
        .value
        .iter()
        .map(|value| (value.number(), value.name()))
        .collect();
    values.sort_unstable();
    for (number, value) in values {
        let _ = writeln!(text, "  {number} {value}");
    }
}

fn type_text(field: &FieldDescriptorProto) -> String {
    match field.r#type() {
        Type::Message => format!("message {}", bare(field.type_name())),
        Type::Enum => format!("enum {}", bare(field.type_name())),
        Type::Group => format!("group {}", bare(field.type_name())),
        scalar => scalar
            .as_str_name()
            .trim_start_matches("TYPE_")
            .to_lowercase(),
    }
}

fn arity_text(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let oneof = field
        .oneof_index
        .and_then(|index| usize::try_from(index).ok());
    let oneof = oneof.and_then(|index| message.oneof_decl.get(index));
    if field.label() == Label::Repeated {
        "repeated".to_owned()
    } else if field.proto3_optional() {
        // A message field has presence anyway, so `optional` says nothing new.
        let message = field.r#type() == Type::Message;
        if message { "singular" } else { "optional" }.to_owned()
    } else if let Some(oneof) = oneof {
        format!("oneof {}", oneof.name())
    } else {
        "singular".to_owned()
    }
}

fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() {
        name.to_owned()
    } else {
        format!("{scope}.{name}")
    }
}

fn bare(type_name: &str) -> String {
    type_name.trim_start_matches('.').to_owned()
}
