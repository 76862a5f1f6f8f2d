//! The addresses before any NAT: NAT-OA, RFC 3947 §5.2.

use super::Ends;
use crate::action::OriginalAddresses;
use crate::error::{DropReason, Failure};
use crate::ids::Role;
use crate::refused::Refused;
use alloc::vec::Vec;
use core::net::IpAddr;
use ipsec_wire::isakmp::payload::{NatNumbering, NatOriginalAddress};
use ipsec_wire::isakmp::{ChainBuilder, Payloads};
use nat_t::{Version, original};

/// Adds the NAT-OA payloads of a quick mode that asks for UDP-Encapsulated-Transport, or that chose it.
pub(super) fn contribute(ends: &Ends, role: Role, chain: &mut ChainBuilder) {
    let Some(version) = ends.nat else { return };
    let numbering = numbering_of(version);
    for address in original::to_send(version, role_of(role), ends.local, ends.remote) {
        chain.push(&NatOriginalAddress { numbering, address });
    }
}

/// Reads the NAT-OA payloads of the peer: the addresses that it puts into its packets, if it says.
pub(super) fn absorb(ends: &Ends, role: Role, payloads: &Payloads<'_>) -> Result<Option<OriginalAddresses>, Refused> {
    let Some(version) = ends.nat else { return Ok(None) };
    let numbering = numbering_of(version);
    let mut received: Vec<IpAddr> = Vec::new();
    for payload in payloads.iter().filter(|payload| payload.payload_type() == numbering.nat_oa()) {
        let read = NatOriginalAddress::parse(numbering, payload).map_err(|_| Refused::from(DropReason::Malformed))?;
        received.push(read.address);
    }
    let peer = match role {
        Role::Initiator => original::Role::Responder,
        Role::Responder => original::Role::Initiator,
    };
    let own = Some(ends.local).filter(|_| !ends.behind);
    let said = original::from_peer(peer, &received, own, ends.remote)
        .map_err(|_| Refused::because(Failure::OriginalAddress))?;
    Ok(said.map(|original| {
        let (source, destination) = original.of_packets_from(peer);
        OriginalAddresses { source, destination }
    }))
}

const fn role_of(role: Role) -> original::Role {
    match role {
        Role::Initiator => original::Role::Initiator,
        Role::Responder => original::Role::Responder,
    }
}

fn numbering_of(version: Version) -> NatNumbering {
    let all = [NatNumbering::Rfc3947, NatNumbering::Drafts00To03, NatNumbering::Drafts04To08];
    let same = |numbering: &NatNumbering| numbering.nat_oa().0 == version.nat_oa_payload();
    all.into_iter().find(same).unwrap_or_default()
}
