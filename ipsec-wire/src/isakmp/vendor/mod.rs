//! Known vendor ids: what they mean and which version they tell.
//!
//! A vendor id is 1 or more octets that mean something to those who know them (RFC 2408 §3.16).
//! Most are the MD5 of a name, some have version octets behind. Nothing is taken from an id but by
//! comparing whole octets, so ids of any length are safe to look up.

mod table;

pub use table::KNOWN;

use core::fmt;

/// Vendor ids that a peer of ours may want to send.
pub mod ours {
    /// XAUTH: the first eight octets of MD5 of `draft-ietf-ipsra-isakmp-xauth-06.txt`.
    pub const XAUTH: [u8; 8] = [0x09, 0x00, 0x26, 0x89, 0xdf, 0xd6, 0xb7, 0x12];

    /// Dead peer detection 1.0 (RFC 3706 §5.1).
    pub const DEAD_PEER_DETECTION: [u8; 16] =
        [0xaf, 0xca, 0xd7, 0x13, 0x68, 0xa1, 0xf1, 0xc9, 0x6b, 0x86, 0x96, 0xfc, 0x77, 0x57, 0x01, 0x00];

    /// Cisco Unity 1.0.
    pub const UNITY: [u8; 16] =
        [0x12, 0xf5, 0xf2, 0x8c, 0x45, 0x71, 0x68, 0xa9, 0x70, 0x2d, 0x9f, 0xe2, 0x74, 0xcc, 0x01, 0x00];

    /// IKE fragmentation, for main and aggressive mode.
    pub const FRAGMENTATION: [u8; 20] =
        [0x40, 0x48, 0xb7, 0xd5, 0x6e, 0xbc, 0xe8, 0x85, 0x25, 0xe7, 0xde, 0x7f, 0x00, 0xd6, 0xc2, 0xd3, 0x80, 0, 0, 0];

    /// NAT traversal as in RFC 3947 §3.1.
    pub const RFC_3947: [u8; 16] =
        [0x4a, 0x13, 0x1c, 0x81, 0x07, 0x03, 0x58, 0x45, 0x5c, 0x57, 0x28, 0xf2, 0x0e, 0x95, 0x45, 0x2f];

    /// NAT traversal as in draft 03.
    pub const NAT_TRAVERSAL_03: [u8; 16] =
        [0x7d, 0x94, 0x19, 0xa6, 0x53, 0x10, 0xca, 0x6f, 0x2c, 0x17, 0x9d, 0x92, 0x15, 0x52, 0x9d, 0x56];

    /// NAT traversal as in draft 02, hashed with a newline, as most peers do.
    pub const NAT_TRAVERSAL_02_NEWLINE: [u8; 16] =
        [0x90, 0xcb, 0x80, 0x91, 0x3e, 0xbb, 0x69, 0x6e, 0x08, 0x63, 0x81, 0xb5, 0xec, 0x42, 0x7b, 0x1f];

    /// NAT traversal as in draft 02.
    pub const NAT_TRAVERSAL_02: [u8; 16] =
        [0xcd, 0x60, 0x46, 0x43, 0x35, 0xdf, 0x21, 0xf8, 0x7c, 0xfd, 0xb2, 0xfc, 0x68, 0xb6, 0xa4, 0x48];
}

/// A vendor id that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownVendorId {
    /// Its fixed octets, in hexadecimal.
    pub hex: &'static str,
    /// What it is called: the string that was hashed, or the product.
    pub name: &'static str,
    /// What it means.
    pub meaning: Meaning,
    /// What may follow the fixed octets.
    pub tail: Tail,
}

/// What the sender of a vendor id can do, or is.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Meaning {
    /// It answers R-U-THERE (RFC 3706).
    DeadPeerDetection,
    /// It can do XAUTH.
    Xauth,
    /// It knows Cisco's configuration attributes and notifications.
    Unity,
    /// It can put messages together from fragments (payload 132).
    Fragmentation,
    /// It can traverse NATs.
    NatTraversal(NatTraversal),
    /// It sends heartbeats (NetScreen).
    Heartbeat,
    /// It sends INITIAL-CONTACT (Microsoft).
    InitialContact,
    /// It can authenticate by GSS-API (Microsoft).
    GssApi,
    /// It takes OpenPGP certificates.
    OpenPgp,
    /// It is this product.
    Product(Product),
}

