//! The vendor ids that announce NAT traversal, and what each stands for.
//!
//! Both ends send theirs in messages 1 and 2 (RFC 3947 §3.1). Drafts differ in payload numbers, in
//! encapsulation modes, and the first two in everything about ports; the version that both ends know
//! decides all of it for the life of the ISAKMP SA.

use core::fmt;

/// A version of NAT traversal, best first: RFC 3947, then the drafts from the newest that was widely built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// RFC 3947.
    Rfc3947,
    /// draft-ietf-ipsec-nat-t-ike-03.
    Draft03,
    /// draft-ietf-ipsec-nat-t-ike-02, its name hashed with a newline behind it: the id in its text.
    Draft02Newline,
    /// draft-ietf-ipsec-nat-t-ike-02.
    Draft02,
    /// draft-ietf-ipsec-nat-t-ike-08.
    Draft08,
    /// draft-ietf-ipsec-nat-t-ike-07.
    Draft07,
    /// draft-ietf-ipsec-nat-t-ike-06.
    Draft06,
    /// draft-ietf-ipsec-nat-t-ike-05.
    Draft05,
    /// draft-ietf-ipsec-nat-t-ike-04.
    Draft04,
    /// draft-ietf-ipsec-nat-t-ike-01.
    Draft01,
    /// draft-ietf-ipsec-nat-t-ike-00.
    Draft00,
}

impl Version {
    /// All versions, best first.
    pub const ALL: [Self; 11] = [
        Self::Rfc3947,
        Self::Draft03,
        Self::Draft02Newline,
        Self::Draft02,
        Self::Draft08,
        Self::Draft07,
        Self::Draft06,
        Self::Draft05,
        Self::Draft04,
        Self::Draft01,
        Self::Draft00,
    ];

