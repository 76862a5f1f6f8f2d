//! Whether an end is behind a NAT, and which: the NAT-D hashes (RFC 3947 §3.2).
//!
//! `HASH = HASH(CKY-I | CKY-R | IP | Port)`
//!
//! with the hash that phase 1 negotiated, so the caller brings it as a closure. Nothing protects these
//! payloads: a liar can bring about encapsulation and nothing else.

use crate::Version;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

/// The most NAT-D payloads that are looked at in one message: both kinds of a peer with a dozen addresses.
pub const MAX_NAT_D: usize = 32;

/// The cookies of an ISAKMP SA: `CKY-I | CKY-R`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookies {
    /// The initiator's.
    pub initiator: [u8; 8],
    /// The responder's.
    pub responder: [u8; 8],
}

/// The octets that a NAT-D hash is computed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashInput {
    octets: [u8; Self::MAX],
    length: usize,
}

impl HashInput {
    const MAX: usize = 8 + 8 + 16 + 2;

    /// Returns `CKY-I | CKY-R | IP | Port`.
    pub fn new(cookies: &Cookies, end: SocketAddr) -> Self {
        let port = end.port().to_be_bytes();
        match end.ip() {
            IpAddr::V4(ip) => Self::concat([&cookies.initiator, &cookies.responder, &ip.octets(), &port]),
            IpAddr::V6(ip) => Self::concat([&cookies.initiator, &cookies.responder, &ip.octets(), &port]),
        }
    }

    fn concat(parts: [&[u8]; 4]) -> Self {
        let mut input = Self { octets: [0; Self::MAX], length: 0 };
        for octet in parts.into_iter().flatten() {
            if let Some(slot) = input.octets.get_mut(input.length) {
                *slot = *octet;
                input.length += 1;
            }
        }
        input
    }
}

impl AsRef<[u8]> for HashInput {
    fn as_ref(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }
}

/// Returns the NAT-D hash of one end.
pub fn nat_d<H>(cookies: &Cookies, end: SocketAddr, hash: impl Fn(&[u8]) -> H) -> H {
    hash(HashInput::new(cookies, end).as_ref())
}

/// Returns the ends whose hashes are sent, in their order: where the packet goes to, then all it may come from.
///
/// With `force`, this end gives nobody's address instead of its own, so that the peer finds it behind a NAT
/// and both encapsulate.
pub fn nat_d_ends(remote: SocketAddr, locals: &[SocketAddr], force: bool) -> impl Iterator<Item = SocketAddr> {
    let nobody: IpAddr = match remote {
        SocketAddr::V4(_) => [0u8; 4].into(),
        SocketAddr::V6(_) => [0u8; 16].into(),
    };
    let forced = force.then_some(SocketAddr::new(nobody, 0));
    let honest = if force { &[] } else { locals };
    core::iter::once(remote).chain(forced).chain(honest.iter().copied())
}

/// Returns whether a payload of this number is NAT-D, in a message where NAT-D may stand.
///
/// The numbers of the RFC and of the drafts before 04 are always taken; number 15, which is another payload
/// today, only from a peer with which a draft of 04 to 08 was chosen, and only at the length of a hash.
pub fn is_nat_d(chosen: Option<Version>, payload: u8, body_length: usize, hash_length: usize) -> bool {
    match payload {
        20 | 130 => true,
        15 => chosen.is_some_and(|version| version.nat_d_payload() == 15) && body_length == hash_length,
        _ => false,
    }
}

/// Where NATs are between two ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Location {
    /// The peer does not know NAT traversal, or detection has not happened.
    #[default]
    Unknown,
    /// There is none.
    None,
    /// In front of this end.
    Local,
    /// In front of the peer.
    Remote,
    /// In front of both.
    Both,
}

impl Location {
    /// Returns whether there is a NAT, so that packets must travel in UDP.
    pub const fn is_nat(self) -> bool {
        matches!(self, Self::Local | Self::Remote | Self::Both)
    }