/// The versions of NAT traversal, in the order of their age.
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the draft-ietf-ipsec-nat-t-ike of its number")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NatTraversal {
    /// An id that some send and no text defines the numbers of.
    Other,
    Draft00,
    Draft01,
    Draft02,
    /// Draft 02, its name hashed with a newline.
    Draft02Newline,
    Draft03,
    Draft04,
    Draft05,
    Draft06,
    Draft07,
    Draft08,
    /// The standard.
    Rfc3947,
}

/// Products that can be told by a vendor id.
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the name of a product or its maker")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Product {
    Apple,
    CheckPoint,
    Cisco,
    CiscoClient,
    CiscoConcentrator,
    FortiGate,
    Juniper,
    Netgear,
    Nortel,
    Openswan,
    Racoon,
    SafeNet,
    Sidewinder,
    SonicWall,
    Ssh,
    StoneGate,
    StrongSwan,
    Symantec,
    Timestep,
    Windows,
    ZyXel,
}

/// What may follow the fixed octets of a vendor id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tail {
    /// Nothing: the id is exactly its fixed octets.
    None,
    /// Octets of a version whose layout nobody told.
    Version,
    /// A major and a minor version, one octet each.
    MajorMinor,
    /// A word of capabilities, or nothing.
    Capability,
    /// A word that names a release of Windows.
    WindowsVersion,
    /// Check Point's five words: product, version, and three more.
    CheckPoint,
}

/// A vendor id that was recognised.
///
/// Its `Display` is the name and the version: `Dead Peer Detection 1.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recognised<'a> {
    /// Which one it is.
    pub known: &'static KnownVendorId,
    /// The octets after the fixed ones.
    pub tail: &'a [u8],
}

/// Returns what a vendor id is, if it is known; the longest match counts.
pub fn recognise(vendor_id: &[u8]) -> Option<Recognised<'_>> {
    let longest = KNOWN
        .iter()
        .filter_map(|known| Some(Recognised { known, tail: known.tail_of(vendor_id)? }))
        .min_by_key(|recognised| recognised.tail.len());
    longest.or_else(|| openswan(vendor_id))
}

impl KnownVendorId {
    /// Returns what follows the fixed octets in `vendor_id`, if it is this one.
    fn tail_of<'a>(&self, vendor_id: &'a [u8]) -> Option<&'a [u8]> {
        let digits = self.hex.as_bytes().chunks_exact(2);
        let (fixed, tail) = vendor_id.split_at_checked(digits.len())?;
        let same = digits.zip(fixed).all(|(digits, octet)| digits == hex_of(*octet));
        (same && (tail.is_empty() || self.tail != Tail::None)).then_some(tail)
    }
}

/// Openswan and libreswan: `OE` and ten printable octets, a hash of the build.
fn openswan(vendor_id: &[u8]) -> Option<Recognised<'_>> {
    static OPENSWAN: KnownVendorId = KnownVendorId {
        hex: "4f45",
        name: "Openswan or libreswan",
        meaning: Meaning::Product(Product::Openswan),
        tail: Tail::Version,
    };
    let tail = OPENSWAN.tail_of(vendor_id)?;
    (tail.len() == 10 && tail.iter().all(u8::is_ascii_graphic)).then_some(Recognised { known: &OPENSWAN, tail })
}

fn hex_of(octet: u8) -> [u8; 2] {
    let digit = |value: u8| match value {
        0..=9 => b'0'.wrapping_add(value),
        _ => b'a'.wrapping_add(value).wrapping_sub(10),
    };
    [digit(octet >> 4), digit(octet & 0x0f)]
}

/// Returns the release of Windows that a version word names.
fn windows(version: u32) -> Option<&'static str> {
    Some(match version {
        2 => "2000",
        3 => "XP SP1",
        4 => "2003 or XP SP2",
        5 => "Vista",
        6 => "2008",
        7 => "7",
        8 => "2008 R2",
        9 => "8",
        16 => "2012",
        _ => return None,
    })
}