    /// Returns the version that a vendor id payload announces, if it is one of NAT traversal.
    pub fn recognise(vendor_id: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.vendor_id() == vendor_id)
    }

    /// Returns the vendor id: the MD5 hash of the document's name, but for draft 00, which made its own up.
    pub const fn vendor_id(self) -> &'static [u8; 16] {
        match self {
            Self::Rfc3947 => b"\x4a\x13\x1c\x81\x07\x03\x58\x45\x5c\x57\x28\xf2\x0e\x95\x45\x2f",
            Self::Draft08 => b"\x8f\x8d\x83\x82\x6d\x24\x6b\x6f\xc7\xa8\xa6\xa4\x28\xc1\x1d\xe8",
            Self::Draft07 => b"\x43\x9b\x59\xf8\xba\x67\x6c\x4c\x77\x37\xae\x22\xea\xb8\xf5\x82",
            Self::Draft06 => b"\x4d\x1e\x0e\x13\x6d\xea\xfa\x34\xc4\xf3\xea\x9f\x02\xec\x72\x85",
            Self::Draft05 => b"\x80\xd0\xbb\x3d\xef\x54\x56\x5e\xe8\x46\x45\xd4\xc8\x5c\xe3\xee",
            Self::Draft04 => b"\x99\x09\xb6\x4e\xed\x93\x7c\x65\x73\xde\x52\xac\xe9\x52\xfa\x6b",
            Self::Draft03 => b"\x7d\x94\x19\xa6\x53\x10\xca\x6f\x2c\x17\x9d\x92\x15\x52\x9d\x56",
            Self::Draft02Newline => b"\x90\xcb\x80\x91\x3e\xbb\x69\x6e\x08\x63\x81\xb5\xec\x42\x7b\x1f",
            Self::Draft02 => b"\xcd\x60\x46\x43\x35\xdf\x21\xf8\x7c\xfd\xb2\xfc\x68\xb6\xa4\x48",
            Self::Draft01 => b"\x16\xf6\xca\x16\xe4\xa4\x06\x6d\x83\x82\x1a\x0f\x0a\xea\xa8\x62",
            Self::Draft00 => b"\x44\x85\x15\x2d\x18\xb6\xbb\xcd\x0b\xe8\xa8\x46\x95\x79\xdd\xcc",
        }
    }

    /// Returns the payload number of NAT-D: 20 in the RFC, 15 in drafts 04 to 08, 130 before.
    pub const fn nat_d_payload(self) -> u8 {
        match self.era() {
            Era::Rfc => 20,
            Era::Late => 15,
            Era::Middle | Era::First => 130,
        }
    }

    /// Returns the payload number of NAT-OA: 21 in the RFC, 16 in drafts 04 to 08, 131 before.
    pub const fn nat_oa_payload(self) -> u8 {
        match self.era() {
            Era::Rfc => 21,
            Era::Late => 16,
            Era::Middle | Era::First => 131,
        }
    }

    /// Returns the value of the encapsulation mode attribute for a tunnel in UDP (RFC 3947 §5.1).
    pub const fn udp_tunnel_mode(self) -> u16 {
        match self.era() {
            Era::Rfc | Era::Late => 3,
            Era::Middle | Era::First => 61_443,
        }
    }

    /// Returns the value of the encapsulation mode attribute for transport in UDP (RFC 3947 §5.1).
    pub const fn udp_transport_mode(self) -> u16 {
        match self.era() {
            Era::Rfc | Era::Late => 4,
            Era::Middle | Era::First => 61_444,
        }
    }

    /// Returns whether a negotiation that meets a NAT moves to port 4500; drafts 00 and 01 stay on 500.
    pub const fn floats(self) -> bool {
        !matches!(self.era(), Era::First)
    }

    /// Returns how many NAT-OA payloads each end sends: its own address, or the initiator's and the responder's.
    pub const fn nat_oa_count(self) -> usize {
        match self {
            Self::Rfc3947 | Self::Draft08 | Self::Draft07 | Self::Draft06 | Self::Draft05 => 2,
            Self::Draft04 | Self::Draft03 | Self::Draft02Newline | Self::Draft02 | Self::Draft01 | Self::Draft00 => 1,
        }
    }

    const fn era(self) -> Era {
        match self {
            Self::Rfc3947 => Era::Rfc,
            Self::Draft08 | Self::Draft07 | Self::Draft06 | Self::Draft05 | Self::Draft04 => Era::Late,
            Self::Draft03 | Self::Draft02Newline | Self::Draft02 => Era::Middle,
            Self::Draft01 | Self::Draft00 => Era::First,
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// The name of the document: `RFC 3947`, `draft-02`; its second id is `draft-02\n`, as people write it.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rfc3947 => "RFC 3947",
            Self::Draft08 => "draft-08",
            Self::Draft07 => "draft-07",
            Self::Draft06 => "draft-06",
            Self::Draft05 => "draft-05",
            Self::Draft04 => "draft-04",
            Self::Draft03 => "draft-03",
            Self::Draft02Newline => r"draft-02\n",
            Self::Draft02 => "draft-02",
            Self::Draft01 => "draft-01",
            Self::Draft00 => "draft-00",
        })
    }
}

/// Versions that share their numbers.
enum Era {
    Rfc,
    /// Drafts 04 to 08: numbers that looked free and were not.
    Late,
    /// Drafts 02 and 03: private numbers, port 4500.
    Middle,
    /// Drafts 00 and 01: private numbers, port 500.
    First,
}

/// Which versions this end offers as initiator, and which it answers as responder.
///
/// ```
/// use nat_t::{Support, Version};
/// let support = Support::STANDARD;
/// assert_eq!(support.offers().next(), Some(Version::Rfc3947));
/// let seen = [Version::Draft02, Version::Draft03];
/// assert_eq!(support.choose_as_responder(seen), Some(Version::Draft03));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Support {
    offered: u16,
    answered: u16,
}

impl Support {
    /// NAT traversal is off.
    pub const NONE: Self = Self { offered: 0, answered: 0 };

