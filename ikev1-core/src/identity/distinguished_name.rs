//! Distinguished names: their DER read strictly, compared part by part, written as text.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The most parts of a name.
const MAX_PARTS: usize = 64;

/// Tags of DER, X.690 §8.
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const TELETEX: u8 = 0x14;
const IA5: u8 = 0x16;

/// The types of attributes that have a name in text: object identifier, name, and the string that we
/// write it as (RFC 4514 §3, RFC 5280 appendix A).
const TYPES: [(&[u8], &str, u8); 12] = [
    (b"\x55\x04\x06", "C", PRINTABLE),
    (b"\x55\x04\x08", "ST", UTF8),
    (b"\x55\x04\x07", "L", UTF8),
    (b"\x55\x04\x09", "STREET", UTF8),
    (b"\x55\x04\x0a", "O", UTF8),
    (b"\x55\x04\x0b", "OU", UTF8),
    (b"\x55\x04\x03", "CN", UTF8),
    (b"\x55\x04\x05", "SN", PRINTABLE),
    (b"\x55\x04\x0c", "T", UTF8),
    (b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19", "DC", IA5),
    (b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01", "UID", UTF8),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01", "E", IA5),
];

/// One `type=value` of a name.
#[derive(Clone, Copy, Debug)]
struct Part<'a> {
    /// Whether it belongs to the relative name of the part before.
    joined: bool,
    oid: &'a [u8],
    tag: u8,
    value: &'a [u8],
}

/// Returns whether both are names and the same: part by part in order; strings without regard to the case
/// of ASCII letters, to their string type, and to how many spaces part their words (RFC 5280 §7.1).
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    let (Some(a), Some(b)) = (parts(a), parts(b)) else { return false };
    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.joined == b.joined && a.oid == b.oid && same_value(a, b))
}

/// Returns whether the octets are a name.
pub(super) fn is_name(der: &[u8]) -> bool {
    parts(der).is_some()
}

fn same_value(a: &Part<'_>, b: &Part<'_>) -> bool {
    let text = |tag: u8| matches!(tag, UTF8 | PRINTABLE | TELETEX | IA5);
    if !(text(a.tag) && text(b.tag)) {
        return a.tag == b.tag && a.value == b.value;
    }
    folded(a.value).eq(folded(b.value))
}

/// Returns the octets in lower case, words parted by one space.
fn folded(value: &[u8]) -> impl Iterator<Item = u8> {
    let words = value.split(|octet| *octet == b' ').filter(|word| !word.is_empty());
    words.enumerate().flat_map(|(at, word)| {
        let space = (at > 0).then_some(b' ');
        space.into_iter().chain(word.iter().map(u8::to_ascii_lowercase))
    })
}

/// Reads a name: a sequence of sets of sequences of an object identifier and a value (RFC 5280 §4.1.2.4).
fn parts(der: &[u8]) -> Option<Vec<Part<'_>>> {
    let (SEQUENCE, mut sets, []) = element(der)? else { return None };
    let mut parts = Vec::new();
    while !sets.is_empty() {
        let (SET, mut attributes, rest) = element(sets)? else { return None };
        if attributes.is_empty() {
            return None;
        }
        sets = rest;
        let mut joined = false;
        while !attributes.is_empty() {
            let (SEQUENCE, attribute, rest) = element(attributes)? else { return None };
            attributes = rest;
            let (OID, oid, value) = element(attribute)? else { return None };
            let (tag, value, []) = element(value)? else { return None };
            if oid.is_empty() || parts.len() >= MAX_PARTS {
                return None;
            }
            parts.push(Part { joined, oid, tag, value });
            joined = true;
        }
    }
    // A name of no parts names nobody, and any certificate without a subject would prove it.
    if parts.is_empty() { None } else { Some(parts) }
}

/// Splits the first element off: its tag, its content, and what follows. Lengths are definite and short as
/// can be.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => {
            let (&length, rest) = rest.split_first()?;
            (usize::from(length), rest)
        }
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    let least = match first {
        0x81 => 0x80,
        0x82 => 0x100,
        _ => 0,
    };
    // High tag numbers take more than an octet, and no name has any.
    if length < least || tag & 0x1f == 0x1f {
        return None;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Writes a name as `C=CH, O=Example, CN=left`; what is no text in hexadecimal.
pub(super) fn write(der: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(parts) = parts(der) else {
        f.write_str("dn:")?;
        return hexadecimal(der, f);
    };
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            f.write_str(if part.joined { "+" } else { ", " })?;
        }
        match TYPES.iter().find(|(oid, ..)| *oid == part.oid) {
            Some((_, name, _)) => f.write_str(name)?,
            None => hexadecimal(part.oid, f)?,
        }
        f.write_str("=")?;
        match core::str::from_utf8(part.value) {
            Ok(text) if !text.chars().any(char::is_control) => {
                for c in text.chars() {
                    if matches!(c, ',' | '+' | '=' | '\\') {
                        f.write_str("\\")?;
                    }
                    write!(f, "{c}")?;
                }
            }
            _ => {
                f.write_str("#")?;
                hexadecimal(part.value, f)?;
            }
        }
    }
    Ok(())
}

