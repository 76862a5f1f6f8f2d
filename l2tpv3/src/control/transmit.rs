use super::{Connection, Outgoing, State, Timer};
use crate::action::{Action, ConnectionId};
use crate::config::PeerPlan;
use crate::defaults;
use crate::digest::{DigestAlgorithm, Keys, Nonces, sign};
use crate::endpoint::Endpoint;
use crate::registry::MessageType;
use crate::wire::{
    Attributes, CONTROL_HEADER, Carrier, DigestSlots, EmitOptions, IP_CONTROL_PREFIX, SEQUENCES, emit,
    emit_version_2_refusal,
};
use alloc::vec::Vec;
use bytes::Bytes;
use drive::{Instant, Path, Transmit};
use rand_core::CryptoRng;

/// Returns the digests that messages to a peer carry, with the keys that make them.
pub(super) fn digests<'a>(peer: &'a PeerPlan, integrity: &'a Keys) -> Vec<(DigestAlgorithm, &'a Keys)> {
    let algorithms = &peer.config.digests;
    let (Some(first), Some(last)) = (algorithms.first(), algorithms.last()) else { return Vec::new() };
    match peer.keys.as_slice() {
        [] if peer.config.integrity => Vec::from([(*first, integrity)]),
        [] => Vec::new(),
        [only] if algorithms.len() == 1 => Vec::from([(*first, only)]),
        [only] => Vec::from([(*first, only), (*last, only)]),
        [new, .., old] => Vec::from([(*first, new), (*last, old)]),
    }
}

/// Returns room for those digests.
fn slots(digests: &[(DigestAlgorithm, &Keys)], mandatory: bool) -> DigestSlots {
    let mut algorithms = digests.iter().map(|(algorithm, _)| *algorithm);
    DigestSlots { first: algorithms.next(), second: algorithms.next(), mandatory }
}

/// Fills in what a message says at the time it goes out, and puts it behind what its carrier wants in front.
fn finish(
    mut octets: Vec<u8>,
    (ns, nr): (u16, u16),
    digests: &[(DigestAlgorithm, &Keys)],
    nonces: Nonces<'_>,
    path: Path,
) -> Transmit {
    if let Some(sequences) = octets.get_mut(SEQUENCES) {
        let ([a, b], [c, d]) = (ns.to_be_bytes(), nr.to_be_bytes());
        sequences.copy_from_slice(&[a, b, c, d]);
    }
    if octets.len() > CONTROL_HEADER {
        sign(&mut octets, digests, nonces);
    }
    if Carrier::of(path) == Some(Carrier::Ip) {
        octets.splice(0..0, [0; IP_CONTROL_PREFIX]);
    }
    Transmit { path, payload: Bytes::from(octets) }
}

impl<R: CryptoRng> Endpoint<R> {
    /// Puts a message into a connection's queue. It goes out when [`settle`](Self::settle) is called.
    ///
    /// A message that does not fit the queue is lost; all senders but those of local commands have
    /// made sure of room.
    pub(crate) fn send(&mut self, id: ConnectionId, message: MessageType, attributes: &Attributes<'_>) -> bool {
        let hide = self.peer_of(id).is_some_and(|peer| peer.config.hide);
        let draws = hide.then(|| {
            let (mut vector, mut padding) = ([0; 16], [0; 16]);
            self.rng.fill_bytes(&mut vector);
            self.rng.fill_bytes(&mut padding);
            (vector, padding)
        });
        let (Some(connection), plan) = (self.connections.get_mut(id.0), &self.plan) else { return false };
        let Some(peer) = plan.peer(connection.peer) else { return false };
        let digests = digests(peer, &plan.integrity);
        let hiding = draws.and_then(|(vector, padding)| Some((peer.keys.first()?.hiding(), vector, padding)));
        let options = EmitOptions {
            connection_id: connection.remote_id(),
            dialect: connection.dialect,
            digests: slots(&digests, peer.authenticates()),
            hiding,
        };
        // The plan bounds every value, so that the message can be written.
        let Ok(octets) = emit(message, attributes, &options) else { return false };
        connection.channel.enqueue(Outgoing(octets)).is_ok()
    }

