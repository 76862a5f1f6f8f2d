//! From a clear packet to a datagram: policy, association, protection.

use crate::acquire::Admission;
use crate::action::{Action, Event};
use crate::carry::{self, Entered};
use crate::counters::count;
use crate::defaults;
use crate::demux::ESP;
use crate::header::{Fragmenting, Header};
use crate::layers::Layers;
use crate::pump::Gateway;
use crate::route::INTERFACE;
use crate::trace::{Step, TracePlace};
use alloc::vec;
use arrayvec::ArrayVec;
use bytes::Bytes;
use drive::{Instant, Path, Transmit};
use esp_ah::mode::{IPV4, ModeError};
use esp_ah::{BufferTooSmall, Packet};
use ikev1_core::ChildId;
use sad::{Outgoing, SaProtocol, SealRefusal};
use spd::{Decision, Direction, FragmentRefusal, PacketKey, TemplateId};

/// Octets of room that sealing needs before and after any packet.
pub const ROOM: usize = 128;

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
    /// Its buffer has too little room around it.
    #[error(transparent)]
    Room(#[from] BufferTooSmall),
    /// It is a fragment whose policy cannot be told.
    #[error(transparent)]
    Fragments(#[from] FragmentRefusal),
    /// It needs an association whose negotiation failed a moment ago.
    #[error("the negotiation failed a moment ago")]
    Resting,
    /// It is too long for its path and must not be fragmented; its sender is told.
    #[error("longer than the {mtu} octets that the path carries")]
    TooLong {
        /// What its sender is told.
        mtu: usize,
    },
    /// Its policy has manual keys, and they are used up.
    #[error("no association is left")]
    NoAssociation,
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
    /// It is sealed: send it along this path, as the payload of the path's protocol. A packet of protocol 51
    /// (AH) is whole, with the IP header that AH covers.
    Send(Path),
    /// It was too long for its path and leaves in fragments, each sealed by itself, as actions.
    Parted,
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
    /// What the IP header around it should say, once it is sealed. A caller that leaves this to its system
    /// loses DSCP and ECN, no more.
    pub header: Header,
}

impl<'b> OutPacket<'b> {
    /// Returns a packet to send.
    pub fn new(packet: Packet<'b>) -> Self {
        Self { packet, outcome: Outbound::Unprocessed, header: Header::default() }
    }
}

/// The associations that a packet goes through, and how far it got.
struct Chosen {
    child: ChildId,
    policy: spd::PolicyId,
    path: Path,
    layers: Layers,
    entered: Entered,
    sealed: Result<(), SealRefusal>,
}

/// Returns those of a lot whose fate is open.
fn pending<'l, 'b>(lot: &'l mut [OutPacket<'b>]) -> impl Iterator<Item = &'l mut OutPacket<'b>> {
    lot.iter_mut().filter(|item| item.outcome == Outbound::Unprocessed)
}

