//! From a clear packet to a datagram: policy, association, protection.

use crate::acquire::Admission;
use crate::action::{Action, Event};
use crate::carry;
use crate::counters::count;
use crate::defaults;
use crate::pump::Gateway;
use crate::route::INTERFACE;
use alloc::vec;
use arrayvec::ArrayVec;
use bytes::Bytes;
use core::ops::Range;
use drive::{Instant, Path, Transmit};
use esp_ah::Packet;
use esp_ah::mode::ModeError;
use ikev1_core::ChildId;
use sad::{Outgoing, SaHandle, SealRefusal};
use spd::{Decision, Direction, PacketKey, TemplateId};

/// Octets of room that sealing needs before and after any packet.
pub const ROOM: usize = 64;

/// Packets that are worked on together; a longer batch is worked on in lots of so many.
const LOT: usize = 64;

/// Why a clear packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutboundDrop {
    /// Its headers lie.
    #[error("malformed packet")]
    Malformed,
    /// No policy names it, or the one that does says discard.
    #[error("the policy says discard")]
    Discard,
    /// It has options or extension headers that stay outside its association in transport mode, and whoever
    /// makes the header again from the path would lose them.
    #[error("options or extension headers outside the association")]
    Options,
    /// It is a fragment, and transport mode protects whole packets only, RFC 4303 §3.3.4.
    #[error("a fragment in transport mode")]
    Fragment,
    /// It needs an association whose negotiation failed a moment ago.
    #[error("the negotiation failed a moment ago")]
    Resting,
    /// The association did not take it.
    #[error(transparent)]
    Unsealed(#[from] SealRefusal),
    /// The gateway is closed.
    #[error("closed")]
    Closed,
}

/// What became of a clear packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outbound {
    /// Nothing yet.
    Unprocessed,
    /// It is sealed: send it along this path, as the payload of the path's protocol.
    Send(Path),
    /// The policy lets it pass in clear: it is unchanged.
    Bypass,
    /// It waits, as a copy, for an association that is being negotiated.
    Waits,
    /// It is dropped.
    Dropped(OutboundDrop),
}

/// What became of a clear packet that was given in by itself.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It leaves protected, as an action.
    Sent,
    /// It passes in clear, as an action: the policy says so.
    Bypassed,
    /// It waits for an association that is being negotiated.
    Waits,
    /// It is dropped.
    Dropped(OutboundDrop),
}

/// A clear packet to send, in a buffer with [`ROOM`] around it.
#[derive(Debug)]
pub struct OutPacket<'b> {
    /// The packet, and after sealing the payload to send.
    pub packet: Packet<'b>,
    /// What became of it.
    pub outcome: Outbound,
}

impl<'b> OutPacket<'b> {
    /// Returns a packet to send.
    pub const fn new(packet: Packet<'b>) -> Self {
        Self { packet, outcome: Outbound::Unprocessed }
    }
}

/// The association that a packet goes through, and what of the packet goes into it.
struct Chosen {
    child: ChildId,
    policy: spd::PolicyId,
    association: SaHandle,
    path: Path,
    inside: Range<usize>,
    next_header: u8,
}

impl From<ModeError> for OutboundDrop {
    fn from(error: ModeError) -> Self {
        if error == ModeError::Fragment { Self::Fragment } else { Self::Malformed }
    }
}