    /// Sends what a connection's windows let out, acknowledges what is owed, and sets its timers anew.
    pub(crate) fn settle(&mut self, now: Instant, id: ConnectionId) {
        self.open_waiting(now, id);
        let (Some(connection), plan) = (self.connections.get_mut(id.0), &self.plan) else { return };
        let Some(peer) = plan.peer(connection.peer) else { return };
        let digests = digests(peer, &plan.integrity);
        let Connection { channel, state, local_nonce, remote_nonce, path, .. } = &mut *connection;
        let mut out = Vec::new();
        while let Some(sending) = channel.poll_send(now) {
            // The first message has no nonces: there is but one, and it is inside.
            let request = matches!(state, State::WaitReply { .. });
            let nonces =
                if request { Nonces::default() } else { Nonces { sender: local_nonce, receiver: remote_nonce } };
            let transmit = finish(sending.message.0.clone(), (sending.ns, sending.nr), &digests, nonces, *path);
            if sending.again {
                self.counters.retransmissions += 1;
            }
            if let State::WaitConnect { budget, .. } = state {
                if !budget.allows(transmit.payload.len()) {
                    self.counters.withheld += 1;
                    continue;
                }
                budget.sent += transmit.payload.len() as u64;
            }
            out.push(transmit);
        }
        if channel.settle_acknowledgement() {
            let transmit = Self::acknowledgement(connection, &digests, peer.authenticates());
            out.push(transmit);
        }
        connection.sent_messages += out.len() as u64;
        self.counters.sent_messages += out.len() as u64;
        let deadline = connection.channel.deadline();
        let over = connection.is_closing() && connection.channel.pending() == 0;
        for transmit in out {
            self.act(Action::Transmit(transmit));
        }
        match deadline {
            Some(deadline) => self.timers.set(Timer::Retransmit(id), deadline),
            None => {
                self.timers.cancel(&Timer::Retransmit(id));
            }
        }
        if over && self.timers.deadline(&Timer::Linger(id)).is_none() {
            // Some peers answer a StopCCN with one of their own, and it is acknowledged too.
            self.timers.set(Timer::Linger(id), now + defaults::CLOSED_LINGER);
        }
    }

    /// An ACK message where the peer is known to take it, else a message without a body, which every
    /// peer takes unless it authenticates (RFC 3931 §6.15).
    fn acknowledgement(connection: &Connection, digests: &[(DigestAlgorithm, &Keys)], authenticates: bool) -> Transmit {
        let channel = &connection.channel;
        let options = EmitOptions {
            connection_id: connection.remote_id(),
            digests: slots(digests, authenticates),
            ..EmitOptions::default()
        };
        let mut octets = emit(MessageType::ACK, &Attributes::default(), &options).unwrap_or_default();
        if !connection.explicit_acknowledgement {
            octets.truncate(CONTROL_HEADER);
            if let Some(length) = octets.get_mut(2..4) {
                length.copy_from_slice(&(CONTROL_HEADER as u16).to_be_bytes());
            }
        }
        let nonces = Nonces { sender: &connection.local_nonce, receiver: &connection.remote_nonce };
        // An acknowledgement bears the number that the next message will have.
        let sequences = (channel.next_unsent(), channel.next_nr());
        finish(octets, sequences, digests, nonces, connection.path)
    }

    /// Sends the StopCCN that follows an unanswered SCCRQ; the peer finds its state by our identifier.
    pub(crate) fn send_stop_of_request(&mut self, path: Path, peer: usize, nonce: &[u8], attributes: &Attributes<'_>) {
        let nonces = Nonces { sender: nonce, receiver: &[] };
        self.send_once(path, 0, Some(peer), nonces, (1, 0), attributes);
    }

    /// Sends one message outside of any connection: a refusal, which leaves no state behind.
    pub(crate) fn send_refusal(
        &mut self,
        path: Path,
        remote_id: u32,
        peer: Option<(usize, &[u8])>,
        attributes: &Attributes<'_>,
    ) {
        let nonces = Nonces { sender: &[], receiver: peer.map_or(&[], |(_, nonce)| nonce) };
        self.send_once(path, remote_id, peer.map(|(peer, _)| peer), nonces, (0, 1), attributes);
    }

    fn send_once(
        &mut self,
        path: Path,
        remote_id: u32,
        peer: Option<usize>,
        nonces: Nonces<'_>,
        sequences: (u16, u16),
        attributes: &Attributes<'_>,
    ) {
        let plan = &self.plan;
        let peer = peer.and_then(|peer| plan.peers.get(peer));
        let digests = peer.map(|peer| digests(peer, &plan.integrity)).unwrap_or_default();
        let room = slots(&digests, peer.is_some_and(PeerPlan::authenticates));
        let options = EmitOptions { connection_id: remote_id, digests: room, ..EmitOptions::default() };
        let Ok(octets) = emit(MessageType::STOP_CCN, attributes, &options) else { return };
        let transmit = finish(octets, sequences, &digests, nonces, path);
        self.counters.sent_messages += 1;
        self.act(Action::Transmit(transmit));
    }

    /// Refuses a peer of version 2 in its own words.
    pub(crate) fn refuse_version_2(&mut self, path: Path, tunnel: u16, ns: u16) {
        // Nothing is kept under this number: an acknowledgement to it is dropped.
        let own = (self.rng.next_u32() as u16).max(1);
        let Ok(octets) = emit_version_2_refusal(tunnel, own, ns.wrapping_add(1)) else { return };
        let payload = Bytes::from(octets);
        self.counters.sent_messages += 1;
        self.act(Action::Transmit(Transmit { path, payload }));
    }
}
