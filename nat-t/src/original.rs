//! The addresses before any NAT, which the ends tell each other in NAT-OA (RFC 3947 §5.2).

use crate::{Location, Version};
use core::net::IpAddr;

/// The addresses that one end put into the header of a packet, before NATs changed them.
///
/// Transport mode needs them, because TCP and UDP checksums cover them; tunnel mode does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Original {
    /// The initiator's address.
    pub initiator: IpAddr,
    /// The responder's address.
    pub responder: IpAddr,
}

/// Why the NAT-OA payloads of a quick mode cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginalError {
    /// There are more than two.
    #[error("{0} NAT-OA payloads")]
    TooMany(usize),
    /// An address is not of the family of the packets it stands for.
    #[error("a NAT-OA address of another family than the packets")]
    Family,
}

/// Which end of a quick mode one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one who sends message 1.
    Initiator,
    /// The one who sends message 2.
    Responder,
}

/// Returns the addresses to send, in the order of the payloads: `NAT-OAi`, `NAT-OAr`, or the own one alone.
///
/// They are sent when UDP-Encapsulated-Transport is proposed or was chosen.
pub fn to_send(version: Version, role: Role, own: IpAddr, peer: IpAddr) -> impl Iterator<Item = IpAddr> {
    let (initiator, responder) = match role {
        Role::Initiator => (own, peer),
        Role::Responder => (peer, own),
    };
    let (first, second) = if version.nat_oa_count() == 2 { (initiator, Some(responder)) } else { (own, None) };
    core::iter::once(first).chain(second)
}

/// Returns what the payloads of the peer say it put into its headers.
///
/// One payload (drafts 00 to 04) is the sender's own address, two are the initiator's and the responder's.
/// Without any, and old peers send none, the answer is `None`: checksums are then computed anew. So it is where one
/// payload leaves open under which address a NAT shows this end to the peer. `own` is the address under which the
/// peer sees this end, `None` if a NAT hides that; `peer` is the one under which this end sees the peer.
///
/// # Errors
/// More than two payloads, or an address of another family.
pub fn from_peer(
    peer_role: Role,
    received: &[IpAddr],
    own: Option<IpAddr>,
    peer: IpAddr,
) -> Result<Option<Original>, OriginalError> {
    let (initiator, responder) = match (received, peer_role) {
        ([], _) => return Ok(None),
        ([address], role) => match (own, role) {
            (None, _) if address.is_ipv4() != peer.is_ipv4() => return Err(OriginalError::Family),
            (None, _) => return Ok(None),
            (Some(own), Role::Initiator) => (*address, own),
            (Some(own), Role::Responder) => (own, *address),
        },
        ([initiator, responder], _) => (*initiator, *responder),
        _ => return Err(OriginalError::TooMany(received.len())),
    };
    if initiator.is_ipv4() != peer.is_ipv4() || responder.is_ipv4() != peer.is_ipv4() {
        return Err(OriginalError::Family);
    }
    Ok(Some(Original { initiator, responder }))
}

impl Original {
    /// Returns source and destination of the packets that the end in `sender` sends.
    pub const fn of_packets_from(&self, sender: Role) -> (IpAddr, IpAddr) {
        match sender {
            Role::Initiator => (self.initiator, self.responder),
            Role::Responder => (self.responder, self.initiator),
        }
    }
}

/// The encapsulation that quick mode may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulation {
    /// Directly over IP.
    Plain,
    /// In UDP.
    Udp,
}

/// Returns the only encapsulation to offer (RFC 3947 §5.1): in UDP where a NAT is, plain where none is.
pub const fn encapsulation(location: Location) -> Encapsulation {
    if location.is_nat() { Encapsulation::Udp } else { Encapsulation::Plain }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const INITIATOR: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(10, 1, 0, 10));
    const NAT: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 254));
    const RESPONDER: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn the_first_example_of_the_rfc_comes_out() {
        let sent: Vec<_> = to_send(Version::Rfc3947, Role::Initiator, INITIATOR, RESPONDER).collect();
        assert_eq!(sent, [INITIATOR, RESPONDER]);
        let sent: Vec<_> = to_send(Version::Rfc3947, Role::Responder, RESPONDER, NAT).collect();
        assert_eq!(sent, [NAT, RESPONDER]);
        let at_responder = from_peer(Role::Initiator, &[INITIATOR, RESPONDER], Some(RESPONDER), NAT).unwrap().unwrap();
        assert_eq!(at_responder.of_packets_from(Role::Initiator), (INITIATOR, RESPONDER));
        let at_initiator = from_peer(Role::Responder, &[NAT, RESPONDER], None, RESPONDER).unwrap().unwrap();
        assert_eq!(at_initiator.of_packets_from(Role::Responder), (RESPONDER, NAT));
    }

    #[test]
    fn old_drafts_send_their_own_address_alone() {
        let sent: Vec<_> = to_send(Version::Draft02, Role::Initiator, INITIATOR, RESPONDER).collect();
        assert_eq!(sent, [INITIATOR]);
        let sent: Vec<_> = to_send(Version::Draft02, Role::Responder, RESPONDER, NAT).collect();
        assert_eq!(sent, [RESPONDER]);
        let at_responder = from_peer(Role::Initiator, &[INITIATOR], Some(RESPONDER), NAT).unwrap();
        assert_eq!(at_responder, Some(Original { initiator: INITIATOR, responder: RESPONDER }));
        // The initiator does not know under which address the responder sees it.
        assert_eq!(from_peer(Role::Responder, &[RESPONDER], None, RESPONDER), Ok(None));
    }

    #[test]
    fn none_is_lawful_and_three_or_another_family_are_not() {
        assert_eq!(from_peer(Role::Initiator, &[], Some(RESPONDER), NAT), Ok(None));
        assert_eq!(from_peer(Role::Initiator, &[NAT; 3], Some(RESPONDER), NAT), Err(OriginalError::TooMany(3)));
        let six: IpAddr = "2001:db8::1".parse().unwrap();
        for own in [Some(RESPONDER), None] {
            assert_eq!(from_peer(Role::Initiator, &[six], own, NAT), Err(OriginalError::Family));
            assert_eq!(from_peer(Role::Initiator, &[INITIATOR, six], own, NAT), Err(OriginalError::Family));
        }
    }

    #[test]
    fn only_the_encapsulation_that_fits_is_offered() {
        assert_eq!(encapsulation(Location::None), Encapsulation::Plain);
        assert_eq!(encapsulation(Location::Unknown), Encapsulation::Plain);
        assert_eq!(encapsulation(Location::Local), Encapsulation::Udp);
    }
}
