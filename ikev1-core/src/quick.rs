//! Quick mode: a pair of IPsec SAs under an ISAKMP SA, RFC 2409 §5.5.
//!
//! ```text
//! Initiator                                        Responder
//! HDR*, HASH(1), SA, Ni, [KE], [IDci, IDcr],
//!       [NAT-OAi, NAT-OAr]                   -->
//!                                            <--   HDR*, HASH(2), SA, Nr, [KE], [IDci, IDcr],
//!                                                        [NAT-OAi, NAT-OAr]
//! HDR*, HASH(3)                              -->
//! ```

pub(crate) mod initiator;
mod original;
pub(crate) mod responder;
mod responder_lifetime;
mod traffic;

use crate::action::OriginalAddresses;
use crate::crypto::{DhGroup, DhShared};
use crate::keys::{IsakmpKeys, Keymat, KeymatInput};
use crate::negotiate::{AgreedPart, Suite};
use crate::plan::PolicyPlan;
use crate::proposal::{Bundle, Lifetime, Mode, UdpEncapsulation};
use alloc::vec::Vec;
use core::net::IpAddr;
use ipsec_wire::registry::ProtocolId;
use nat_t::Version;
pub(crate) use traffic::Traffic;

/// The two ends of the SA that a quick mode is under, as this end sees them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) local: IpAddr,
    pub(crate) remote: IpAddr,
    /// If a NAT was found, how they speak of it.
    pub(crate) nat: Option<Version>,
    /// Whether a NAT stands before this end, so that the peer sees it under another address.
    pub(crate) behind: bool,
}

impl Ends {
    /// Returns how ESP is put in UDP, if a NAT or the plan asks for it.
    fn udp(&self) -> Option<UdpEncapsulation> {
        self.nat.map(|version| match version.udp_tunnel_mode() {
            3 => UdpEncapsulation::Rfc3947,
            _ => UdpEncapsulation::Drafts,
        })
    }
}

/// Returns the suites of a policy, numbered from 1 for messages.
fn suites(policy: &PolicyPlan) -> Vec<Suite> {
    (1u32..).zip(policy.offer()).map(|(number, parts)| Suite { number, parts }).collect()
}

/// The protocols of suites, each once, in the order in which they are met.
fn protocols<'a>(suites: impl IntoIterator<Item = &'a Suite>) -> Vec<ProtocolId> {
    let mut protocols = Vec::new();
    for part in suites.into_iter().flat_map(|suite| &suite.parts) {
        let protocol = part.protection.protocol();
        if !protocols.contains(&protocol) {
            protocols.push(protocol);
        }
    }
    protocols
}

/// The inbound SPIs of the pair that is being made, one for each protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spis(Vec<(ProtocolId, u32)>);

impl Spis {
    pub(crate) fn add(&mut self, protocol: ProtocolId, spi: u32) {
        self.0.push((protocol, spi));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ProtocolId, u32)> + '_ {
        self.0.iter().copied()
    }

    /// Returns the SPI of a protocol; 0, which no SA has, if there is none.
    fn of(&self, protocol: ProtocolId) -> u32 {
        self.iter().find(|(of, _)| *of == protocol).map_or(0, |(_, spi)| spi)
    }
}

/// One direction of a pair: SPI and key material for each of its protocols, in the order of the agreement.
#[derive(Debug)]
pub(crate) struct Half {
    pub(crate) sas: Vec<(u32, Keymat)>,
}

/// What quick mode agreed on, apart from the keys.
#[derive(Clone, Debug)]
pub(crate) struct Agreement {
    /// Its protocols, in the order in which they are applied to an outbound packet.
    pub(crate) parts: Vec<AgreedPart>,
    /// The number of the proposal.
    pub(crate) number: u8,
    /// The life both ends know of: the shortest that either said.
    pub(crate) lifetime: Lifetime,
    pub(crate) traffic: Traffic,
    /// In transport mode behind a NAT, the addresses that the peer puts into its packets.
    pub(crate) original: Option<OriginalAddresses>,
}

impl Agreement {
    /// Takes what was negotiated, and puts its parts into the order in which they are applied.
    fn new(
        (number, mut parts): (u8, Vec<AgreedPart>),
        lifetime: Lifetime,
        traffic: Traffic,
        original: Option<OriginalAddresses>,
    ) -> Self {
        parts.sort_by_key(|part| part.transform.protection.layer());
        Self { parts, number, lifetime, traffic, original }
    }

    pub(crate) fn bundle(&self) -> Bundle {
        Bundle::new(self.parts.iter().map(|part| part.transform.protection).collect())
    }

    /// Returns the mode, which all parts have.
    pub(crate) fn mode(&self) -> Mode {
        self.parts.first().map_or(Mode::Tunnel, |part| part.transform.mode)
    }

    /// Returns the group of perfect forward secrecy, which all parts have.
    pub(crate) fn pfs(&self) -> Option<DhGroup> {
        self.parts.iter().find_map(|part| part.transform.pfs)
    }

    /// Returns how it is encapsulated in UDP, if it is.
    pub(crate) fn udp(&self) -> Option<UdpEncapsulation> {
        self.parts.iter().find_map(|part| part.udp)
    }

    /// Computes the key material of both directions: first ours to receive, then the peer's.
    ///
    /// Each SA has its own, because its protocol and SPI enter, RFC 2409 §5.5.
    fn halves(
        &self,
        keys: &IsakmpKeys,
        pfs: Option<&DhShared>,
        inbound: &Spis,
        (ni_b, nr_b): (&[u8], &[u8]),
    ) -> (Half, Half) {
        let half = |spi: &dyn Fn(&AgreedPart) -> u32| {
            let sas = self.parts.iter().map(|part| {
                let (protection, spi) = (&part.transform.protection, spi(part));
                let (encryption, integrity) = protection.keymat_lens();
                let (protocol, octets) = (protection.protocol().0, spi.to_be_bytes());
                let input = KeymatInput { pfs, protocol, spi: &octets, ni_b, nr_b };
                (spi, keys.keymat(&input, encryption.saturating_add(integrity)))
            });
            Half { sas: sas.collect() }
        };
        let ours = |part: &AgreedPart| inbound.of(part.transform.protection.protocol());
        (half(&ours), half(&|part| part.peer_spi))
    }
}

/// Returns the shortest life among the parts: the pair ends as a whole.
fn shortest(parts: &[AgreedPart]) -> Lifetime {
    parts.iter().fold(Lifetime::default(), |shortest, part| shortest.shorter(part.transform.lifetime))
}
