//! What several tests share: the committed captures.
#![allow(dead_code, reason = "each test uses its part")]

use serde_json::Value;
use std::path::{Path, PathBuf};

/// The folder of committed vectors.
pub fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// Returns a JSON file.
pub fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

/// Returns the ISAKMP messages of a committed capture, by the numbers of their frames.
pub fn messages(capture: &str) -> Vec<(u64, Vec<u8>)> {
    let oracle = json(&vectors().join(format!("captures/{capture}.oracle.json")));
    let mut messages = Vec::new();
    for frame in oracle["frames"].as_array().unwrap() {
        let octets = hex::decode(frame["frame"].as_str().unwrap()).unwrap();
        for layer in frame["layers"].as_array().unwrap().iter().filter(|layer| layer["proto"] == "isakmp") {
            let start = usize::try_from(layer["p"].as_u64().unwrap()).unwrap();
            messages.push((frame["n"].as_u64().unwrap(), octets[start..].to_vec()));
        }
    }
    messages
}

/// Every message of every committed capture.
pub fn all_messages() -> Vec<(String, Vec<u8>)> {
    let mut names: Vec<_> = std::fs::read_dir(vectors().join("captures"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".oracle.json").map(String::from))
        .collect();
    names.sort();
    names
        .iter()
        .flat_map(|name| {
            messages(name).into_iter().map(move |(frame, octets)| (format!("{name} frame {frame}"), octets))
        })
        .collect()
}