    /// Returns whether this end is behind one, so that it sends keepalives.
    pub const fn is_local_behind(self) -> bool {
        matches!(self, Self::Local | Self::Both)
    }

    /// Returns whether the peer is behind one, so that its address may change.
    pub const fn is_remote_behind(self) -> bool {
        matches!(self, Self::Remote | Self::Both)
    }
}

/// The words of a router's status page.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "UNKNOWN",
            Self::None => "NO",
            Self::Local => "LOCAL",
            Self::Remote => "REMOTE",
            Self::Both => "BOTH",
        })
    }
}

/// Why NAT-D payloads could not be used. The message that held them is still good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DetectError {
    /// A hash has not the length of the negotiated one.
    #[error("NAT-D payload {index} has {found} octets where the hash has {expected}")]
    HashLength {
        /// The number of the payload, from 0.
        index: usize,
        /// The length of the negotiated hash.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// There are more payloads than anybody has addresses.
    #[error("more than {MAX_NAT_D} NAT-D payloads")]
    TooMany,
}

/// What the NAT-D payloads of one message say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detection {
    /// Where NATs are.
    pub location: Location,
    /// How many NAT-D payloads there were.
    pub payloads: usize,
}

/// Compares the NAT-D payloads of a message with the ends it travelled between.
///
/// `remote` is where the message came from, `locals` are the ends of this machine it may have been sent to:
/// in the last message of aggressive mode both ports, since peers hash either (see
/// [`Ports::both`](crate::Ports::both)). The first payload must match one of `locals`, one of the others
/// `remote`. Fewer than two payloads are no detection: the location stays unknown.
///
/// # Errors
/// A payload of another length than the hash, or too many payloads. The location is then unknown.
pub fn detect<'a, H: AsRef<[u8]>>(
    received: impl IntoIterator<Item = &'a [u8]>,
    cookies: &Cookies,
    locals: &[SocketAddr],
    remote: SocketAddr,
    hash: impl Fn(&[u8]) -> H,
) -> Result<Detection, DetectError> {
    let from_peer = nat_d(cookies, remote, &hash);
    let (mut local_matches, mut remote_matches, mut payloads) = (false, false, 0usize);
    for (index, body) in received.into_iter().enumerate() {
        if index >= MAX_NAT_D {
            return Err(DetectError::TooMany);
        }
        let expected = from_peer.as_ref().len();
        if body.len() != expected {
            return Err(DetectError::HashLength { index, expected, found: body.len() });
        }
        payloads = index + 1;
        if index == 0 {
            local_matches = locals.iter().any(|local| nat_d(cookies, *local, &hash).as_ref() == body);
        } else {
            remote_matches |= from_peer.as_ref() == body;
        }
    }
    let location = match (payloads, local_matches, remote_matches) {
        (0 | 1, _, _) => Location::Unknown,
        (_, true, true) => Location::None,
        (_, false, true) => Location::Local,
        (_, true, false) => Location::Remote,
        (_, false, false) => Location::Both,
    };
    Ok(Detection { location, payloads })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use sha1::{Digest, Sha1};

    const COOKIES: Cookies = Cookies { initiator: *b"initiatr", responder: *b"respondr" };

    fn end(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn sha1(input: &[u8]) -> Vec<u8> {
        Sha1::digest(input).to_vec()
    }

    fn hashes(ends: impl IntoIterator<Item = SocketAddr>) -> Vec<Vec<u8>> {
        ends.into_iter().map(|end| nat_d(&COOKIES, end, sha1)).collect()
    }

    fn located(sent: &[Vec<u8>], local: &str, remote: &str) -> Result<Location, DetectError> {
        let bodies = sent.iter().map(Vec::as_slice);
        detect(bodies, &COOKIES, &[end(local)], end(remote), sha1).map(|found| found.location)
    }

    #[test]
    fn the_location_follows_from_which_hash_does_not_match() {
        let sent = hashes(nat_d_ends(end("192.0.2.2:500"), &[end("10.1.0.10:500")], false));
        assert_eq!(located(&sent, "192.0.2.2:500", "10.1.0.10:500"), Ok(Location::None));
        assert_eq!(located(&sent, "192.0.2.2:500", "192.0.2.254:20000"), Ok(Location::Remote));
        assert_eq!(located(&sent, "10.2.0.9:500", "10.1.0.10:500"), Ok(Location::Local));
        assert_eq!(located(&sent, "10.2.0.9:500", "192.0.2.254:20000"), Ok(Location::Both));
    }

    #[test]
    fn a_changed_port_alone_is_a_nat() {
        let sent = hashes([end("192.0.2.2:500"), end("192.0.2.1:500")]);
        assert_eq!(located(&sent, "192.0.2.2:500", "192.0.2.1:501"), Ok(Location::Remote));
        assert_eq!(located(&sent, "192.0.2.2:4500", "192.0.2.1:500"), Ok(Location::Local));
    }

    #[test]
    fn fewer_than_two_payloads_are_no_detection() {
        let sent = hashes([end("192.0.2.2:500"), end("192.0.2.1:500")]);
        assert_eq!(located(&[], "192.0.2.2:500", "192.0.2.1:500"), Ok(Location::Unknown));
        assert_eq!(located(&sent[..1], "192.0.2.2:500", "192.0.2.1:500"), Ok(Location::Unknown));
    }

    #[test]
    fn any_of_several_source_addresses_may_match() {
        let locals = [end("198.51.100.1:500"), end("[2001:db8::1]:500"), end("192.0.2.1:500")];
        let sent = hashes(nat_d_ends(end("192.0.2.2:500"), &locals, false));
        assert_eq!(located(&sent, "192.0.2.2:500", "192.0.2.1:500"), Ok(Location::None));
        assert_eq!(located(&sent, "192.0.2.2:500", "192.0.2.9:500"), Ok(Location::Remote));
    }

    #[test]
    fn thirty_two_payloads_are_read_and_thirty_three_refused() {
        let mut sent = hashes(core::iter::repeat_n(end("192.0.2.2:500"), MAX_NAT_D));
        assert_eq!(located(&sent, "192.0.2.2:500", "192.0.2.1:500"), Ok(Location::Remote));
        sent.push(sent[0].clone());
        assert_eq!(located(&sent, "192.0.2.2:500", "192.0.2.1:500"), Err(DetectError::TooMany));
    }

    #[test]
    fn a_hash_of_another_length_is_refused_by_number() {
        let mut sent = hashes([end("192.0.2.2:500"), end("192.0.2.1:500")]);
        sent[1].pop();
        let error = DetectError::HashLength { index: 1, expected: 20, found: 19 };
        assert_eq!(located(&sent, "192.0.2.2:500", "192.0.2.1:500"), Err(error));
        sent[0].clear();
        let error = DetectError::HashLength { index: 0, expected: 20, found: 0 };
        assert_eq!(located(&sent, "192.0.2.2:500", "192.0.2.1:500"), Err(error));
    }

    #[test]
    fn a_lie_about_the_own_address_forces_encapsulation_and_nothing_else() {
        let forced = hashes(nat_d_ends(end("192.0.2.2:500"), &[end("192.0.2.1:500")], true));
        assert_eq!(forced.len(), 2);
        assert_eq!(located(&forced, "192.0.2.2:500", "192.0.2.1:500"), Ok(Location::Remote));
    }

    #[test]
    fn number_15_is_nat_d_only_for_the_drafts_that_said_so() {
        assert!(is_nat_d(None, 20, 20, 20));
        assert!(is_nat_d(Some(Version::Rfc3947), 130, 20, 20));
        assert!(is_nat_d(Some(Version::Draft07), 15, 20, 20));
        assert!(!is_nat_d(Some(Version::Draft07), 15, 19, 20));
        assert!(!is_nat_d(Some(Version::Rfc3947), 15, 20, 20));
        assert!(!is_nat_d(None, 15, 20, 20));
        assert!(!is_nat_d(Some(Version::Draft07), 16, 20, 20));
    }
}
