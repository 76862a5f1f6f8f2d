//! From a datagram to a clear packet: association, policy check.

use crate::carry;
use crate::counters::count;
use crate::defaults;
use crate::demux::{self, For, NotForUs};
use crate::pump::Gateway;
use crate::route::{INTERFACE, holds, ports};
use arrayvec::ArrayVec;
use drive::{Datagram, Instant, Path};
use esp_ah::mode::ModeError;
use esp_ah::{BufferTooSmall, Packet};
use ikev1_core::{ChildId, Command};
use nat_t::demux::NotOurs;
use sad::{Incoming, Opened};
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
    /// The buffer has too little room to make a packet of what came out.
    #[error(transparent)]
    Room(#[from] BufferTooSmall),
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
///
/// The buffer needs [`ROOM`](crate::ROOM) before the datagram where transport mode is in use: the IP header of the
/// packet is put there.
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

impl From<ModeError> for DropReason {
    fn from(error: ModeError) -> Self {
        if let ModeError::BufferTooSmall(error) = error { Self::Room(error) } else { Self::Inner }
    }
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
        let mut results: ArrayVec<_, LOT> = ArrayVec::new();
        {
            let mut jobs: ArrayVec<Incoming<'_>, LOT> = ArrayVec::new();
            for item in lot.iter_mut().filter(|item| item.outcome == Inbound::Unprocessed) {
                count(&mut self.counters.in_packets);
                jobs.push(Incoming::new(item.path, item.packet.reborrow()));
            }
            self.sad.open_batch(now, &mut jobs);
            results.extend(jobs.iter().map(|job| (job.outcome(), job.packet.range())));
        }
        let items = lot.iter_mut().filter(|item| item.outcome == Inbound::Unprocessed);
        for (item, (opened, range)) in items.zip(results) {
            item.outcome = match opened {
                Ok(opened) => {
                    // The range came out of this very buffer.
                    let _ = item.packet.set_range(range);
                    match self.accept(now, item.path, &opened, &mut item.packet) {
                        Ok(child) => Inbound::Deliver { child },
                        Err(reason) => Inbound::Dropped(reason),
                    }
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

    /// Makes a packet of what came out of an association and checks it, RFC 4301 §5.2.
    fn accept(
        &mut self,
        now: Instant,
        path: Path,
        opened: &Opened,
        packet: &mut Packet<'_>,
    ) -> Result<ChildId, DropReason> {
        let child = ChildId(opened.flow.0);
        self.seen(now, child, path, opened.newest);
        let Some(pair) = self.pairs.get(&child) else {
            count(&mut self.counters.in_outside);
            return Err(DropReason::Outside);
        };
        let policy = pair.policy;
        let left = carry::leave(pair.mode, &pair.ends, opened.next_header, packet);
        let key = left
            .and_then(|()| PacketKey::from_packet(packet.octets(), Direction::Inbound).map_err(|_| DropReason::Inner));
        let key = key.inspect_err(|_| count(&mut self.counters.in_malformed))?;
        let (local_port, remote_port) = ports(key.upper).unzip();
        let wanted = holds(&pair.local, key.local, key.protocol, local_port)
            && holds(&pair.remote, key.remote, key.protocol, remote_port);
        if !wanted {
            count(&mut self.counters.in_outside);
            self.count_policy(policy, |counters| &mut counters.in_pol_select_match_fail);
            return Err(DropReason::Outside);
        }
        match self.policies.inbound(INTERFACE, &key, Arrival::Protected { policy }) {
            Ok(_) => {
                count(&mut self.counters.in_opened);
                self.count_policy(policy, |counters| &mut counters.in_process_done);
                Ok(child)
            }
            Err(refusal) => {
                count(&mut self.counters.in_policy_refused);
                Err(refusal.into())
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
