//! Messages made by hand, as an attacker makes them.

use super::{Pair, Router};
use drive::{Datagram, Machine, Path, Verdict};
use l2tpv3::config::PeerConfig;
use l2tpv3::digest::SharedSecret;
use l2tpv3::registry::{AttributeType, MessageType};
use l2tpv3::wire::{Attributes, Carrier, EmitOptions, RawAvp, emit};
use l2tpv3::{Action, DropReason, registry};
use std::borrow::Cow;
use std::num::NonZeroU32;

pub fn secret(peer: PeerConfig) -> PeerConfig {
    PeerConfig { secrets: vec![SharedSecret::copied(b"secret")], ..peer }
}

pub fn plain(peer: PeerConfig) -> PeerConfig {
    PeerConfig { integrity: false, ..peer }
}

pub fn avp(attribute: AttributeType, value: &[u8]) -> RawAvp {
    RawAvp { flags: 0x8000, attribute: attribute.0, value: value.to_vec(), ..RawAvp::default() }
}

pub fn kind(message: MessageType) -> RawAvp {
    avp(AttributeType::MESSAGE_TYPE, &message.0.to_be_bytes())
}

pub fn over(carrier: Carrier, octets: Vec<u8>) -> Vec<u8> {
    match carrier {
        Carrier::Ip => [vec![0; 4], octets].concat(),
        Carrier::Udp => octets,
    }
}

/// Hands octets to a node as if they came over `path` (as that node sees it).
pub fn inject(pair: &mut Pair, node: simnet::NodeId, path: Path, octets: &[u8]) -> Verdict<DropReason> {
    pair.net.call(node, |now, router| router.handle_datagram(now, Datagram { path, payload: octets })).unwrap()
}

/// A request as an attacker makes it, from any address.
pub fn request(id: u32, more: Attributes<'_>) -> Vec<u8> {
    let attributes = Attributes {
        host_name: Some(Cow::Borrowed(b"left.example")),
        router_id: Some(1),
        assigned_connection_id: NonZeroU32::new(id),
        capabilities: Some(vec![registry::PseudowireType::ETHERNET]),
        ..more
    };
    over(Carrier::Ip, emit(MessageType::SCCRQ, &attributes, &EmitOptions::default()).unwrap())
}

/// Drains a router on its own; returns the octets it sends and the datagrams.
pub fn drain(router: &mut Router) -> (usize, Vec<Vec<u8>>) {
    let mut sent = Vec::new();
    while let Some(action) = router.poll_action() {
        if let Action::Transmit(transmit) = action {
            sent.push(transmit.payload.to_vec());
        }
    }
    (sent.iter().map(Vec::len).sum(), sent)
}