impl fmt::Display for Recognised<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.known.name)?;
        let word = self.tail.first_chunk().map(|word| u32::from_be_bytes(*word));
        match (self.known.tail, self.tail, word) {
            (_, [], _) => Ok(()),
            (Tail::MajorMinor, [major, minor], _) => write!(f, " {major}.{minor}"),
            (Tail::WindowsVersion, [_, _, _, _], Some(word)) => match windows(word) {
                Some(name) => write!(f, " {name}"),
                None => write!(f, " version {word}"),
            },
            (_, tail, _) => {
                f.write_str(" ")?;
                tail.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    fn text(hex: &str) -> Option<alloc::string::String> {
        let octets = hex::decode(hex).unwrap();
        recognise(&octets).map(|recognised| recognised.to_string())
    }

    #[test]
    fn versions_are_told_where_the_octets_tell_them() {
        let cases = [
            ("afcad71368a1f1c96b8696fc77570100", "Dead Peer Detection 1.0"),
            ("afcad71368a1f1c96b8696fc77570203", "Dead Peer Detection 2.3"),
            ("12f5f28c457168a9702d9fe274cc0100", "Cisco Unity 1.0"),
            ("1e2b516905991c7d7c96fcbfb587e46100000008", "Windows 2008 R2"),
            ("1e2b516905991c7d7c96fcbfb587e461000000ff", "Windows version 255"),
            ("4048b7d56ebce88525e7de7f00d6c2d3", "IKE fragmentation"),
            ("4048b7d56ebce88525e7de7f00d6c2d3c0000000", "IKE fragmentation c0000000"),
            ("4865617274426561745f4e6f74696679386b0100", "HeartBeat_Notify 386b0100"),
            ("4f456b5262475852766d5045", "Openswan or libreswan 6b5262475852766d5045"),
        ];
        for (hex, expected) in cases {
            assert_eq!(text(hex).as_deref(), Some(expected));
        }
    }

    #[test]
    fn ids_cut_short_or_drawn_out_are_not_taken_for_known_ones() {
        for known in KNOWN {
            let whole = hex::decode(known.hex).unwrap();
            assert_eq!(recognise(&whole).map(|found| found.known.name), Some(known.name), "{}", known.hex);
            for length in 0..whole.len() {
                let part = recognise(&whole[..length]);
                assert!(part.is_none_or(|found| found.known != known), "{} cut to {length}", known.name);
            }
            let mut longer = whole.clone();
            longer.push(0);
            let found = recognise(&longer).is_some_and(|found| found.known == known);
            assert_eq!(found, known.tail != Tail::None, "{}", known.name);
        }
        assert_eq!(recognise(&[]), None);
        assert_eq!(recognise(&alloc::vec![0x4f; 60_000]), None);
    }

    #[test]
    fn what_we_send_means_what_we_think() {
        let cases: [(&[u8], Meaning); 8] = [
            (&ours::XAUTH, Meaning::Xauth),
            (&ours::DEAD_PEER_DETECTION, Meaning::DeadPeerDetection),
            (&ours::UNITY, Meaning::Unity),
            (&ours::FRAGMENTATION, Meaning::Fragmentation),
            (&ours::RFC_3947, Meaning::NatTraversal(NatTraversal::Rfc3947)),
            (&ours::NAT_TRAVERSAL_03, Meaning::NatTraversal(NatTraversal::Draft03)),
            (&ours::NAT_TRAVERSAL_02_NEWLINE, Meaning::NatTraversal(NatTraversal::Draft02Newline)),
            (&ours::NAT_TRAVERSAL_02, Meaning::NatTraversal(NatTraversal::Draft02)),
        ];
        for (octets, meaning) in cases {
            assert_eq!(recognise(octets).map(|found| found.known.meaning), Some(meaning));
        }
    }

    #[test]
    fn every_id_of_the_independent_table_is_recognised() {
        let table: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/vectors/vendor_ids.json")).unwrap();
        let all: Vec<_> =
            ["md5_of_string", "constants"].iter().flat_map(|key| table[key].as_array().unwrap()).collect();
        assert_eq!(all.len(), 111);
        for entry in all {
            let (hex, string) = (entry["hex"].as_str().unwrap(), entry["string"].as_str());
            // One constant is the thirteen octets that concentrators of all versions begin with;
            // the strings give fourteen.
            let hex = if hex == "1f07f70eaa6514d3b0fa96542a" { format!("{hex}50") } else { hex.into() };
            let octets = hex::decode(&hex).unwrap();
            let found = recognise(&octets).unwrap_or_else(|| panic!("{hex} {string:?}"));
            assert!(hex.starts_with(found.known.hex));
        }
        for (version, name) in table["windows_versions"].as_object().unwrap() {
            let told = windows(u32::from_str_radix(version, 16).unwrap()).unwrap();
            assert_eq!(format!("Windows {told}"), name.as_str().unwrap());
        }
    }
}
