//! From a datagram to a clear packet: association, policy check.

use crate::counters::count;
use crate::defaults;
use crate::demux::{self, For, NotForUs};
use crate::outbound::{IPV4, IPV6};
use crate::pump::Gateway;
use crate::route::{INTERFACE, holds, ports};
use alloc::vec::Vec;
use core::ops::Range;
use drive::{Datagram, Instant, Path};
use esp_ah::Packet;
use ikev1_core::{ChildId, Command};
use nat_t::demux::NotOurs;
use sad::{Incoming, Opened, SaMode};
use spd::{Arrival, Direction, InboundRefusal, PacketKey};

/// Packets that are worked on together; a longer batch is worked on in lots of so many.
const LOT: usize = 64;

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DropReason {
    /// The exchanges dropped it.
    #[error(transparent)]
    Ike(#[from] ikev1_core::DropReason),
    /// The associations dropped it.
    #[error(transparent)]
    Association(#[from] sad::DropReason),
    /// Its port or protocol is not one of the plan's.
    #[error("not a port or protocol of ours")]
    NotOurs,
    /// It came to the NAT-T port and is nothing that may come there.
    #[error("on the NAT-T port: {0}")]
    NatT(NotOurs),
    /// It is a NAT keepalive, which did its work on the way.
    #[error("a keepalive")]
    Keepalive,
    /// It came out of its association and is not the kind of packet announced.
    #[error("malformed packet inside")]
    Inner,
    /// It came out of its association and is outside the traffic that was negotiated for it.
    #[error("outside the negotiated traffic")]
    Outside,
    /// It came out of its association, and the policies do not want it from there.
    #[error(transparent)]
    Policy(#[from] InboundRefusal),
    /// The gateway is closed.
    #[error("closed")]
    Closed,
}

/// What became of a received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// Nothing yet.
    Unprocessed,
    /// It is opened: the packet is clear now, and wanted on this side.
    Deliver {
        /// The pair it came through.
        child: ChildId,
    },
    /// It belongs to the exchanges: give it to [`handle_datagram`](Gateway::handle_datagram).
    Control,
    /// It is dropped.
    Dropped(DropReason),
}

/// A received datagram, and after opening the clear packet.
#[derive(Debug)]
pub struct InPacket<'b> {
    /// Where it arrived and whom it came from.
    pub path: Path,
    /// The payload of the datagram, and after opening the clear packet.
    pub packet: Packet<'b>,
    /// What became of it.
    pub outcome: Inbound,
}

impl<'b> InPacket<'b> {
    /// Returns a datagram to open.
    pub const fn new(path: Path, packet: Packet<'b>) -> Self {
        Self { path, packet, outcome: Inbound::Unprocessed }
    }
}

/// What came out of an association, and where in its buffer it lies.
struct Clear {
    opened: Opened,
    range: Range<usize>,
}

impl Gateway {
    /// Opens in place the datagrams that are ESP, and checks what comes out against the policies.
    ///
    /// Those that belong to the exchanges are left as they are, with [`Inbound::Control`]. Drain the
    /// actions afterwards.
    pub fn open_batch(&mut self, now: Instant, packets: &mut [InPacket<'_>]) {
        let now = self.clock.observe(now);
        for lot in packets.chunks_mut(LOT) {
            self.open_lot(now, lot);
        }
        self.drain(now);
    }

    pub(crate) fn open_lot(&mut self, now: Instant, lot: &mut [InPacket<'_>]) {
        for item in lot.iter_mut() {
            item.outcome = self.sort(Datagram { path: item.path, payload: item.packet.octets() });
        }
        let mut results: [Option<Result<Clear, sad::DropReason>>; LOT] = [const { None }; LOT];
        {
            let mut indices: Vec<usize> = Vec::with_capacity(lot.len());
            let mut jobs: Vec<Incoming<'_>> = Vec::with_capacity(lot.len());
            for (index, item) in lot.iter_mut().enumerate() {
                if item.outcome == Inbound::Unprocessed {
                    count(&mut self.counters.in_packets);
                    indices.push(index);
                    jobs.push(Incoming::new(item.path, item.packet.reborrow()));
                }
            }
            self.sad.open_batch(now, &mut jobs);
            for (index, job) in indices.into_iter().zip(&jobs) {
                if let Some(result) = results.get_mut(index) {
                    *result = Some(job.outcome().map(|opened| Clear { opened, range: job.packet.range() }));
                }
            }
        }
        for (item, result) in lot.iter_mut().zip(results) {
            let Some(result) = result else { continue };
            item.outcome = match result {
                Ok(Clear { opened, range }) => {
                    // The range came out of this very buffer.
                    let _ = item.packet.set_range(range);
                    self.accept(now, item.path, &opened, &mut item.packet)
                }
                Err(reason) => {
                    count(&mut self.counters.in_not_opened);
                    Inbound::Dropped(reason.into())
                }
            };
        }
    }

    /// Tells what is to be done with a datagram; `Unprocessed` means that it is ESP.
    pub(crate) fn sort(&mut self, datagram: Datagram<'_>) -> Inbound {
        if self.closed {
            return Inbound::Dropped(DropReason::Closed);
        }
        match demux::sort(self.ports, datagram) {
            Ok(For::Esp) => Inbound::Unprocessed,
            Ok(For::Ike) => Inbound::Control,
            Ok(For::Keepalive) => {
                count(&mut self.counters.in_keepalives);
                Inbound::Dropped(DropReason::Keepalive)
            }
            Err(reason) => {
                count(&mut self.counters.in_not_ours);
                Inbound::Dropped(match reason {
                    NotForUs::Port => DropReason::NotOurs,
                    NotForUs::Content(reason) => DropReason::NatT(reason),
                })
            }
        }
    }

    /// Checks what came out of an association, RFC 4301 §5.2.
    fn accept(&mut self, now: Instant, path: Path, opened: &Opened, packet: &mut Packet<'_>) -> Inbound {
        let child = ChildId(opened.flow.0);
        self.seen(now, child, path, opened.newest);
        let Some(clear) = clear_length(opened, packet.octets()) else {
            count(&mut self.counters.in_malformed);
            return Inbound::Dropped(DropReason::Inner);
        };
        // What is behind the packet is filler of traffic flow confidentiality, RFC 4303 §2.7.
        let start = packet.range().start;
        let _ = packet.set_range(start..start.saturating_add(clear));
        let Ok(key) = PacketKey::from_packet(packet.octets(), Direction::Inbound) else {
            count(&mut self.counters.in_malformed);
            return Inbound::Dropped(DropReason::Inner);
        };
        let Some(pair) = self.pairs.get(&child) else {
            count(&mut self.counters.in_outside);
            return Inbound::Dropped(DropReason::Outside);
        };
        let (local_port, remote_port) = ports(key.upper).unzip();
        let policy = pair.policy;
        let wanted = holds(&pair.local, key.local, key.protocol, local_port)
            && holds(&pair.remote, key.remote, key.protocol, remote_port);
        if !wanted {
            count(&mut self.counters.in_outside);
            self.count_policy(policy, |counters| &mut counters.in_pol_select_match_fail);
            return Inbound::Dropped(DropReason::Outside);
        }
        let arrival = Arrival::Protected { policy };
        match self.policies.inbound(INTERFACE, &key, arrival) {
            Ok(_) => {
                count(&mut self.counters.in_opened);
                self.count_policy(policy, |counters| &mut counters.in_process_done);
                Inbound::Deliver { child }
            }
            Err(refusal) => {
                count(&mut self.counters.in_policy_refused);
                Inbound::Dropped(refusal.into())
            }
        }
    }

    /// Says to the exchanges that a pair carried an authentic packet: now and then, and at once when the
    /// newest came from elsewhere.
    fn seen(&mut self, now: Instant, child: ChildId, path: Path, newest: bool) {
        let Some(pair) = self.pairs.get_mut(&child) else { return };
        if newest && path.is_udp() && pair.path.is_udp() && path != pair.path {
            // The exchanges know whether the peer may move; they answer with the path to use.
            let _ = self.ike.handle_command(now, Command::PathLearned { child, path });
        }
        let Some(pair) = self.pairs.get_mut(&child) else { return };
        if pair.seen_reported.is_none_or(|at| now - at >= defaults::TRAFFIC_REPORT) {
            pair.seen_reported = Some(now);
            let _ = self.ike.handle_command(now, Command::TrafficSeen { child });
        }
    }
}

/// Returns the length of the packet inside by its own header, if it is of the kind announced and whole.
fn clear_length(opened: &Opened, octets: &[u8]) -> Option<usize> {
    if opened.mode != SaMode::Tunnel {
        return None;
    }
    let version = octets.first()? >> 4;
    let field = |at: usize| Some(usize::from(u16::from_be_bytes([*octets.get(at)?, *octets.get(at + 1)?])));
    let length = match (opened.next_header, version) {
        (IPV4, 4) => field(2)?,
        (IPV6, 6) => field(4)?.checked_add(40)?,
        _ => return None,
    };
    (length <= octets.len()).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sad::FlowId;

    fn opened(next_header: u8, mode: SaMode) -> Opened {
        // Any handle will do: it is not looked at.
        let mut sad = sad::Sad::new(sad::SadSettings::default(), &mut simnet::Entropy::new(1));
        let owner = sad::OwnerId(1);
        let here = [192, 0, 2, 1].into();
        let rng = &mut simnet::Entropy::new(2);
        let (association, _) = sad.allocate_spi(Instant::ZERO, sad::SaProtocol::Esp, here, owner, rng).unwrap();
        Opened { association, flow: FlowId(1), mode, next_header, sequence: 1, newest: true }
    }

    #[test]
    fn the_packet_inside_must_be_of_the_kind_announced_and_whole() {
        let mut ipv4 = [0x45; 40];
        ipv4[2..4].copy_from_slice(&30_u16.to_be_bytes());
        assert_eq!(clear_length(&opened(IPV4, SaMode::Tunnel), &ipv4), Some(30));
        assert_eq!(clear_length(&opened(IPV6, SaMode::Tunnel), &ipv4), None);
        assert_eq!(clear_length(&opened(17, SaMode::Tunnel), &ipv4), None);
        assert_eq!(clear_length(&opened(IPV4, SaMode::Transport), &ipv4), None);
        assert_eq!(clear_length(&opened(IPV4, SaMode::Tunnel), &ipv4[..29]), None);
        let mut ipv6 = [0x60; 48];
        ipv6[4..6].copy_from_slice(&8_u16.to_be_bytes());
        assert_eq!(clear_length(&opened(IPV6, SaMode::Tunnel), &ipv6), Some(48));
        assert_eq!(clear_length(&opened(IPV6, SaMode::Tunnel), &ipv6[..47]), None);
        for length in 0..5 {
            assert_eq!(clear_length(&opened(IPV4, SaMode::Tunnel), &ipv4[..length]), None);
        }
    }
}