impl Gateway {
    /// Decides about clear packets by policy and seals in place those that are to be protected.
    ///
    /// A packet that a policy protects leaves protected or not at all: without an association it waits,
    /// within bounds, and its negotiation is started. Drain the actions afterwards.
    pub fn seal_batch(&mut self, now: Instant, packets: &mut [OutPacket<'_>]) {
        let now = self.clock.observe(now);
        self.counters.out_packets = self.counters.out_packets.saturating_add(packets.len() as u64);
        for lot in packets.chunks_mut(LOT) {
            self.seal_lot(now, lot);
        }
        self.drain(now);
    }

    /// Takes in one clear packet and gives what becomes of it as an action; a copying form of
    /// [`seal_batch`](Self::seal_batch).
    pub fn handle_packet(&mut self, now: Instant, packet: &[u8]) -> Outcome {
        let now = self.clock.observe(now);
        count(&mut self.counters.out_packets);
        let outcome = self.seal_copy(now, packet, |clear| Action::Bypass(Bytes::copy_from_slice(clear)));
        self.drain(now);
        outcome
    }

    /// Seals a copy of a packet; `bypass` says how it passes where no policy protects it.
    pub(crate) fn seal_copy(&mut self, now: Instant, clear: &[u8], bypass: impl FnOnce(&[u8]) -> Action) -> Outcome {
        let mut buffer = vec![0; clear.len().saturating_add(2 * ROOM)];
        let end = ROOM.saturating_add(clear.len());
        if let Some(room) = buffer.get_mut(ROOM..end) {
            room.copy_from_slice(clear);
        }
        let Some(packet) = Packet::new(&mut buffer, ROOM..end) else {
            return Outcome::Dropped(OutboundDrop::Malformed);
        };
        let mut item = OutPacket::new(packet);
        self.seal_lot(now, core::slice::from_mut(&mut item));
        let (outcome, range) = (item.outcome, item.packet.range());
        match outcome {
            Outbound::Send(path) => {
                let payload = Bytes::from(buffer).slice(range);
                self.push(Action::Transmit(Transmit { path, payload }));
                Outcome::Sent
            }
            Outbound::Bypass => {
                self.push(bypass(clear));
                Outcome::Bypassed
            }
            Outbound::Waits => Outcome::Waits,
            Outbound::Dropped(reason) => Outcome::Dropped(reason),
            Outbound::Unprocessed => Outcome::Dropped(OutboundDrop::Closed),
        }
    }

    fn seal_lot(&mut self, now: Instant, lot: &mut [OutPacket<'_>]) {
        let mut chosen: ArrayVec<Chosen, LOT> = ArrayVec::new();
        for item in lot.iter_mut() {
            item.outcome = Outbound::Unprocessed;
            match self.choose(now, &mut item.packet) {
                Ok(found) => chosen.push(found),
                Err(outcome) => item.outcome = outcome,
            }
        }
        let mut results: ArrayVec<_, LOT> = ArrayVec::new();
        {
            let mut jobs: ArrayVec<Outgoing<'_>, LOT> = ArrayVec::new();
            let items = lot.iter_mut().filter(|item| item.outcome == Outbound::Unprocessed);
            for (item, chosen) in items.zip(&chosen) {
                let mut inside = item.packet.reborrow();
                // The range came out of this very buffer.
                let _ = inside.set_range(chosen.inside.clone());
                jobs.push(Outgoing::new(chosen.association, inside, chosen.next_header));
            }
            self.sad.seal_batch(now, &mut jobs);
            results.extend(jobs.iter().map(|job| (job.outcome(), job.packet.range())));
        }
        let items = lot.iter_mut().filter(|item| item.outcome == Outbound::Unprocessed);
        for ((item, chosen), (outcome, range)) in items.zip(chosen).zip(results) {
            item.outcome = match outcome {
                Ok(_) => {
                    let _ = item.packet.set_range(range);
                    count(&mut self.counters.out_sealed);
                    self.count_policy(chosen.policy, |counters| &mut counters.out_process_done);
                    self.sent(now, chosen.child);
                    Outbound::Send(chosen.path)
                }
                Err(refusal) => {
                    count(&mut self.counters.out_unsealed);
                    self.count_policy(chosen.policy, |counters| &mut counters.out_process_fail);
                    Outbound::Dropped(refusal.into())
                }
            };
        }
    }

    /// Finds the association of a packet and what of the packet goes into it, or what becomes of it else.
    fn choose(&mut self, now: Instant, packet: &mut Packet<'_>) -> Result<Chosen, Outbound> {
        let (key, template) = self.decide(packet.octets())?;
        let carrier = self.routes.of(template).and_then(|route| route.carrier(&key));
        let carrying = carrier.and_then(|child| Some((child, self.pairs.get(&child)?)));
        let Some((child, pair, association)) = carrying.and_then(|(child, pair)| Some((child, pair, pair.outbound?)))
        else {
            return Err(self.wait(now, template, packet.octets()));
        };
        let mut inside = packet.reborrow();
        match carry::enter(pair.mode, &mut inside) {
            Ok(next_header) => {
                let inside = inside.range();
                Ok(Chosen { child, policy: pair.policy, association, path: pair.path, inside, next_header })
            }
            Err(reason) => {
                count(&mut self.counters.out_malformed);
                Err(Outbound::Dropped(reason))
            }
        }
    }

    /// Decides about one packet by policy; what is not to be protected is decided here for good.
    fn decide(&mut self, packet: &[u8]) -> Result<(PacketKey, TemplateId), Outbound> {
        if self.closed {
            return Err(Outbound::Dropped(OutboundDrop::Closed));
        }
        let Ok(key) = PacketKey::from_packet(packet, Direction::Outbound) else {
            count(&mut self.counters.out_malformed);
            return Err(Outbound::Dropped(OutboundDrop::Malformed));
        };
        match self.policies.outbound(INTERFACE, &key) {
            Decision::Protect { template, .. } => Ok((key, template)),
            Decision::Bypass { .. } => {
                count(&mut self.counters.out_bypassed);
                Err(Outbound::Bypass)
            }
            Decision::Discard { policy } => {
                let counters = &mut self.counters;
                count(if policy.is_some() { &mut counters.out_discarded } else { &mut counters.out_no_policy });
                Err(Outbound::Dropped(OutboundDrop::Discard))
            }
        }
    }

    /// Puts a packet to wait, and starts the negotiation it waits for.
    fn wait(&mut self, now: Instant, template: TemplateId, packet: &[u8]) -> Outbound {
        let route = self.routes.of(template).map(|route| (route.connection, route.policy, route.spd));
        let Some((connection, policy, spd)) = route else { return Outbound::Dropped(OutboundDrop::Discard) };
        self.count_policy(spd, |counters| &mut counters.out_no_bundle);
        match self.waiting.admit(now, template, packet) {
            Admission::Resting => {
                count(&mut self.counters.out_resting);
                self.count_policy(spd, |counters| &mut counters.out_no_bundle_fail);
                Outbound::Dropped(OutboundDrop::Resting)
            }
            Admission::Waits { lost, start } => {
                count(&mut self.counters.out_waited);
                if let Some(reason) = lost {
                    count(&mut self.counters.waiting_dropped);
                    self.news(Event::WaitingLost { connection, policy, packets: 1, reason });
                }
                if start {
                    self.count_policy(spd, |counters| &mut counters.setup_started);
                    self.news(Event::Acquiring { connection, policy });
                    let acquire = ikev1_core::Command::Acquire { connection, policy, packet: None };
                    if self.ike.handle_command(now, acquire).is_err() {
                        self.acquire_failed(now, template);
                        return Outbound::Dropped(OutboundDrop::Resting);
                    }
                }
                Outbound::Waits
            }
        }
    }

    /// Counts one for a policy.
    pub(crate) fn count_policy(
        &mut self,
        policy: spd::PolicyId,
        counter: impl FnOnce(&mut spd::PolicyCounters) -> &mut u64,
    ) {
        if let Some(counters) = self.policies.policy_counters_mut(policy) {
            count(counter(counters));
        }
    }

    /// Says to the exchanges, once in a while, that a pair carried packets out.
    fn sent(&mut self, now: Instant, child: ChildId) {
        let Some(pair) = self.pairs.get_mut(&child) else { return };
        if pair.sent_reported.is_none_or(|at| now - at >= defaults::TRAFFIC_REPORT) {
            pair.sent_reported = Some(now);
            // A pair that the exchanges no longer know needs no keepalive.
            let _ = self.ike.handle_command(now, ikev1_core::Command::TrafficSent { child });
        }
    }
}
