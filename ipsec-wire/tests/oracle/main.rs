//! Every field of every captured ISAKMP message, compared with what tshark decodes.
//!
//! The committed captures are always compared. The whole sets are named by the environment:
//! `IPSEC_VECTORS` is a folder with `captures/*/*.oracle.json`, `IPSEC_INTEROP` one with
//! `captures/*/{wire.pcap,keys.json}`, which `tshark` (in the path) decodes with the keys. Run with
//! `--nocapture` to read the summary.

#[path = "../common/mod.rs"]
mod common;
mod interop;
mod known;
mod ours;
mod tree;

use ipsec_wire::isakmp::payload::{Fragment, Payload};
use ipsec_wire::isakmp::{Body, Header, Message, Payloads, vendor};
use ipsec_wire::registry::PayloadType;
use ipsec_wire::{ErrorKind, WireError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tree::{Compared, Node};

/// What was compared.
#[derive(Default)]
struct Summary {
    captures: usize,
    packets: usize,
    decrypted: usize,
    ikev2: usize,
    fields: usize,
    vendor_ids: usize,
    explained: Vec<String>,
    differences: Vec<String>,
}

impl Summary {
    /// Compares one message, and the chain that the oracle decrypted from it.
    fn message(&mut self, place: &str, octets: &[u8], layer: &Node) {
        self.packets += 1;
        let message = match Message::parse(octets) {
            Ok(message) => message,
            Err(WireError { kind: ErrorKind::Ikev2, .. }) => {
                self.ikev2 += 1;
                return self.compare(place, &[], &[]);
            }
            Err(error) => return self.differ(place, format!("refused: {error}")),
        };
        self.compare(place, &layer.header(), &ours::header(message.header()));
        match message.body() {
            Body::Clear(chain) => self.chain(place, chain, &layer.payloads()),
            Body::Encrypted(ciphertext) => self.encrypted(place, message.header(), ciphertext, layer),
        }
    }

    fn encrypted(&mut self, place: &str, header: &Header, ciphertext: &[u8], layer: &Node) {
        let Some(encrypted) = layer.child("isakmp.enc.data") else {
            return self.differ(place, "the oracle sees nothing encrypted".into());
        };
        if encrypted.size != ciphertext.len() {
            self.differ(place, format!("{} octets are encrypted, not {}", ciphertext.len(), encrypted.size));
        }
        let payloads = encrypted.payloads();
        if payloads.is_empty() {
            return;
        }
        let Some(plaintext) = encrypted.plaintext() else {
            return self.differ(place, "the oracle decrypted it to garbage".into());
        };
        self.decrypted += 1;
        match Payloads::parse_decrypted(header.next_payload, &plaintext[..]) {
            Ok(chain) => self.chain(place, chain, &payloads),
            Err(error) => self.differ(place, format!("refused after decryption: {error}")),
        }
    }

    fn chain(&mut self, place: &str, chain: Payloads<'_>, theirs: &[&Node]) {
        let mut ours = Vec::new();
        for raw in chain {
            match ours::payload(raw) {
                Ok(fields) => ours.extend(fields),
                Err(error) => return self.differ(place, format!("refused: {error}")),
            }
            if let Ok(Payload::VendorId(id)) = Payload::parse(raw) {
                self.vendor_ids += usize::from(vendor::recognise(id.data).is_some());
            }
        }
        let expected: Vec<Compared> = theirs.iter().flat_map(|node| node.fields()).collect();
        self.compare(place, &expected, &ours);
        for name in theirs.iter().filter_map(|node| node.known_vendor_id()) {
            let octets = hex::decode(&name.value).unwrap();
            if vendor::recognise(&octets).is_none() {
                self.differ(place, format!("the vendor id {} is known as {}", name.value, name.name));
            }
        }
    }

    fn compare(&mut self, place: &str, theirs: &[Compared], ours: &[Compared]) {
        self.fields += ours.len();
        if theirs == ours {
            return;
        }
        let at = theirs.iter().zip(ours).take_while(|(theirs, ours)| theirs == ours).count();
        self.differ(place, format!("field {at}: theirs {:?}, ours {:?}", theirs.get(at), ours.get(at)));
    }

    fn differ(&mut self, place: &str, what: String) {
        match known::reason(place) {
            Some(reason) => self.explained.push(format!("{place}: {what}: {reason}")),
            None => self.differences.push(format!("{place}: {what}")),
        }
    }

    fn print(&self, set: &str) {
        println!(
            "{set}: {} captures, {} messages ({} decrypted, {} of IKEv2 refused), {} fields compared, \
             {} vendor ids known, {} differences, {} explained",
            self.captures,
            self.packets,
            self.decrypted,
            self.ikev2,
            self.fields,
            self.vendor_ids,
            self.differences.len(),
            self.explained.len(),
        );
        self.explained.iter().for_each(|line| println!("  explained: {line}"));
        self.differences.iter().for_each(|line| println!("  DIFFERENT: {line}"));
    }
}

/// Compares one capture with its committed oracle.
fn capture(summary: &mut Summary, path: &Path) {
    let oracle = common::json(path);
    let name = path.file_name().unwrap().to_str().unwrap().trim_end_matches(".oracle.json");
    let mut any = false;
    for frame in oracle["frames"].as_array().unwrap() {
        let octets = hex::decode(frame["frame"].as_str().unwrap()).unwrap();
        for layer in frame["layers"].as_array().unwrap().iter().filter(|layer| layer["proto"] == "isakmp") {
            any = true;
            let layer = Node::from_json(layer);
            summary.message(&format!("{name} frame {}", frame["n"]), &octets[layer.at..], &layer);
        }
    }
    summary.captures += usize::from(any);
}

#[test]
fn the_committed_captures_are_read_as_tshark_reads_them() {
    let mut summary = Summary::default();
    for path in oracles(&common::vectors().join("captures")) {
        capture(&mut summary, &path);
    }
    summary.print("committed captures");
    assert!(summary.differences.is_empty());
    assert!(summary.fields > 1000 && summary.decrypted > 10, "{}", summary.fields);
}

#[test]
fn all_captures_with_an_oracle_are_read_as_tshark_reads_them() {
    let Some(vectors) = std::env::var_os("IPSEC_VECTORS") else {
        return println!("IPSEC_VECTORS is not set: only the committed captures were compared");
    };
    let mut summary = Summary::default();
    let mut folders: Vec<_> = std::fs::read_dir(PathBuf::from(vectors).join("captures"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    for path in folders.iter().flat_map(|folder| oracles(folder)) {
        capture(&mut summary, &path);
    }
    summary.print("captures with oracles");
    assert!(summary.differences.is_empty());
    assert!(summary.fields > 0);
}

#[test]
fn all_captures_of_live_peers_are_read_as_tshark_reads_them() {
    let Some(interop) = std::env::var_os("IPSEC_INTEROP") else {
        return println!("IPSEC_INTEROP is not set: the captures of live peers were not compared");
    };
    let mut summary = Summary::default();
    let mut scenarios: Vec<_> = std::fs::read_dir(PathBuf::from(interop).join("captures"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("wire.pcap").exists())
        .collect();
    scenarios.sort();
    for scenario in scenarios {
        let name = scenario.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(frames) = interop::decode(&scenario) else {
            return println!("tshark is not here: the captures of live peers were not compared");
        };
        summary.captures += 1;
        let mut fragments = Fragments::default();
        for (number, octets, layers) in frames {
            let mut whole: Option<Vec<u8>> = None;
            for layer in layers {
                let place = format!("{name} frame {number}");
                // A whole that was put together from fragments has its own octets and offsets.
                if layer.at == 0 {
                    let whole = whole.take().expect("the whole is there when tshark has it");
                    summary.message(&format!("{place} reassembled"), &whole, &layer);
                    continue;
                }
                let message = &octets[layer.at..];
                whole = fragments.keep(&octets, message);
                summary.message(&place, message, &layer);
            }
        }
    }
    summary.print("captures of live peers");
    assert!(summary.differences.is_empty());
    assert!(summary.fields > 0);
}

/// The fragments of each sender, until they make a whole.
#[derive(Default)]
struct Fragments {
    held: BTreeMap<Vec<u8>, Vec<(u8, Vec<u8>)>>,
}

impl Fragments {
    /// Keeps the part in a message, and returns the whole when it was the last one missing.
    fn keep(&mut self, frame: &[u8], message: &[u8]) -> Option<Vec<u8>> {
        let Body::Clear(chain) = Message::parse(message).ok()?.body() else { return None };
        let fragment = Fragment::parse(chain.find(PayloadType::FRAGMENT)?).unwrap();
        let sender = frame[26..30].to_vec();
        let held = self.held.entry(sender.clone()).or_default();
        held.retain(|(number, _)| *number != fragment.number);
        held.push((fragment.number, fragment.data.to_vec()));
        held.sort();
        let whole: Vec<u8> = held.iter().flat_map(|(_, data)| data.clone()).collect();
        // The header in the first part tells how long the whole is.
        let complete = held.first().is_some_and(|(number, _)| *number == 1)
            && Header::parse(&whole).is_ok_and(|header| usize::try_from(header.length) == Ok(whole.len()));
        complete.then(|| {
            self.held.remove(&sender);
            whole
        })
    }
}

/// The oracles in a folder, in order.
fn oracles(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(".oracle.json"));
    paths.sort();
    paths
}
