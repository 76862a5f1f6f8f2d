//! Frames into packets and back, in the caller's buffers.

mod batch;
mod parameters;
mod paths;
mod receiver;
mod sender;

pub use batch::{InPacket, OutFrame};
pub use parameters::{Decapsulated, EncapsulateError, Encapsulated, InstallError, SessionId, SessionParameters};

use crate::counters::SessionCounters;
use crate::drops::DropReason;
use crate::registry::SequencingLevel;
use crate::sequence::Verdict;
use crate::table::IdIndex;
use crate::wire::{Carrier, Packet, Sublayer, classify};
use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::ops::Range;
use drive::Path;
use paths::Paths;
use receiver::Receiver;
use sender::Sender;

/// What few frames of a session touch.
#[derive(Debug)]
struct Record {
    parameters: SessionParameters,
    /// All but the frames that passed.
    rare: SessionCounters,
}

/// The sessions that can carry frames, by local session id.
///
/// Nothing is copied and nothing allocated per packet: headers are written in front of the frame
/// and taken off in place. A packet costs one probe of the index and one cache line of its session.
#[derive(Debug, Default)]
pub struct DataPlane {
    index: IdIndex,
    paths: Paths,
    /// By the slots of the index; a slot that came free keeps what it had until it is given again.
    senders: Vec<Sender>,
    receivers: Vec<Receiver>,
    records: Vec<Record>,
}

/// The memory of one session in the data plane in octets, beside two index entries of 8 octets.
pub const DATA_SESSION_OCTETS: usize = size_of::<Sender>() + size_of::<Receiver>() + size_of::<Record>();

impl DataPlane {
    /// Returns a data plane without sessions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a session.
    ///
    /// # Errors
    /// A local session id that is taken, a path that cannot carry L2TP.
    pub fn install(&mut self, parameters: SessionParameters) -> Result<(), InstallError> {
        self.install_for(None, parameters)
    }

    pub(crate) fn install_for(
        &mut self,
        owner: Option<NonZeroU32>,
        parameters: SessionParameters,
    ) -> Result<(), InstallError> {
        let layout = parameters.layout().ok_or(InstallError::OtherProtocol)?;
        let slot = self.index.insert(parameters.local_id.0).ok_or(InstallError::IdTaken)?;
        let path = self.paths.take(parameters.path);
        put(&mut self.senders, slot, Sender::new(path, &layout, &parameters));
        put(&mut self.receivers, slot, Receiver::new(path, owner, &parameters));
        put(&mut self.records, slot, Record { parameters, rare: SessionCounters::default() });
        Ok(())
    }

    /// Removes a session and returns what it counted.
    pub fn remove(&mut self, session: SessionId) -> Option<SessionCounters> {
        let counters = self.counters(session);
        let slot = self.index.remove(session.0)?;
        if let Some(sender) = self.senders.get(slot) {
            self.paths.release(sender.path);
        }
        counters
    }

    /// Notes whether the peer's circuit is up; while it is not, nothing is sent to it.
    pub fn set_peer_circuit(&mut self, session: SessionId, up: bool) {
        if let Some(sender) = self.index.slot(session.0).and_then(|slot| self.senders.get_mut(slot)) {
            sender.peer_circuit_down = !up;
        }
    }

    /// Changes what is put in front of frames, when the peer says so late in the negotiation.
    pub(crate) fn set_send_format(&mut self, session: SessionId, sublayer: Sublayer, sequencing: SequencingLevel) {
        let Some(slot) = self.index.slot(session.0) else { return };
        let (Some(sender), Some(record)) = (self.senders.get_mut(slot), self.records.get_mut(slot)) else { return };
        record.parameters.send_sublayer = sublayer;
        record.parameters.send_sequencing = sequencing;
        if let Some(layout) = record.parameters.layout() {
            sender.set_format(&layout, sequencing);
        }
    }

    /// Returns the number of sessions.
    pub const fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns whether there is no session.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether there is such a session.
    #[inline]
    pub fn contains(&self, session: SessionId) -> bool {
        self.index.slot(session.0).is_some()
    }

    /// Returns the parameters of a session.
    pub fn parameters(&self, session: SessionId) -> Option<&SessionParameters> {
        self.records.get(self.index.slot(session.0)?).map(|record| &record.parameters)
    }

    /// Returns what a session counted.
    pub fn counters(&self, session: SessionId) -> Option<SessionCounters> {
        let slot = self.index.slot(session.0)?;
        let (sender, receiver) = (self.senders.get(slot)?, self.receivers.get(slot)?);
        Some(SessionCounters {
            received_packets: receiver.packets,
            received_octets: receiver.octets,
            sent_packets: sender.packets,
            sent_octets: sender.octets,
            ..self.records.get(slot)?.rare
        })
    }