    /// Offers RFC 3947 and drafts 03 and 02 (both ids); answers drafts 04 to 08 as well.
    ///
    /// Drafts 04 to 08 are not offered because their payload numbers were later given to others; drafts 00
    /// and 01 neither offered nor answered, because they put ESP on the port of IKE: see [`EVERY`](Self::EVERY).
    pub const STANDARD: Self = {
        let offered =
            Version::Rfc3947.bit() | Version::Draft03.bit() | Version::Draft02Newline.bit() | Version::Draft02.bit();
        let late = Version::Draft08.bit()
            | Version::Draft07.bit()
            | Version::Draft06.bit()
            | Version::Draft05.bit()
            | Version::Draft04.bit();
        Self { offered, answered: offered | late }
    };

    /// Offers and answers what [`STANDARD`](Self::STANDARD) does, and last of all drafts 01 and 00.
    ///
    /// What comes to the port of IKE must then be sorted by [`demux::port_500`](crate::demux::port_500).
    pub const EVERY: Self = Self::STANDARD.with(Version::Draft01).with(Version::Draft00);

    /// Returns the same with `version` offered and answered.
    #[must_use]
    pub const fn with(self, version: Version) -> Self {
        Self { offered: self.offered | version.bit(), answered: self.answered | version.bit() }
    }

    /// Returns the same with `version` neither offered nor answered.
    #[must_use]
    pub const fn without(self, version: Version) -> Self {
        Self { offered: self.offered & !version.bit(), answered: self.answered & !version.bit() }
    }

    /// Returns whether any version is answered.
    pub const fn is_on(self) -> bool {
        self.answered != 0
    }

    /// Returns whether a version is answered.
    pub const fn answers(self, version: Version) -> bool {
        self.answered & version.bit() != 0
    }

    /// Returns whether ESP may come to the port of IKE, behind a marker: whether draft 00 or 01 is answered.
    pub const fn shares_the_ike_port(self) -> bool {
        self.answers(Version::Draft01) || self.answers(Version::Draft00)
    }

    /// Returns the versions whose vendor ids go into message 1, best first.
    pub fn offers(self) -> impl Iterator<Item = Version> {
        Version::ALL.into_iter().filter(move |version| self.offered & version.bit() != 0)
    }

    /// Returns the version for an initiator that saw `answered` in message 2: the best of those it offered.
    ///
    /// An answer that was not offered is no answer.
    pub fn choose_as_initiator(self, answered: impl IntoIterator<Item = Version>) -> Option<Version> {
        best(self.offered, answered)
    }

    /// Returns the version for a responder that saw `offered` in message 1: the best it answers, and the one
    /// whose vendor id it returns.
    pub fn choose_as_responder(self, offered: impl IntoIterator<Item = Version>) -> Option<Version> {
        best(self.answered, offered)
    }
}

impl Default for Support {
    fn default() -> Self {
        Self::STANDARD
    }
}

