//! Frames into packets and back, in the caller's buffers.

use crate::counters::SessionCounters;
use crate::drops::DropReason;
use crate::pseudowire::{carries_ip, is_tagged, minimum_frame, rewrite_tag};
use crate::registry::{PseudowireType, SequencingLevel};
use crate::sequence::{Receiver, Verdict};
use crate::table::IdTable;
use crate::wire::{Carrier, Cookie, DataLayout, MAX_DATA_HEADER, Packet, Sublayer, classify, sequence_in, sequenced};
use core::fmt;
use core::num::NonZeroU32;
use core::ops::Range;
use drive::Path;

/// A session of this end: its local session id, which peers put into the packets they send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub NonZeroU32);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// All that the data plane knows of a session: what was negotiated, or what the operator wrote down
/// for a session without control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionParameters {
    /// The ends of the packets, and what carries them.
    pub path: Path,
    /// The session id in packets that arrive.
    pub local_id: SessionId,
    /// The session id in packets that are sent.
    pub remote_id: NonZeroU32,
    /// The cookie demanded of packets that arrive.
    pub local_cookie: Cookie,
    /// The cookie in packets that are sent.
    pub remote_cookie: Cookie,
    /// What the frames are.
    pub pseudowire: PseudowireType,
    /// The sublayer in packets that arrive.
    pub receive_sublayer: Sublayer,
    /// The sublayer in packets that are sent.
    pub send_sublayer: Sublayer,
    /// Which packets that arrive are numbered.
    pub receive_sequencing: SequencingLevel,
    /// Which packets that are sent are numbered.
    pub send_sequencing: SequencingLevel,
    /// The VLAN identifier written into tagged frames that arrive, if any.
    pub rewrite_vlan: Option<u16>,
    /// After how many packets in sequence, all taken for old, their numbers are believed, RFC 3931 appendix C.
    pub resynchronise_after: u8,
}

impl SessionParameters {
    fn layout(&self) -> Option<DataLayout> {
        Some(DataLayout {
            carrier: Carrier::of(self.path)?,
            session_id: self.remote_id,
            cookie: self.remote_cookie,
            sublayer: self.send_sublayer,
        })
    }

    /// Returns the octets put in front of each frame, `None` if the path cannot carry L2TP.
    pub fn overhead(&self) -> Option<usize> {
        self.layout().map(|layout| layout.len())
    }
}

/// Why a session was not installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstallError {
    /// The local session id belongs to another session.
    IdTaken,
    /// The path carries neither IP protocol 115 nor UDP.
    OtherProtocol,
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IdTaken => "the local session id is taken",
            Self::OtherProtocol => "the path carries neither IP protocol 115 nor UDP",
        })
    }
}

impl core::error::Error for InstallError {}

/// Why a frame was not encapsulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncapsulateError {
    /// There is no such session.
    UnknownSession,
    /// The peer's circuit is down: nothing may be sent to it until it says otherwise.
    CircuitDown,
    /// The frame is shorter than its kind allows, or not within the buffer.
    BadFrame,
    /// There is not enough room in front of the frame.
    BufferTooSmall {
        /// The octets needed in front of the frame.
        needed: usize,
    },
}

impl fmt::Display for EncapsulateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSession => f.write_str("unknown session"),
            Self::CircuitDown => f.write_str("the peer's circuit is down"),
            Self::BadFrame => f.write_str("the frame is too short or lies outside the buffer"),
            Self::BufferTooSmall { needed } => write!(f, "{needed} octets are needed in front of the frame"),
        }
    }
}

impl core::error::Error for EncapsulateError {}

/// A packet ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encapsulated {
    /// Where to.
    pub path: Path,
    /// Where in the buffer the packet lies, without any header of the carrier.
    pub packet: Range<usize>,
}

/// A frame taken out of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decapsulated {
    /// The session it belongs to.
    pub session: SessionId,
    /// Where in the buffer the frame lies.
    pub frame: Range<usize>,
}