    /// Returns the next sequence number to send and the one expected next.
    pub fn sequence_numbers(&self, session: SessionId) -> Option<(u32, u32)> {
        let slot = self.index.slot(session.0)?;
        Some((self.senders.get(slot)?.number, self.receivers.get(slot)?.sequence.expected()))
    }

    /// Puts the header in front of `frame`, a range of `buffer`.
    ///
    /// [`MAX_DATA_HEADER`](crate::wire::MAX_DATA_HEADER) octets of room are always enough.
    ///
    /// # Errors
    /// No such session, a circuit that is down, a runt, too little room. Each is counted.
    #[inline]
    pub fn encapsulate(
        &mut self,
        session: SessionId,
        buffer: &mut [u8],
        frame: Range<usize>,
    ) -> Result<Encapsulated, EncapsulateError> {
        let slot = self.index.slot(session.0).ok_or(EncapsulateError::UnknownSession)?;
        self.encapsulate_at(slot, buffer, frame)
    }

    #[inline]
    fn encapsulate_at(
        &mut self,
        slot: usize,
        buffer: &mut [u8],
        frame: Range<usize>,
    ) -> Result<Encapsulated, EncapsulateError> {
        let sender = self.senders.get_mut(slot).ok_or(EncapsulateError::UnknownSession)?;
        match sender.encapsulate(buffer, frame) {
            Ok(packet) => {
                let path = self.paths.get(sender.path).ok_or(EncapsulateError::UnknownSession)?;
                Ok(Encapsulated { path: *path, packet })
            }
            Err(error) => {
                if let Some(record) = self.records.get_mut(slot) {
                    record.rare.count_unsent(error);
                }
                Err(error)
            }
        }
    }

    /// Checks and takes off the header of a packet that fills `buffer`.
    ///
    /// The order is: session, path, cookie (in constant time), length, sequence number.
    ///
    /// # Errors
    /// Why the packet is to be dropped; counted at the session, if there is one.
    #[inline]
    pub fn decapsulate(&mut self, path: Path, buffer: &mut [u8]) -> Result<Decapsulated, DropReason> {
        self.decapsulate_for(path, buffer).map(|(decapsulated, _)| decapsulated)
    }

    #[inline]
    pub(crate) fn decapsulate_for(
        &mut self,
        path: Path,
        buffer: &mut [u8],
    ) -> Result<(Decapsulated, Option<NonZeroU32>), DropReason> {
        let (carrier, id) = session_in(path, buffer)?;
        let slot = self.index.slot(id).ok_or(DropReason::UnknownSession)?;
        self.decapsulate_at(slot, SessionId(id), carrier, path, buffer)
    }

    #[inline]
    fn decapsulate_at(
        &mut self,
        slot: usize,
        session: SessionId,
        carrier: Carrier,
        path: Path,
        buffer: &mut [u8],
    ) -> Result<(Decapsulated, Option<NonZeroU32>), DropReason> {
        let receiver = self.receivers.get_mut(slot).ok_or(DropReason::UnknownSession)?;
        let opened = if self.paths.get(receiver.path) == Some(&path) {
            receiver.decapsulate(carrier, buffer)
        } else {
            Err(DropReason::WrongPath)
        };
        match opened {
            Ok((frame, verdict)) => {
                let owner = receiver.owner;
                if let (Verdict::Resynchronised, Some(record)) = (verdict, self.records.get_mut(slot)) {
                    record.rare.resynchronisations += 1;
                }
                Ok((Decapsulated { session, frame }, owner))
            }
            Err(reason) => {
                if let Some(record) = self.records.get_mut(slot) {
                    record.rare.count_drop(reason);
                }
                Err(reason)
            }
        }
    }
}

/// Puts a value into a slot that came free, or is the next of all.
fn put<T>(slots: &mut Vec<T>, slot: usize, value: T) {
    match slots.get_mut(slot) {
        Some(place) => *place = value,
        None => slots.push(value),
    }
}

/// Returns what carries a packet and the session it says it is of.
#[inline]
fn session_in(path: Path, packet: &[u8]) -> Result<(Carrier, NonZeroU32), DropReason> {
    let carrier = Carrier::of(path).ok_or(DropReason::OtherProtocol)?;
    match classify(carrier, packet).map_err(|error| DropReason::Malformed(error.kind))? {
        Packet::Data(id) => NonZeroU32::new(id).map(|id| (carrier, id)).ok_or(DropReason::UnknownSession),
        Packet::Control(_) => Err(DropReason::Unexpected),
        Packet::Version2Data => Err(DropReason::Version2),
        Packet::L2f => Err(DropReason::L2f),
    }
}
