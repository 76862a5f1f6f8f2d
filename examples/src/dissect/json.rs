//! A sink that makes JSON: one object for each frame.

use ipsec_wire::isakmp::describe::{Field, Sink, Value};
use serde_json::{Map, Value as Json, json};
use std::fmt;

/// Builds a tree of objects: `{"kind": .., "fields": {..}, "lines": [{..}], "inside": [..]}`.
#[derive(Debug, Default)]
pub struct Tree {
    open: Vec<Node>,
    done: Vec<Json>,
}

#[derive(Debug)]
struct Node {
    kind: &'static str,
    fields: Map<String, Json>,
    inside: Vec<Json>,
}

impl Tree {
    /// Takes what has been told so far.
    pub fn take(&mut self) -> Vec<Json> {
        std::mem::take(&mut self.done)
    }
}

impl Sink for Tree {
    fn begin(&mut self, kind: &'static str, fields: &[Field<'_>]) -> fmt::Result {
        self.open.push(Node { kind, fields: object(fields), inside: Vec::new() });
        Ok(())
    }

    fn line(&mut self, fields: &[Field<'_>]) -> fmt::Result {
        let node = self.open.last_mut().ok_or(fmt::Error)?;
        for (name, value) in object(fields) {
            // A name that comes again (attributes, SPIs) makes a list.
            match node.fields.get_mut(&name) {
                None => {
                    node.fields.insert(name, value);
                }
                Some(Json::Array(values)) => values.push(value),
                Some(first) => *first = Json::Array(vec![first.take(), value]),
            }
        }
        Ok(())
    }

    fn end(&mut self) -> fmt::Result {
        let node = self.open.pop().ok_or(fmt::Error)?;
        let mut done = json!({ "kind": node.kind, "fields": node.fields });
        if !node.inside.is_empty() {
            done["inside"] = Json::Array(node.inside);
        }
        match self.open.last_mut() {
            Some(parent) => parent.inside.push(done),
            None => self.done.push(done),
        }
        Ok(())
    }
}

fn object(fields: &[Field<'_>]) -> Map<String, Json> {
    fields.iter().map(|field| (field.name.to_owned(), value(field))).collect()
}

fn value(field: &Field<'_>) -> Json {
    match field.value {
        Value::Number(number) => json!(number),
        Value::Named(name, number) => json!({ "number": number, "name": name }),
        Value::Bits(bits, digits) => json!(format!("{bits:0digits$x}")),
        Value::Shown(shown) => json!(shown.to_string()),
        Value::Address(address) => json!(address.to_string()),
        Value::Readable(octets) => json!(octets.escape_ascii().to_string()),
        Value::Octets(octets) => json!(hex::encode(octets)),
        Value::Hidden(count) => json!({ "hidden": count }),
        Value::Broken(kind, octets) => json!({ "broken": kind.to_string(), "octets": hex::encode(octets) }),
    }
}