#[derive(Debug)]
struct Context {
    template: [u8; MAX_DATA_HEADER],
    header: u8,
    peer_circuit_down: bool,
    /// Whose activity this is: the control connection's identifier, or none for a static session.
    owner: Option<NonZeroU32>,
    send_number: u32,
    receive: Receiver,
    counters: SessionCounters,
    parameters: SessionParameters,
}

/// The sessions that can carry frames, by local session id.
///
/// Nothing is copied and nothing allocated per packet: headers are written in front of the frame
/// and taken off in place.
#[derive(Debug, Default)]
pub struct DataPlane {
    sessions: IdTable<Context>,
}

/// The memory of one session in the data plane in octets, beside two index entries of 8 octets.
pub const DATA_SESSION_OCTETS: usize = size_of::<Option<(NonZeroU32, Context)>>();

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
        let context = Context {
            template: layout.template(),
            header: layout.len() as u8,
            peer_circuit_down: false,
            owner,
            send_number: 0,
            receive: Receiver::new(parameters.resynchronise_after),
            counters: SessionCounters::default(),
            parameters,
        };
        self.sessions.insert(parameters.local_id.0, context).map_err(|_| InstallError::IdTaken)
    }

    /// Removes a session and returns what it counted.
    pub fn remove(&mut self, session: SessionId) -> Option<SessionCounters> {
        self.sessions.remove(session.0).map(|context| context.counters)
    }

    /// Notes whether the peer's circuit is up; while it is not, nothing is sent to it.
    pub fn set_peer_circuit(&mut self, session: SessionId, up: bool) {
        if let Some(context) = self.sessions.get_mut(session.0) {
            context.peer_circuit_down = !up;
        }
    }

    /// Changes what is put in front of frames, when the peer says so late in the negotiation.
    pub(crate) fn set_send_format(&mut self, session: SessionId, sublayer: Sublayer, sequencing: SequencingLevel) {
        let Some(context) = self.sessions.get_mut(session.0) else { return };
        context.parameters.send_sublayer = sublayer;
        context.parameters.send_sequencing = sequencing;
        if let Some(layout) = context.parameters.layout() {
            context.template = layout.template();
            context.header = layout.len() as u8;
        }
    }

    /// Returns the number of sessions.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Returns whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.sessions.len() == 0
    }

    /// Returns the parameters of a session.
    pub fn parameters(&self, session: SessionId) -> Option<&SessionParameters> {
        self.sessions.get(session.0).map(|context| &context.parameters)
    }

    /// Returns what a session counted.
    pub fn counters(&self, session: SessionId) -> Option<&SessionCounters> {
        self.sessions.get(session.0).map(|context| &context.counters)
    }

    /// Returns the next sequence number to send and the one expected next.
    pub fn sequence_numbers(&self, session: SessionId) -> Option<(u32, u32)> {
        self.sessions.get(session.0).map(|context| (context.send_number, context.receive.expected()))
    }

    /// Puts the header in front of `frame`, a range of `buffer`.
    ///
    /// [`MAX_DATA_HEADER`] octets of room are always enough.
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
        let context = self.sessions.get_mut(session.0).ok_or(EncapsulateError::UnknownSession)?;
        let result = context.encapsulate(buffer, frame);
        match &result {
            Ok(_) => {}
            Err(EncapsulateError::CircuitDown) => context.counters.sent_discards += 1,
            Err(_) => context.counters.sent_errors += 1,
        }
        result
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

    pub(crate) fn decapsulate_for(
        &mut self,
        path: Path,
        buffer: &mut [u8],
    ) -> Result<(Decapsulated, Option<NonZeroU32>), DropReason> {
        let carrier = Carrier::of(path).ok_or(DropReason::OtherProtocol)?;
        let id = match classify(carrier, buffer).map_err(|error| DropReason::Malformed(error.kind))? {
            Packet::Data(id) => NonZeroU32::new(id).ok_or(DropReason::UnknownSession)?,
            Packet::Control(_) => return Err(DropReason::Unexpected),
            Packet::Version2Data => return Err(DropReason::Version2),
            Packet::L2f => return Err(DropReason::L2f),
        };
        let context = self.sessions.get_mut(id).ok_or(DropReason::UnknownSession)?;
        match context.decapsulate(path, carrier, buffer) {
            Ok(frame) => Ok((Decapsulated { session: SessionId(id), frame }, context.owner)),
            Err(reason) => {
                context.counters.count_drop(reason);
                Err(reason)
            }
        }
    }
}

