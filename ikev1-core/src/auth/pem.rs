use super::KeyError;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use zeroize::Zeroizing;

/// Where a document begins (RFC 7468 §2).
const BEGIN: &str = "-----BEGIN ";
/// Where its last line begins.
const END: &str = "-----END ";
/// What closes either line.
const DASHES: &str = "-----";

/// One document of a PEM text: its label and its octets, which are wiped on drop.
pub(super) struct PemDocument {
    pub(super) label: String,
    pub(super) octets: Zeroizing<Vec<u8>>,
}

/// Reads every document of a PEM text; whatever stands between them is passed over (RFC 7468 §2).
pub(super) fn documents(text: &str) -> Result<Vec<PemDocument>, KeyError> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find(BEGIN) {
        let document = rest.get(begin..).ok_or(KeyError::Pem)?;
        let last_line = document.find(END).ok_or(KeyError::Pem)?;
        let closing = document.get(last_line + END.len()..).ok_or(KeyError::Pem)?;
        let dashes = closing.find(DASHES).ok_or(KeyError::Pem)?;
        let end = last_line + END.len() + dashes + DASHES.len();
        let (document, after) = document.split_at_checked(end).ok_or(KeyError::Pem)?;
        let (label, octets) = pem_rfc7468::decode_vec(document.as_bytes()).map_err(|_| KeyError::Pem)?;
        found.push(PemDocument { label: label.to_string(), octets: Zeroizing::new(octets) });
        rest = after;
    }
    if found.is_empty() { Err(KeyError::Pem) } else { Ok(found) }
}

/// Reads the first document that has one of the labels.
pub(super) fn first(text: &str, labels: &[&str]) -> Result<PemDocument, KeyError> {
    documents(text)?
        .into_iter()
        .find(|document| labels.contains(&document.label.as_str()))
        .ok_or(KeyError::NoSuchDocument)
}
