//! Many frames in one call. Each goes the way of a single one; what is gained is that the memory of
//! all sessions is on its way before the first frame is worked on.

use super::{DataPlane, Decapsulated, EncapsulateError, Encapsulated, SessionId, session_in};
use crate::drops::DropReason;
use core::num::NonZeroU32;
use core::ops::Range;
use drive::Path;

/// Frames looked up together; a longer batch is worked on in lots of so many.
const LOT: usize = 64;

/// A frame to send, somewhere in the caller's buffer, with room in front.
#[derive(Debug)]
pub struct OutFrame<'b> {
    /// The session that is to carry it.
    pub session: SessionId,
    /// The buffer.
    pub buffer: &'b mut [u8],
    /// Where in the buffer the frame lies.
    pub frame: Range<usize>,
    /// What became of it; `None` before it was worked on.
    pub outcome: Option<Result<Encapsulated, EncapsulateError>>,
}

impl<'b> OutFrame<'b> {
    /// Returns a frame to send.
    pub const fn new(session: SessionId, buffer: &'b mut [u8], frame: Range<usize>) -> Self {
        Self { session, buffer, frame, outcome: None }
    }
}

/// A data message that arrived; it fills the caller's buffer.
#[derive(Debug)]
pub struct InPacket<'b> {
    /// Where it arrived and whom it came from.
    pub path: Path,
    /// The buffer.
    pub buffer: &'b mut [u8],
    /// What became of it; `None` before it was worked on.
    pub outcome: Option<Result<Decapsulated, DropReason>>,
}

impl<'b> InPacket<'b> {
    /// Returns a packet that arrived.
    pub const fn new(path: Path, buffer: &'b mut [u8]) -> Self {
        Self { path, buffer, outcome: None }
    }
}

impl DataPlane {
    /// Puts the header in front of each frame, in the order of the batch; see [`encapsulate`](Self::encapsulate).
    pub fn encapsulate_batch(&mut self, batch: &mut [OutFrame<'_>]) {
        for lot in batch.chunks_mut(LOT) {
            let slots = self.look_up(lot.iter().map(|item| Some(item.session.0)));
            touch(&self.senders, &slots, |sender| sender.packets);
            for (item, slot) in lot.iter_mut().zip(slots) {
                let result = match slot {
                    Some(slot) => self.encapsulate_at(slot as usize, item.buffer, item.frame.clone()),
                    None => Err(EncapsulateError::UnknownSession),
                };
                item.outcome = Some(result);
            }
        }
    }

    /// Checks and takes off the header of each packet, in the order of the batch; see
    /// [`decapsulate`](Self::decapsulate).
    pub fn decapsulate_batch(&mut self, batch: &mut [InPacket<'_>]) {
        self.decapsulate_batch_for(batch, |_, _| {});
    }

    /// Hands each packet on with its outcome and with the connection whose activity it is.
    pub(crate) fn decapsulate_batch_for(
        &mut self,
        batch: &mut [InPacket<'_>],
        mut done: impl FnMut(&mut InPacket<'_>, Option<NonZeroU32>),
    ) {
        for lot in batch.chunks_mut(LOT) {
            let id = |item: &InPacket<'_>| session_in(item.path, item.buffer).ok().map(|(_, id)| id);
            let slots = self.look_up(lot.iter().map(id));
            touch(&self.receivers, &slots, |receiver| receiver.packets);
            for (item, slot) in lot.iter_mut().zip(slots) {
                let result = session_in(item.path, item.buffer).and_then(|(carrier, id)| {
                    let slot = slot.ok_or(DropReason::UnknownSession)? as usize;
                    self.decapsulate_at(slot, SessionId(id), carrier, item.path, item.buffer)
                });
                let owner = result.as_ref().ok().and_then(|(_, owner)| *owner);
                item.outcome = Some(result.map(|(decapsulated, _)| decapsulated));
                done(item, owner);
            }
        }
    }

    /// Finds the slots of a lot.
    fn look_up(&self, ids: impl Iterator<Item = Option<NonZeroU32>>) -> [Option<u32>; LOT] {
        let mut slots = [None; LOT];
        for (slot, id) in slots.iter_mut().zip(ids) {
            *slot = id.and_then(|id| self.index.slot(id)).map(|slot| slot as u32);
        }
        slots
    }
}

/// Reads a word of each session of a lot, none waiting for another: the cache has them when their turn comes.
fn touch<T>(sessions: &[T], slots: &[Option<u32>; LOT], word: impl Fn(&T) -> u64) {
    let words = slots.iter().flatten().filter_map(|slot| sessions.get(*slot as usize)).map(word);
    core::hint::black_box(words.fold(0, |all, word| all ^ word));
}
