use super::parameters::{EncapsulateError, SessionParameters};
use crate::pseudowire::{carries_ip, minimum_frame};
use crate::registry::{PseudowireType, SequencingLevel};
use crate::wire::{DataLayout, MAX_DATA_HEADER, SEQUENCE_MODULUS, Sublayer, sequenced};
use core::ops::Range;

/// What every frame that is sent touches of its session: one cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Sender {
    template: [u8; MAX_DATA_HEADER],
    header: u8,
    pub(super) peer_circuit_down: bool,
    sublayer: Sublayer,
    kind: PseudowireType,
    sequencing: SequencingLevel,
    /// The number of the session's path.
    pub(super) path: u32,
    pub(super) number: u32,
    pub(super) packets: u64,
    pub(super) octets: u64,
}

const _: () = assert!(size_of::<Sender>() == 64);

impl Sender {
    pub(super) fn new(path: u32, layout: &DataLayout, of: &SessionParameters) -> Self {
        Self {
            template: layout.template(),
            header: layout.len() as u8,
            peer_circuit_down: false,
            sublayer: of.send_sublayer,
            kind: of.pseudowire,
            sequencing: of.send_sequencing,
            path,
            number: 0,
            packets: 0,
            octets: 0,
        }
    }

    /// Changes what is put in front of frames.
    pub(super) fn set_format(&mut self, layout: &DataLayout, sequencing: SequencingLevel) {
        self.template = layout.template();
        self.header = layout.len() as u8;
        self.sublayer = layout.sublayer;
        self.sequencing = sequencing;
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
        let numbered = match (self.sublayer, self.sequencing) {
            (Sublayer::None, _) | (_, SequencingLevel::NONE) => false,
            (Sublayer::Default, SequencingLevel::NON_IP) => !carries_ip(self.kind, octets),
            (Sublayer::Default, _) => true,
        };
        let place = buffer.get_mut(start..frame.start).ok_or(EncapsulateError::BadFrame)?;
        place.copy_from_slice(self.template.get(..header).unwrap_or_default());
        if numbered {
            if let Some(sublayer) = place.last_chunk_mut() {
                *sublayer = sequenced(self.number);
            }
            self.number = (self.number + 1) % SEQUENCE_MODULUS;
        }
        self.packets += 1;
        self.octets += (frame.end - frame.start) as u64;
        Ok(start..frame.end)
    }
}
