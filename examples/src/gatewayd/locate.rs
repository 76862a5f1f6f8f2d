//! From an offset in a TOML text to the path of the field that stands there.

use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Returns the path of the innermost field whose key or value covers `span`, such as `connection[1].psk`.
///
/// An empty path means that the trouble lies outside every field.
pub fn field_at(text: &str, span: Range<usize>) -> String {
    let mut path = String::new();
    if let Ok(table) = DeTable::parse(text) {
        descend_table(table.get_ref(), span.start, &mut path);
    }
    path
}

/// Returns the line, counted from 1, that `offset` lies in.
pub fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|octet| *octet == b'\n').count() + 1
}

fn descend_table(table: &DeTable<'_>, offset: usize, path: &mut String) {
    for (key, value) in table {
        let on_key = key.span().contains(&offset);
        // The span of a `[table]` is its header only, so its fields are searched in every case.
        let length = path.len();
        if length > 0 {
            path.push('.');
        }
        path.push_str(key.get_ref());
        let named = path.len();
        descend(value, offset, path);
        if on_key || path.len() > named || covers(value, offset) {
            return;
        }
        path.truncate(length);
    }
}

fn descend(value: &Spanned<DeValue<'_>>, offset: usize, path: &mut String) {
    match value.get_ref() {
        DeValue::Table(table) => descend_table(table, offset, path),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let length = path.len();
                path.push_str(&format!("[{index}]"));
                let named = path.len();
                descend(item, offset, path);
                if path.len() > named || covers(item, offset) {
                    return;
                }
                path.truncate(length);
            }
        }
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

fn covers(value: &Spanned<DeValue<'_>>, offset: usize) -> bool {
    value.span().contains(&offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[daemon]
listen = ["192.0.2.1", "192.0.2.9"]

[[connection]]
name = "a"

[[connection]]
name = "b"
[[connection.child]]
local = "10.0.0.0/8"
"#;

    fn path_of(needle: &str) -> String {
        let at = TEXT.find(needle).unwrap();
        field_at(TEXT, at..at + 1)
    }

    #[test]
    fn a_value_is_named_by_its_whole_path() {
        assert_eq!(path_of("\"192.0.2.9\""), "daemon.listen[1]");
        assert_eq!(path_of("\"b\""), "connection[1].name");
        assert_eq!(path_of("\"10.0.0.0/8\""), "connection[1].child[0].local");
    }

    #[test]
    fn a_key_is_named_as_its_value_is() {
        assert_eq!(path_of("listen"), "daemon.listen");
    }

    #[test]
    fn lines_count_from_one() {
        assert_eq!(line_at(TEXT, 0), 1);
        assert_eq!(line_at(TEXT, TEXT.find("listen").unwrap()), 3);
    }
}
