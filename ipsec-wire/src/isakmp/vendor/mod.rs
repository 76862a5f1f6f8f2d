//! Known vendor ids: what they mean and which version they tell.
//!
//! A vendor id is 1 or more octets that mean something to those who know them (RFC 2408 §3.16).
//! Most are the MD5 of a name, some have version octets behind. Nothing is taken from an id but by
//! comparing whole octets, so ids of any length are safe to look up.
//!
//! [`recognise`] needs the id alone. [`recognise_sent`] also knows the ids that routers of Cisco
//! scramble with their cookie.

mod scrambled;
mod table;
mod version;

pub use scrambled::recognise_sent;
pub use table::KNOWN;

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
    Aruba,
    CheckPoint,
    Cisco,
    CiscoClient,
    CiscoConcentrator,
    FortiGate,
    Juniper,
    Lucent,
    Ncp,
    Netgear,
    Nortel,
    OpenIked,
    Openswan,
    Racoon,
    SafeNet,
    ShrewSoft,
    Sidewinder,
    SonicWall,
    Ssh,
    StoneGate,
    StrongSwan,
    Symantec,
    Timestep,
    Windows,
    Zastava,
    ZyXel,
}

/// What may follow the fixed octets of a vendor id.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tail {
    /// Nothing: the id is exactly its fixed octets.
    None,
    /// Octets of a version whose layout nobody told.
    Version,
    /// A major and a minor version, one octet each.
    MajorMinor,
    /// Two octets of four digits each, the first of which is 0: `0306` is 3.0.6.
    Nibbles,
    /// Characters.
    Text,
    /// A word that says which exchanges may be fragmented, or nothing: bit 31 main and aggressive
    /// mode, bit 30 base mode.
    Capability,
    /// A word that names a release of Windows, and with old ones a word that says more.
    WindowsVersion,
    /// A word that names a key module of Windows.
    KeyModule,
    /// A word that names the group of AuthIP's first message.
    AuthIpGroup,
    /// Check Point's five words: product, version, and three more.
    CheckPoint,
    /// NetScreen's two words: the model, and the version with one octet each of major and minor.
    NetScreen,
    /// Eight octets, the length of a text, the text, and zeros.
    SafeNet,
    /// Eight octets of capabilities, scrambled in a way that nobody told.
    Scrambled,
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

/// Openswan and libreswan: `OE` or `OSW`, in all twelve printable octets, most a hash of the build.
fn openswan(vendor_id: &[u8]) -> Option<Recognised<'_>> {
    static OPENSWAN: [KnownVendorId; 2] = [
        KnownVendorId {
            hex: "4f45",
            name: "Openswan or libreswan",
            meaning: Meaning::Product(Product::Openswan),
            tail: Tail::Version,
        },
        KnownVendorId {
            hex: "4f5357",
            name: "Openswan",
            meaning: Meaning::Product(Product::Openswan),
            tail: Tail::Version,
        },
    ];
    let printable = vendor_id.len() == 12 && vendor_id.iter().all(u8::is_ascii_graphic);
    let known = OPENSWAN.iter().filter(|_| printable);
    known.filter_map(|known| Some(Recognised { known, tail: known.tail_of(vendor_id)? })).next()
}

fn hex_of(octet: u8) -> [u8; 2] {
    let digit = |value: u8| match value {
        0..=9 => b'0'.wrapping_add(value),
        _ => b'a'.wrapping_add(value).wrapping_sub(10),
    };
    [digit(octet >> 4), digit(octet & 0x0f)]
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
            (
                "4048b7d56ebce88525e7de7f00d6c2d3c0000000",
                "IKE fragmentation c0000000 (main and aggressive mode, base mode)",
            ),
            ("4048b7d56ebce88525e7de7f00d6c2d380000000", "IKE fragmentation 80000000 (main and aggressive mode)"),
            ("4048b7d56ebce88525e7de7f00d6c2d300000001", "IKE fragmentation 00000001"),
            ("1e2b516905991c7d7c96fcbfb587e46100000009", "Windows 8 or later"),
            ("1e2b516905991c7d7c96fcbfb587e461000000040d000014", "Windows 2003 or XP SP2 0d000014"),
            ("01528bbbc00696121849ab9a1c5b2a5100000001", "Windows key modules AuthIP"),
            ("7bb93867d76c8d80df0f40fae8fc3b1900000003", "AuthIP initial group 14"),
            ("1f07f70eaa6514d3b0fa96542a500306", "Cisco VPN 3000 concentrator 3.0.6"),
            ("1f07f70eaa6514d3b0fa96542a500407", "Cisco VPN 3000 concentrator 4.0.7"),
            ("1f07f70eaa6514d3b0fa96542a500100", "Cisco VPN 3000 concentrator 1.0.0"),
            (
                "f4ed19e0c114eb516faaac0ee37daf2807b4381f000000010000138d000000000000000018000000",
                "Check Point VPN-1 NG AI R55",
            ),
            (
                "f4ed19e0c114eb516faaac0ee37daf2807b4381f0000000200001400000000000000000018000000",
                "Check Point product 2 version 5120",
            ),
            ("166f932d55eb64d8e4df4fd37e2313f0d0fd845100000000000000", "NetScreen-15 00000000000000"),
            (
                "699369228741c6d4ca094c93e242c9de19e7b7c60000000500000500",
                "NetScreen-06 or Juniper SRX model 5 version 5.0",
            ),
            (
                "47bbe7c993f1fc13b4e6d0db565c68e5010201010201010310382e302e3020284275696c6420313029000000",
                "SafeNet SoftRemote 8.0.0 (Build 10)",
            ),
            ("54494d455354455020312053475720313532302033313520322e303145303133", "Timestep 1 SGW 1520 315 2.01E013"),
            ("4f452d4c696272657377616e2d342e3135", "Libreswan 4.15"),
            ("4865617274426561745f4e6f74696679386b0100", "HeartBeat_Notify 386b0100"),
            ("4f456b5262475852766d5045", "Openswan or libreswan 6b5262475852766d5045"),
            ("4f53576b5262475852766d50", "Openswan 6b5262475852766d50"),
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
            let told = text(&format!("1e2b516905991c7d7c96fcbfb587e461{version}")).unwrap();
            assert!(told.starts_with(name.as_str().unwrap()), "{version}: {told}");
        }
    }
}
