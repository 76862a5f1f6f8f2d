use super::parameters::SessionParameters;
use crate::drops::DropReason;
use crate::pseudowire::{is_tagged, minimum_frame, rewrite_tag};
use crate::registry::{PseudowireType, SequencingLevel};
use crate::sequence::{Sequence, Verdict};
use crate::wire::{Carrier, Cookie, DataLayout, Sublayer, sequence_in};
use core::num::NonZeroU32;
use core::ops::Range;

/// What every packet that arrives touches of its session: one cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Receiver {
    cookie: Cookie,
    sublayer: Sublayer,
    kind: PseudowireType,
    sequencing: SequencingLevel,
    rewrite_vlan: Option<u16>,
    /// The number of the session's path.
    pub(super) path: u32,
    /// Whose activity this is: the control connection's identifier, or none for a static session.
    pub(super) owner: Option<NonZeroU32>,
    pub(super) sequence: Sequence,
    pub(super) packets: u64,
    pub(super) octets: u64,
}

const _: () = assert!(size_of::<Receiver>() == 64);

impl Receiver {
    pub(super) const fn new(path: u32, owner: Option<NonZeroU32>, of: &SessionParameters) -> Self {
        Self {
            cookie: of.local_cookie,
            sublayer: of.receive_sublayer,
            kind: of.pseudowire,
            sequencing: of.receive_sequencing,
            rewrite_vlan: of.rewrite_vlan,
            path,
            owner,
            sequence: Sequence::new(of.resynchronise_after),
            packets: 0,
            octets: 0,
        }
    }

    /// Returns where the frame of a packet lies, which came over the session's path, and what its
    /// number said.
    #[inline]
    pub(super) fn decapsulate(
        &mut self,
        carrier: Carrier,
        packet: &mut [u8],
    ) -> Result<(Range<usize>, Verdict), DropReason> {
        let cookie_at = DataLayout::cookie_at(carrier);
        let behind_id = packet.get(cookie_at..).ok_or(DropReason::Runt)?;
        if self.cookie.matches(behind_id) != Some(true) {
            return Err(DropReason::CookieMismatch);
        }
        let sublayer_at = cookie_at + self.cookie.len();
        let frame_at = sublayer_at + self.sublayer.len();
        let frame = packet.get(frame_at..).ok_or(DropReason::Runt)?;
        if frame.len() < minimum_frame(self.kind) {
            return Err(DropReason::Runt);
        }
        if self.kind == PseudowireType::ETHERNET_VLAN && !is_tagged(frame) {
            return Err(DropReason::Untagged);
        }
        let mut verdict = Verdict::New;
        if self.sublayer == Sublayer::Default && self.sequencing != SequencingLevel::NONE {
            let sublayer = packet.get(sublayer_at..).and_then(<[u8]>::first_chunk).ok_or(DropReason::Runt)?;
            match (sequence_in(*sublayer), self.sequencing) {
                (Some(number), _) => verdict = self.sequence.take(number),
                (None, SequencingLevel::NON_IP) => {}
                (None, _) => return Err(DropReason::MissingSequence),
            }
            if verdict == Verdict::Old {
                return Err(DropReason::OldSequence);
            }
        }
        if let (Some(vlan), Some(frame)) = (self.rewrite_vlan, packet.get_mut(frame_at..)) {
            rewrite_tag(frame, vlan);
        }
        self.packets += 1;
        self.octets += (packet.len() - frame_at) as u64;
        Ok((frame_at..packet.len(), verdict))
    }
}