fn best(known: u16, seen: impl IntoIterator<Item = Version>) -> Option<Version> {
    seen.into_iter().filter(|version| known & version.bit() != 0).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use md5::{Digest, Md5};

    #[test]
    fn vendor_ids_are_the_hashes_of_the_names() {
        for (version, name) in [
            (Version::Rfc3947, "RFC 3947"),
            (Version::Draft02Newline, "draft-ietf-ipsec-nat-t-ike-02\n"),
            (Version::Draft01, "draft-ietf-ipsec-nat-t-ike-01"),
            (Version::Draft02, "draft-ietf-ipsec-nat-t-ike-02"),
            (Version::Draft03, "draft-ietf-ipsec-nat-t-ike-03"),
            (Version::Draft04, "draft-ietf-ipsec-nat-t-ike-04"),
            (Version::Draft05, "draft-ietf-ipsec-nat-t-ike-05"),
            (Version::Draft06, "draft-ietf-ipsec-nat-t-ike-06"),
            (Version::Draft07, "draft-ietf-ipsec-nat-t-ike-07"),
            (Version::Draft08, "draft-ietf-ipsec-nat-t-ike-08"),
        ] {
            assert_eq!(Md5::digest(name)[..], version.vendor_id()[..], "{version:?}");
        }
        // The name of draft 00 does not hash to its id; the value stands in its text.
        assert_eq!(
            Version::recognise(&hex::decode("4485152d18b6bbcd0be8a8469579ddcc").unwrap()),
            Some(Version::Draft00)
        );
    }

    #[test]
    fn every_version_is_recognised_by_its_whole_id_only() {
        for version in Version::ALL {
            assert_eq!(Version::recognise(version.vendor_id()), Some(version));
            assert_eq!(Version::recognise(&version.vendor_id()[..15]), None);
        }
        assert_eq!(Version::recognise(b"0123456789abcdef"), None);
        assert_eq!(Version::recognise(b""), None);
    }

    #[test]
    fn the_best_common_version_is_chosen_in_a_fixed_order() {
        use Version::*;
        let order = [Rfc3947, Draft03, Draft02Newline, Draft02, Draft08, Draft07, Draft06, Draft05, Draft04];
        for (n, best) in order.iter().enumerate() {
            let seen = order[n..].iter().rev().copied();
            assert_eq!(Support::STANDARD.choose_as_responder(seen), Some(*best));
        }
    }

    #[test]
    fn an_initiator_takes_only_what_it_offered_and_a_responder_only_what_it_answers() {
        assert_eq!(Support::STANDARD.choose_as_initiator([Version::Draft07]), None);
        assert_eq!(Support::STANDARD.choose_as_responder([Version::Draft07]), Some(Version::Draft07));
        assert_eq!(Support::STANDARD.choose_as_responder([Version::Draft00, Version::Draft01]), None);
        let old = Support::STANDARD.with(Version::Draft00);
        assert_eq!(old.choose_as_responder([Version::Draft00, Version::Draft02]), Some(Version::Draft02));
        assert_eq!(old.choose_as_initiator([Version::Draft00]), Some(Version::Draft00));
        assert_eq!(Support::NONE.choose_as_responder(Version::ALL), None);
        assert_eq!(Support::STANDARD.without(Version::Rfc3947).offers().next(), Some(Version::Draft03));
    }

    #[test]
    fn drafts_00_and_01_are_for_those_who_ask_for_them_and_come_last() {
        for support in [Support::STANDARD, Support::NONE] {
            assert!(!support.shares_the_ike_port() && support.offers().all(Version::floats));
        }
        let every: alloc::vec::Vec<_> = Support::EVERY.offers().collect();
        assert_eq!(every[..4], Support::STANDARD.offers().collect::<alloc::vec::Vec<_>>()[..]);
        assert_eq!(every[4..], [Version::Draft01, Version::Draft00]);
        assert!(Version::ALL.into_iter().all(|version| Support::EVERY.answers(version)));
        for version in [Version::Draft00, Version::Draft01] {
            assert!(Support::NONE.with(version).shares_the_ike_port());
            assert!(Support::EVERY.without(version).shares_the_ike_port());
        }
        assert!(!Support::EVERY.without(Version::Draft00).without(Version::Draft01).shares_the_ike_port());
    }

    #[test]
    fn every_version_has_a_name_of_its_own() {
        let names: alloc::collections::BTreeSet<_> = Version::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), Version::ALL.len());
        assert!(names.contains("RFC 3947") && names.contains(r"draft-02\n"));
    }

    #[test]
    fn numbers_follow_the_version() {
        for (version, nat_d, nat_oa, tunnel, transport, floats, count) in [
            (Version::Draft00, 130, 131, 61_443, 61_444, false, 1),
            (Version::Draft02, 130, 131, 61_443, 61_444, true, 1),
            (Version::Draft03, 130, 131, 61_443, 61_444, true, 1),
            (Version::Draft04, 15, 16, 3, 4, true, 1),
            (Version::Draft08, 15, 16, 3, 4, true, 2),
            (Version::Rfc3947, 20, 21, 3, 4, true, 2),
        ] {
            assert_eq!(version.nat_d_payload(), nat_d, "{version:?}");
            assert_eq!(version.nat_oa_payload(), nat_oa, "{version:?}");
            assert_eq!(version.udp_tunnel_mode(), tunnel, "{version:?}");
            assert_eq!(version.udp_transport_mode(), transport, "{version:?}");
            assert_eq!(version.floats(), floats, "{version:?}");
            assert_eq!(version.nat_oa_count(), count, "{version:?}");
        }
    }
}
