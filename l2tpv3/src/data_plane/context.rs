use super::parameters::{EncapsulateError, SessionParameters};
use crate::counters::SessionCounters;
use crate::drops::DropReason;
use crate::pseudowire::{carries_ip, is_tagged, minimum_frame, rewrite_tag};
use crate::registry::{PseudowireType, SequencingLevel};
use crate::sequence::{Receiver, Verdict};
use crate::wire::{Carrier, Cookie, DataLayout, MAX_DATA_HEADER, Sublayer, sequence_in, sequenced};
use core::num::NonZeroU32;
use core::ops::Range;

/// What every frame of a session touches: two cache lines.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Context {
    template: [u8; MAX_DATA_HEADER],
    header: u8,
    pub(super) peer_circuit_down: bool,
    receive_sublayer: Sublayer,
    send_sublayer: Sublayer,
    local_cookie: Cookie,
    kind: PseudowireType,
    receive_sequencing: SequencingLevel,
    send_sequencing: SequencingLevel,
    rewrite_vlan: Option<u16>,
    /// The number of the session's path.
    pub(super) path: u32,
    /// Whose activity this is: the control connection's identifier, or none for a static session.
    pub(super) owner: Option<NonZeroU32>,
    pub(super) send_number: u32,
    pub(super) receive: Receiver,
    received_packets: u64,
    received_octets: u64,
    sent_packets: u64,
    sent_octets: u64,
}

impl Context {
    pub(super) fn new(owner: Option<NonZeroU32>, path: u32, layout: &DataLayout, of: &SessionParameters) -> Self {
        Self {
            template: layout.template(),
            header: layout.len() as u8,
            peer_circuit_down: false,
            receive_sublayer: of.receive_sublayer,
            send_sublayer: of.send_sublayer,
            local_cookie: of.local_cookie,
            kind: of.pseudowire,
            receive_sequencing: of.receive_sequencing,
            send_sequencing: of.send_sequencing,
            rewrite_vlan: of.rewrite_vlan,
            path,
            owner,
            send_number: 0,
            receive: Receiver::new(of.resynchronise_after),
            received_packets: 0,
            received_octets: 0,
            sent_packets: 0,
            sent_octets: 0,
        }
    }

    /// Changes what is put in front of frames.
    pub(super) fn set_send_format(&mut self, layout: &DataLayout, sequencing: SequencingLevel) {
        self.template = layout.template();
        self.header = layout.len() as u8;
        self.send_sublayer = layout.sublayer;
        self.send_sequencing = sequencing;
    }

    /// Reads a word of each cache line.
    #[inline]
    pub(super) const fn touch(&self) -> u64 {
        self.received_packets ^ self.header as u64
    }

    /// Adds what is counted here to what is counted elsewhere.
    pub(super) const fn counted(&self, rare: &SessionCounters) -> SessionCounters {
        SessionCounters {
            received_packets: self.received_packets,
            received_octets: self.received_octets,
            sent_packets: self.sent_packets,
            sent_octets: self.sent_octets,
            ..*rare
        }
    }

    /// Returns where the packet lies once its header is in front of the frame.
    #[inline]
    pub(super) fn encapsulate(
        &mut self,
        buffer: &mut [u8],
        frame: Range<usize>,
    ) -> Result<Range<usize>, EncapsulateError> {
        let octets = buffer.get(frame.clone()).ok_or(EncapsulateError::BadFrame)?;
        if octets.len() < minimum_frame(self.kind) {
            return Err(EncapsulateError::BadFrame);
        }
        if self.peer_circuit_down {
            return Err(EncapsulateError::CircuitDown);
        }
        let header = usize::from(self.header);
        let start = frame.start.checked_sub(header).ok_or(EncapsulateError::BufferTooSmall { needed: header })?;
        let numbered = match (self.send_sublayer, self.send_sequencing) {
            (Sublayer::None, _) | (_, SequencingLevel::NONE) => false,
            (Sublayer::Default, SequencingLevel::NON_IP) => !carries_ip(self.kind, octets),
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
        self.sent_packets += 1;
        self.sent_octets += (frame.end - frame.start) as u64;
        Ok(start..frame.end)
    }

    /// Returns where the frame of a packet lies, which came over the session's path, and what the
    /// sequence number said.
    #[inline]
    pub(super) fn decapsulate(
        &mut self,
        carrier: Carrier,
        buffer: &mut [u8],
    ) -> Result<(Range<usize>, Verdict), DropReason> {
        let cookie_at = DataLayout::cookie_at(carrier);
        let behind_id = buffer.get(cookie_at..).ok_or(DropReason::Runt)?;
        if self.local_cookie.matches(behind_id) != Some(true) {
            return Err(DropReason::CookieMismatch);
        }
        let sublayer_at = cookie_at + self.local_cookie.len();
        let frame_at = sublayer_at + self.receive_sublayer.len();
        let end = buffer.len();
        let frame =
            buffer.get(frame_at..).filter(|frame| frame.len() >= minimum_frame(self.kind)).ok_or(DropReason::Runt)?;
        if self.kind == PseudowireType::ETHERNET_VLAN && !is_tagged(frame) {
            return Err(DropReason::Untagged);
        }
        let mut verdict = Verdict::New;
        if self.receive_sublayer == Sublayer::Default && self.receive_sequencing != SequencingLevel::NONE {
            let sublayer = buffer.get(sublayer_at..).and_then(<[u8]>::first_chunk).ok_or(DropReason::Runt)?;
            match (sequence_in(*sublayer), self.receive_sequencing) {
                (Some(number), _) => verdict = self.receive.take(number),
                (None, SequencingLevel::NON_IP) => {}
                (None, _) => return Err(DropReason::MissingSequence),
            }
            if verdict == Verdict::Old {
                return Err(DropReason::OldSequence);
            }
        }
        if let (Some(vlan), Some(frame)) = (self.rewrite_vlan, buffer.get_mut(frame_at..)) {
            rewrite_tag(frame, vlan);
        }
        self.received_packets += 1;
        self.received_octets += (end - frame_at) as u64;
        Ok((frame_at..end, verdict))
    }
}
