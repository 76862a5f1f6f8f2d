//! Captures of live peers, decoded with their keys by tshark.

use crate::common;
use crate::tree::Node;
use std::path::Path;
use std::process::Command;

/// A frame: its number, its octets, and the ISAKMP messages in it.
type Frame = (usize, Vec<u8>, Vec<Node>);

/// Decodes a capture; `None` when tshark is not there.
pub fn decode(scenario: &Path) -> Option<Vec<Frame>> {
    let keys = common::json(&scenario.join("keys.json"));
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(scenario.join("wire.pcap")).args(["-T", "pdml"]);
    for sa in keys["isakmp_sas"].as_array().into_iter().flatten() {
        if let (Some(cookie), Some(key)) = (sa["initiator_cookie"].as_str(), sa["encryption_key"].as_str()) {
            tshark.arg("-o").arg(format!("uat:ikev1_decryption_table:{cookie},{key}"));
        }
    }
    let output = tshark.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let frames = frames(&std::fs::read(scenario.join("wire.pcap")).unwrap());
    let packets: Vec<_> = text.split("<packet>").skip(1).map(messages).collect();
    assert_eq!(frames.len(), packets.len(), "{}", scenario.display());
    Some(
        frames
            .into_iter()
            .zip(packets)
            .enumerate()
            .map(|(index, (octets, layers))| (index + 1, octets, layers))
            .collect(),
    )
}

/// The frames of a classic capture in the byte order of this machine.
fn frames(capture: &[u8]) -> Vec<Vec<u8>> {
    assert_eq!(capture[..4], 0xa1b2_c3d4_u32.to_ne_bytes(), "a classic capture");
    let mut rest = &capture[24..];
    let mut frames = Vec::new();
    while rest.len() >= 16 {
        let length = usize::try_from(u32::from_ne_bytes(rest[8..12].try_into().unwrap())).unwrap();
        frames.push(rest[16..16 + length].to_vec());
        rest = &rest[16 + length..];
    }
    frames
}

/// The ISAKMP trees of one packet; tshark writes one element a line.
fn messages(packet: &str) -> Vec<Node> {
    let mut done = Vec::new();
    let mut open: Vec<Node> = Vec::new();
    for line in packet.lines().map(str::trim) {
        if line.starts_with("<proto ") && (!open.is_empty() || attribute(line, "name") == "isakmp") {
            open.push(node(line));
        } else if line.starts_with("<field ") && !open.is_empty() {
            let node = node(line);
            if line.ends_with("/>") { open.last_mut().unwrap().children.push(node) } else { open.push(node) }
        } else if (line == "</field>" || line == "</proto>") && !open.is_empty() {
            let mut node = open.pop().unwrap();
            if node.name == "isakmp" {
                // The place of a whole is that of its last fragment; its fields count from 0.
                node.at = node.child("isakmp.ispi").map_or(node.at, |cookie| cookie.at);
            }
            match open.last_mut() {
                // What fragments make stands inside the last of them; it is a message of its own.
                Some(parent) if node.name != "isakmp" => parent.children.push(node),
                _ => done.push(node),
            }
        }
    }
    done.reverse();
    done
}

fn node(line: &str) -> Node {
    let number = |name| attribute(line, name).parse().unwrap_or(0);
    Node {
        name: attribute(line, "name"),
        text: attribute(line, "showname"),
        value: attribute(line, "value"),
        at: number("pos"),
        size: number("size"),
        children: Vec::new(),
    }
}

fn attribute(line: &str, name: &str) -> String {
    let start = format!(" {name}=\"");
    line.split_once(&start)
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(value, _)| value.into())
        .unwrap_or_default()
}