impl Context {
    #[inline]
    fn encapsulate(&mut self, buffer: &mut [u8], frame: Range<usize>) -> Result<Encapsulated, EncapsulateError> {
        let kind = self.parameters.pseudowire;
        let octets = buffer.get(frame.clone()).ok_or(EncapsulateError::BadFrame)?;
        if octets.len() < minimum_frame(kind) {
            return Err(EncapsulateError::BadFrame);
        }
        if self.peer_circuit_down {
            return Err(EncapsulateError::CircuitDown);
        }
        let header = usize::from(self.header);
        let start = frame.start.checked_sub(header).ok_or(EncapsulateError::BufferTooSmall { needed: header })?;
        let numbered = match (self.parameters.send_sublayer, self.parameters.send_sequencing) {
            (Sublayer::None, _) | (_, SequencingLevel::NONE) => false,
            (Sublayer::Default, SequencingLevel::NON_IP) => !carries_ip(kind, octets),
            (Sublayer::Default, _) => true,
        };
        let place = buffer.get_mut(start..frame.start).ok_or(EncapsulateError::BadFrame)?;
        place.copy_from_slice(self.template.get(..header).unwrap_or_default());
        if numbered {
            if let Some(sublayer) = place.last_chunk_mut() {
                *sublayer = sequenced(self.send_number);
            }
            self.send_number = (self.send_number + 1) % crate::wire::SEQUENCE_MODULUS;
        }
        self.counters.sent_packets += 1;
        self.counters.sent_octets += (frame.end - frame.start) as u64;
        Ok(Encapsulated { path: self.parameters.path, packet: start..frame.end })
    }

    #[inline]
    fn decapsulate(&mut self, path: Path, carrier: Carrier, buffer: &mut [u8]) -> Result<Range<usize>, DropReason> {
        if path != self.parameters.path {
            return Err(DropReason::WrongPath);
        }
        let cookie_at = DataLayout::cookie_at(carrier);
        let behind_id = buffer.get(cookie_at..).ok_or(DropReason::Runt)?;
        if self.parameters.local_cookie.matches(behind_id) != Some(true) {
            return Err(DropReason::CookieMismatch);
        }
        let sublayer_at = cookie_at + self.parameters.local_cookie.len();
        let frame_at = sublayer_at + self.parameters.receive_sublayer.len();
        let end = buffer.len();
        let kind = self.parameters.pseudowire;
        let frame =
            buffer.get(frame_at..).filter(|frame| frame.len() >= minimum_frame(kind)).ok_or(DropReason::Runt)?;
        if kind == PseudowireType::ETHERNET_VLAN && !is_tagged(frame) {
            return Err(DropReason::Untagged);
        }
        if self.parameters.receive_sublayer == Sublayer::Default
            && self.parameters.receive_sequencing != SequencingLevel::NONE
        {
            let sublayer = buffer.get(sublayer_at..).and_then(<[u8]>::first_chunk).ok_or(DropReason::Runt)?;
            match (sequence_in(*sublayer), self.parameters.receive_sequencing) {
                (Some(number), _) => match self.receive.take(number) {
                    Verdict::New => {}
                    Verdict::Resynchronised => self.counters.resynchronisations += 1,
                    Verdict::Old => return Err(DropReason::OldSequence),
                },
                (None, SequencingLevel::NON_IP) => {}
                (None, _) => return Err(DropReason::MissingSequence),
            }
        }
        if let (Some(vlan), Some(frame)) = (self.parameters.rewrite_vlan, buffer.get_mut(frame_at..)) {
            rewrite_tag(frame, vlan);
        }
        self.counters.received_packets += 1;
        self.counters.received_octets += (end - frame_at) as u64;
        Ok(frame_at..end)
    }
}