impl From<ModeError> for OutboundDrop {
    fn from(error: ModeError) -> Self {
        if let ModeError::BufferTooSmall(error) = error {
            return Self::Room(error);
        }
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
        count(&mut self.counters.out_copies);
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
        let (outcome, header, range) = (item.outcome, item.header, item.packet.range());
        match outcome {
            Outbound::Send(path) => {
                let payload = Bytes::from(buffer).slice(range);
                self.push(Action::Transmit(Transmit { path, payload }, header));
                Outcome::Sent
            }
            Outbound::Bypass => {
                let action = bypass(clear);
                if matches!(action, Action::Bypass(_)) {
                    count(&mut self.counters.out_copies);
                }
                self.push(action);
                Outcome::Bypassed
            }
            Outbound::Parted => Outcome::Sent,
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
        self.seal_esp(now, lot, &mut chosen);
        for (item, chosen) in pending(lot).zip(chosen) {
            let sealed = chosen.sealed.map_err(OutboundDrop::from).and_then(|()| {
                // The range came out of this very buffer.
                let _ = item.packet.set_range(chosen.entered.inside.clone());
                self.seal_ah(now, &chosen, &mut item.packet)?;
                self.mark(chosen.path, &mut item.packet)
            });
            item.outcome = match sealed {
                Ok(()) => {
                    item.header = chosen.entered.header;
                    count(&mut self.counters.out_sealed);
                    if self.ports.is_tunnel(chosen.path) {
                        count(&mut self.tunnel.counters.out_pkt);
                    }
                    self.count_policy(chosen.policy, |counters| &mut counters.out_process_done);
                    self.sent(now, chosen.child);
                    Outbound::Send(chosen.path)
                }
                Err(reason) => {
                    count(&mut self.counters.out_unsealed);
                    if self.ports.is_tunnel(chosen.path) {
                        count(&mut self.tunnel.counters.out_pkt_fail);
                    }
                    let no_state =
                        matches!(reason, OutboundDrop::Unsealed(SealRefusal::NotCarrying(_) | SealRefusal::Stale));
                    self.count_policy(chosen.policy, |counters| {
                        if no_state { &mut counters.out_bundle_state_bad } else { &mut counters.out_process_fail }
                    });
                    Outbound::Dropped(reason)
                }
            };
            if self.tracer.on {
                self.trace_out(chosen.child, item);
            }
        }
    }

    /// Seals with ESP those whose associations have it.
    fn seal_esp(&mut self, now: Instant, lot: &mut [OutPacket<'_>], chosen: &mut ArrayVec<Chosen, LOT>) {
        let mut jobs: ArrayVec<Outgoing<'_>, LOT> = ArrayVec::new();
        for (item, chosen) in pending(lot).zip(chosen.iter()) {
            let Some(association) = chosen.layers.esp else { continue };
            let mut inside = item.packet.reborrow();
            let _ = inside.set_range(chosen.entered.inside.clone());
            if self.tracer.on {
                self.trace_before(chosen.child, TracePlace::Esp, chosen.entered.next_header, &inside);
            }
            jobs.push(Outgoing::new(association, inside, chosen.entered.next_header));
        }
        self.sad.seal_batch(now, &mut jobs);
        for (job, chosen) in jobs.iter().zip(chosen.iter_mut().filter(|chosen| chosen.layers.esp.is_some())) {
            chosen.sealed = job.outcome().map(drop);
            if self.tracer.on {
                let sealed = job.outcome().ok();
                self.trace_sealed(chosen.child, job.association, SaProtocol::Esp, sealed, &job.packet);
            }
            chosen.entered.inside = job.packet.range();
            chosen.entered.next_header = ESP;
        }
    }

    /// Puts the IP header before what AH is to cover, and AH behind it.
    fn seal_ah(&mut self, now: Instant, chosen: &Chosen, packet: &mut Packet<'_>) -> Result<(), OutboundDrop> {
        let Some(association) = chosen.layers.ah else { return Ok(()) };
        let Entered { next_header, header, split, .. } = &chosen.entered;
        self.identification = self.identification.checked_add(1).unwrap_or(1);
        match split {
            Some(split) => split.join(packet, *next_header)?,
            None => {
                let ends = (chosen.path.local.ip(), chosen.path.remote.ip());
                header.prepend_ip(ends, *next_header, self.identification, packet)?;
            }
        }
        // AH covers the identification, and a system that sends the packet puts one in place of zero.
        let octets = packet.octets_mut();
        if let ([0x40..=0x4f, ..], Some(field)) = (&*octets, octets.get(4..6))
            && field == [0, 0]
            && let Some(field) = octets.get_mut(4..6)
        {
            field.copy_from_slice(&self.identification.to_be_bytes());
        }
        if self.tracer.on {
            self.trace_before(chosen.child, TracePlace::Ah, IPV4, packet);
        }
        let sealed = self.sad.seal_ah(now, association, packet);
        if self.tracer.on {
            self.trace_sealed(chosen.child, association, SaProtocol::Ah, sealed.ok(), packet);
        }
        Ok(sealed.map(drop)?)
    }

    /// Puts before ESP what tells it from IKE or heartbeats, where they share a port that way.
    fn mark(&self, path: Path, packet: &mut Packet<'_>) -> Result<(), OutboundDrop> {
        let marker = self.ports.marker(path);
        if !marker.is_empty() {
            packet.grow_front(marker.len())?.copy_from_slice(marker);
        }
        Ok(())
    }

    /// Finds the associations of a packet and what of the packet goes into them, or what becomes of it else.
    fn choose(&mut self, now: Instant, packet: &mut Packet<'_>) -> Result<Chosen, Outbound> {
        let lent_to = self.return_port(now, packet.octets_mut());
        let (key, template) = self.decide(now, packet.octets())?;
        let carrier = match lent_to {
            None => self.carrier(now, template, &key),
            // No other may carry it.
            Some(session) => {
                let carrier = self.carrier_of(template, &key, session);
                Some(carrier.ok_or_else(|| self.no_association(template))?)
            }
        };
        if self.tracer.on {
            self.trace_carrier(template, &key, carrier);
        }
        let route = self.routes.of(template);
        let pair = carrier.and_then(|child| Some((child, self.pairs.get(&child)?)));
        let (Some((child, pair)), Some(route)) = (pair.filter(|(_, pair)| pair.outbound.protects()), route) else {
            return Err(self.wait(now, template, packet.octets()));
        };
        let (policy, path, layers, mode, outer) = (pair.policy, pair.path, pair.outbound, pair.mode, route.outer);
        if let Some(mtu) = pair.mtu.path(now, self.path_mtu) {
            if outer.fragmenting == Fragmenting::Before && self.leaves_in_parts(now, child, mtu, packet.octets()) {
                self.count_policy(policy, |counters| &mut counters.out_process_done);
                if self.tracer.on {
                    self.trace_step(child, Direction::Outbound, Step::Parted);
                }
                return Err(Outbound::Parted);
            }
            self.hold_to_mtu(now, child, mtu, packet.octets())
                .inspect_err(|_| self.count_policy(policy, |counters| &mut counters.out_process_fail_imm))
                .map_err(|reason| self.not_sent(child, reason))?;
        }
        if self.tracer.on {
            self.trace_before(child, TracePlace::Ipsec, IPV4, packet);
        }
        let entered = carry::enter(mode, &layers, &outer, packet).map_err(|reason| {
            count(&mut self.counters.out_malformed);
            self.not_sent(child, reason)
        });
        let mut entered = entered.inspect_err(|_| self.count_policy(policy, |of| &mut of.out_process_fail_imm))?;
        if let Some(cpi) = layers.cpi {
            self.compress(child, cpi, &mut entered.next_header, &mut entered.inside, packet);
        }
        Ok(Chosen { child, policy, path, layers, entered, sealed: Ok(()) })
    }

    fn not_sent(&mut self, child: ChildId, reason: OutboundDrop) -> Outbound {
        if self.tracer.on {
            self.trace_step(child, Direction::Outbound, Step::NotSent(reason));
        }
        Outbound::Dropped(reason)
    }

    /// Decides about one packet by policy; what is not to be protected is decided here for good.
    fn decide(&mut self, now: Instant, packet: &[u8]) -> Result<(PacketKey, TemplateId), Outbound> {
        if self.closed {
            return Err(Outbound::Dropped(OutboundDrop::Closed));
        }
        let Ok((key, fragment)) = PacketKey::with_fragment(packet, Direction::Outbound) else {
            count(&mut self.counters.out_malformed);
            return Err(Outbound::Dropped(OutboundDrop::Malformed));
        };
        if self.passes_built_in(Direction::Outbound, &key) {
            count(&mut self.counters.out_bypassed);
            return Err(Outbound::Bypass);
        }
        let decision = self.fragments.outbound(now, &mut self.policies, INTERFACE, &key, fragment.as_ref());
        let decision = decision.map_err(|reason| {
            count(&mut self.counters.out_fragments_refused);
            self.fragment_refused(now, true, reason, &key);
            Outbound::Dropped(reason.into())
        })?;
        if self.tracer.on {
            self.trace_look_up(now, None, &key, fragment.as_ref());
        }
        match decision {
            Decision::Protect { policy, template } => Ok((self.as_whole(policy, key, fragment.as_ref()), template)),
            Decision::Bypass { .. } => {
                count(&mut self.counters.out_bypassed);
                Err(Outbound::Bypass)
            }
            Decision::Discard { policy } => {
                if let Some(found) = self.leaves_as_error(now, policy, &key, packet) {
                    return Ok(found);
                }
                let counters = &mut self.counters;
                count(if policy.is_some() { &mut counters.out_discarded } else { &mut counters.out_no_policy });
                Err(Outbound::Dropped(OutboundDrop::Discard))
            }
        }
    }

    /// Puts a packet to wait, and starts the negotiation it waits for.
    fn wait(&mut self, now: Instant, template: TemplateId, packet: &[u8]) -> Outbound {
        let route = self.routes.of(template).and_then(|route| Some((route.negotiation?, route.spd)));
        let Some(((connection, policy), spd)) = route else { return self.no_association(template) };
        self.count_policy(spd, |counters| &mut counters.out_no_bundle);
        match self.waiting.admit(now, template, packet) {
            Admission::Resting => {
                count(&mut self.counters.out_resting);
                self.count_policy(spd, |counters| &mut counters.out_no_bundle_fail);
                if self.tracer.on {
                    self.trace_policy(spd, Direction::Outbound, Step::NotSent(OutboundDrop::Resting));
                }
                Outbound::Dropped(OutboundDrop::Resting)
            }
            Admission::Waits { lost, start } => {
                count(&mut self.counters.out_waited);
                if self.tracer.on {
                    let queued = self.waiting.count(template);
                    self.trace_policy(spd, Direction::Outbound, Step::Queued(queued));
                }
                count(&mut self.counters.out_copies);
                if let Some(reason) = lost {
                    count(&mut self.counters.waiting_dropped);
                    self.news(Event::WaitingLost { connection, policy, packets: 1, reason });
                }
                if start {
                    self.news(Event::Acquiring { connection, policy });
                    if self.tracer.on {
                        self.trace_acquire(spd, connection, policy);
                    }
                    let acquire = ikev1_core::Command::Acquire { connection, policy, packet: None };
                    if self.ike.handle_command(now, acquire).is_err() {
                        self.count_policy(spd, |counters| &mut counters.out_make_setup_struct_fail);
                        self.acquire_failed(now, template);
                        return Outbound::Dropped(OutboundDrop::Resting);
                    }
                }
                Outbound::Waits
            }
        }
    }

    /// Drops a packet that nothing carries and nothing is negotiated for.
    fn no_association(&mut self, template: TemplateId) -> Outbound {
        count(&mut self.counters.out_unsealed);
        if let Some(spd) = self.routes.of(template).map(|route| route.spd) {
            self.count_policy(spd, |counters| &mut counters.out_no_bundle);
            self.count_policy(spd, |counters| &mut counters.out_no_bundle_fail);
            if self.tracer.on {
                self.trace_policy(spd, Direction::Outbound, Step::NotSent(OutboundDrop::NoAssociation));
            }
        }
        Outbound::Dropped(OutboundDrop::NoAssociation)
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
