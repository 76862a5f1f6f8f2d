//! Which traffic a quick mode is for: client identities, RFC 2409 §5.5, RFC 2407 §4.6.2.

use super::Ends;
use crate::error::{DropReason, Failure};
use crate::plan::PolicyPlan;
use crate::proposal::Mode;
use crate::refused::Refused;
use crate::selector::TrafficSelector;
use alloc::vec::Vec;
use core::net::IpAddr;
use ipsec_wire::isakmp::payload::Identification;
use ipsec_wire::isakmp::{ChainBuilder, Payloads};
use ipsec_wire::registry::{IdType, PayloadType};

/// The traffic of both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// The traffic on this side.
    pub(crate) local: TrafficSelector,
    /// The traffic on the peer's side.
    pub(crate) remote: TrafficSelector,
}

impl Traffic {
    /// Returns the traffic between the two ends themselves: what is meant when no identities are sent.
    pub(super) const fn between(ends: &Ends) -> Self {
        Self { local: TrafficSelector::host(ends.local), remote: TrafficSelector::host(ends.remote) }
    }

    /// Returns what an initiator asks for.
    ///
    /// Transport mode carries what the ends themselves send, so the addresses are theirs.
    pub(super) fn wanted(policy: &PolicyPlan, ends: &Ends) -> Result<Self, Failure> {
        let whole = Self { local: policy.local, remote: policy.remote };
        match policy.mode {
            Mode::Tunnel => Ok(whole),
            Mode::Transport => {
                let own = Self {
                    local: of_end(&policy.local, ends.local).ok_or(Failure::NotTheEnds)?,
                    remote: of_end(&policy.remote, ends.remote).ok_or(Failure::NotTheEnds)?,
                };
                Ok(own)
            }
        }
    }

    /// Returns what a policy makes of what a peer asks for, `None` if it does not take it.
    pub(super) fn taken(self, policy: &PolicyPlan, ends: &Ends) -> Option<Self> {
        let asked = match policy.mode {
            Mode::Tunnel => self,
            Mode::Transport => {
                Self { local: as_end(self.local, ends.local, ends)?, remote: as_end(self.remote, ends.remote, ends)? }
            }
        };
        let takes = |policy: &TrafficSelector, asked: &TrafficSelector| policy.contains(asked);
        let same = match policy.mode {
            Mode::Tunnel => policy.local == asked.local && policy.remote == asked.remote,
            Mode::Transport => {
                let ports = |of: &TrafficSelector| (of.protocol(), of.port());
                ports(&policy.local) == ports(&asked.local) && ports(&policy.remote) == ports(&asked.remote)
            }
        };
        let within = takes(&policy.local, &asked.local) && takes(&policy.remote, &asked.remote);
        (within && (same || policy.accept_narrower)).then_some(asked)
    }

    /// Returns the same from the other end.
    pub(super) const fn mirrored(self) -> Self {
        Self { local: self.remote, remote: self.local }
    }

    /// Adds IDci and IDcr: `self` is the initiator's traffic, as `local`, and the responder's.
    pub(super) fn contribute(&self, chain: &mut ChainBuilder) {
        chain.push(&identification(&self.local));
        chain.push(&identification(&self.remote));
    }

    /// Reads IDci, as `local`, and IDcr; `None` when there are none, which means the two ends themselves.
    pub(super) fn absorb(payloads: &Payloads<'_>) -> Result<Option<Self>, Refused> {
        let mut ids = payloads.iter().filter(|payload| payload.payload_type() == PayloadType::IDENTIFICATION);
        let (Some(initiator), responder) = (ids.next(), ids.next()) else { return Ok(None) };
        let Some(responder) = responder else { return Err(DropReason::PayloadSet.into()) };
        let read = |payload| {
            let id = Identification::parse(payload).map_err(|_| Refused::from(DropReason::Malformed))?;
            TrafficSelector::read(id.id_type.0, id.protocol, id.port, id.data)
                .map_err(|_| Refused::because(Failure::NoPolicy))
        };
        Ok(Some(Self { local: read(initiator)?, remote: read(responder)? }))
    }
}

/// Returns what a selector leaves of one address, `None` if it is not in it.
fn of_end(selector: &TrafficSelector, end: IpAddr) -> Option<TrafficSelector> {
    let host = TrafficSelector::host(end).with_protocol(selector.protocol()).with_port(selector.port());
    selector.contains_address(end).then_some(host)
}

/// Returns the traffic of one end, if that is what the peer means.
///
/// An end behind a NAT names the address that it has itself, which is not the one it is seen under; what
/// its packets will come from is what counts.
fn as_end(asked: TrafficSelector, end: IpAddr, ends: &Ends) -> Option<TrafficSelector> {
    let host = asked.first() == asked.last() && asked.first().is_ipv4() == end.is_ipv4();
    let same = asked.first() == end || ends.nat.is_some();
    (host && same).then(|| TrafficSelector::host(end).with_protocol(asked.protocol()).with_port(asked.port()))
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