fn hexadecimal(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

/// Reads a name from text such as `C=CH, O=Example, CN=left`; a backslash takes the sign after it for what
/// it is. `None` for an unknown type, an empty value, or more than a name holds.
pub(super) fn from_text(text: &str) -> Option<Vec<u8>> {
    let mut sets = Vec::new();
    for (at, part) in split(text).into_iter().enumerate() {
        let (name, value) = part.split_once('=')?;
        let (oid, _, tag) = TYPES.iter().find(|(_, known, _)| known.eq_ignore_ascii_case(name.trim()))?;
        let value = unescaped(value.trim());
        if value.is_empty() || at >= MAX_PARTS {
            return None;
        }
        let attribute = [wrapped(OID, oid)?, wrapped(*tag, value.as_bytes())?].concat();
        sets.extend(wrapped(SET, &wrapped(SEQUENCE, &attribute)?)?);
    }
    if sets.is_empty() { None } else { wrapped(SEQUENCE, &sets) }
}

/// Splits at commas that no backslash stands before.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut begin, mut escaped) = (0, false);
    for (at, c) in text.char_indices() {
        if c == ',' && !escaped {
            parts.extend(text.get(begin..at));
            begin = at.saturating_add(1);
        }
        escaped = c == '\\' && !escaped;
    }
    parts.extend(text.get(begin..));
    parts
}

fn unescaped(text: &str) -> String {
    let mut escaped = false;
    let mut plain = String::new();
    for c in text.chars() {
        escaped = c == '\\' && !escaped;
        if !escaped {
            plain.push(c);
        }
    }
    plain
}

/// Returns an element of DER.
fn wrapped(tag: u8, content: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(content.len()).ok()?;
    let mut der = Vec::with_capacity(content.len().saturating_add(4));
    der.push(tag);
    match length.to_be_bytes() {
        [0, short @ 0..=0x7f] => der.push(short),
        [0, one] => der.extend([0x81, one]),
        [high, low] => der.extend([0x82, high, low]),
    }
    der.extend_from_slice(content);
    Some(der)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec;
    use proptest::prelude::*;

    struct Shown<'a>(&'a [u8]);

    impl fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write(self.0, f)
        }
    }

    fn name(text: &str) -> Vec<u8> {
        from_text(text).unwrap()
    }

    #[test]
    fn text_reads_and_writes_the_same() {
        for text in ["C=CH, O=Example, CN=left", "CN=a\\, b\\\\", "DC=org, DC=example, UID=7, E=a@example.org"] {
            assert_eq!(Shown(&name(text)).to_string(), text);
        }
        assert_eq!(name("CN=x"), b"\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01x");
        for wrong in ["", "left", "X=1", "CN=", "C=CH,,CN=x"] {
            assert_eq!(from_text(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_are_compared_by_parts_and_not_by_octets() {
        let utf8 = name("C=CH, CN=Left  Example");
        let mut printable = name("C=CH, CN=left example ");
        assert!(same(&utf8, &printable));
        let at = printable.iter().position(|octet| *octet == UTF8).unwrap();
        printable[at] = PRINTABLE;
        assert!(same(&utf8, &printable));
        assert!(same(&utf8, &utf8));
        for other in [
            "CN=Left Example, C=CH",
            "C=CH, CN=LeftExample",
            "C=CH",
            "C=CH, CN=Left Example, CN=x",
            "C=CH, O=Left Example",
        ] {
            assert!(!same(&utf8, &name(other)), "{other}");
        }
        assert!(!same(b"\x30\x00\x00", b"\x30\x00\x00"), "no name is like no name");
    }

    /// CVE-2013-6075: lengths that point past the end, or that are not the shortest.
    #[test]
    fn no_bent_length_is_a_name() {
        let good = name("C=CH, O=Example, CN=left");
        for end in 0..good.len() {
            assert!(!is_name(&good[..end]));
        }
        for wrong in
            [&b"\x30\x81\x00"[..], b"\x30\x80\x00\x00", b"\x30\x82\x00\x00", b"\x30\x84\x00\x00\x00\x00", b"\x31\x00"]
        {
            assert!(!is_name(wrong));
        }
        assert!(!is_name(&[good.as_slice(), &[0]].concat()));
        let many = vec!["CN=x"; 65].join(",");
        assert_eq!(from_text(&many), None);
        assert!(!is_name(b"\x30\x00"), "the empty name names nobody");
    }

    proptest! {
        #[test]
        fn text_of_any_octets_is_at_most_four_times_as_long(der in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Shown(&der).to_string().len() <= 4 * der.len() + 16);
            prop_assert_eq!(same(&der, &der), is_name(&der));
        }

        #[test]
        fn text_of_any_value_is_bounded_and_reads_back(value in "[ -~]{1,60}") {
            prop_assume!(!value.trim().is_empty());
            let der = wrapped(SEQUENCE, &wrapped(SET, &wrapped(SEQUENCE, &[wrapped(OID, b"\x55\x04\x03").unwrap(), wrapped(UTF8, value.as_bytes()).unwrap()].concat()).unwrap()).unwrap()).unwrap();
            let text = Shown(&der).to_string();
            prop_assert!(text.len() <= 4 * der.len());
            let again = from_text(&text).unwrap();
            prop_assert!(same(&der, &again), "{}", format!("{text}"));
        }
    }
}
