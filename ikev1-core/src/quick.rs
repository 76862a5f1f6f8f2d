//! Quick mode: a pair of IPsec SAs under an ISAKMP SA, RFC 2409 §5.5.
//!
//! ```text
//! Initiator                                        Responder
//! HDR*, HASH(1), SA, Ni, [KE], [IDci, IDcr]  -->
//!                                            <--   HDR*, HASH(2), SA, Nr, [KE], [IDci, IDcr]
//! HDR*, HASH(3)                              -->
//! ```

pub(crate) mod initiator;
pub(crate) mod responder;
mod responder_lifetime;

use crate::crypto::DhShared;
use crate::error::{DropReason, Failure};
use crate::keys::{IsakmpKeys, Keymat, KeymatInput};
use crate::negotiate::Suite;
use crate::plan::PolicyPlan;
use crate::proposal::{IpsecTransform, Lifetime, UdpEncapsulation};
use crate::refused::Refused;
use crate::selector::TrafficSelector;
use alloc::vec::Vec;
use ipsec_wire::isakmp::Payloads;
use ipsec_wire::isakmp::payload::Identification;
use ipsec_wire::registry::{IdType, PayloadType};

/// Returns the suites of a policy, numbered from 1 for messages.
fn suites(policy: &PolicyPlan) -> Vec<Suite> {
    (1u32..).zip(policy.offer()).map(|(number, part)| Suite { number, parts: alloc::vec![part] }).collect()
}

/// One direction of a pair, with its key material.
#[derive(Debug)]
pub(crate) struct Half {
    pub(crate) spi: u32,
    pub(crate) keymat: Keymat,
}

/// What quick mode agreed on, apart from the keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Agreement {
    pub(crate) transform: IpsecTransform,
    /// The number of the proposal.
    pub(crate) number: u8,
    /// How it is encapsulated in UDP, if it is.
    pub(crate) udp: Option<UdpEncapsulation>,
    /// The life both ends know of: the shortest that either said.
    pub(crate) lifetime: Lifetime,
    /// The traffic on this side.
    pub(crate) local: TrafficSelector,
    /// The traffic on the peer's side.
    pub(crate) remote: TrafficSelector,
}

/// Computes the key material of both directions: first ours to receive, then the peer's.
fn halves(
    keys: &IsakmpKeys,
    transform: &IpsecTransform,
    pfs: Option<&DhShared>,
    (inbound, outbound): (u32, u32),
    ni_b: &[u8],
    nr_b: &[u8],
) -> (Half, Half) {
    let protection = &transform.protection;
    let (encryption, integrity) = protection.keymat_lens();
    let half = |spi: u32| {
        let octets = spi.to_be_bytes();
        let input = KeymatInput { pfs, protocol: protection.protocol().0, spi: &octets, ni_b, nr_b };
        Half { spi, keymat: keys.keymat(&input, encryption.saturating_add(integrity)) }
    };
    (half(inbound), half(outbound))
}

/// Returns the identification payload of one side's traffic.
fn identification(selector: &TrafficSelector) -> Identification<Vec<u8>> {
    Identification {
        id_type: IdType(selector.type_number()),
        protocol: selector.protocol(),
        port: selector.port(),
        data: selector.data(),
    }
}

/// Reads IDci and IDcr; `None` when there are none, which means the two ends themselves.
fn client_ids(payloads: &Payloads<'_>) -> Result<Option<(TrafficSelector, TrafficSelector)>, Refused> {
    let mut ids = payloads.iter().filter(|payload| payload.payload_type() == PayloadType::IDENTIFICATION);
    let (Some(initiator), responder) = (ids.next(), ids.next()) else { return Ok(None) };
    let Some(responder) = responder else { return Err(DropReason::PayloadSet.into()) };
    let read = |payload| {
        let id = Identification::parse(payload).map_err(|_| Refused::from(DropReason::Malformed))?;
        TrafficSelector::read(id.id_type.0, id.protocol, id.port, id.data)
            .map_err(|_| Refused::because(Failure::NoPolicy))
    };
    Ok(Some((read(initiator)?, read(responder)?)))
}
