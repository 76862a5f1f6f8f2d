use core::ops::Range;

/// Which end of a packet's buffer lacks room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Room {
    /// Before the packet: headers and IV.
    Head,
    /// After the packet: padding and ICV.
    Tail,
}

/// The buffer has too little room at one end of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("buffer too small: {needed} octets needed at the {room:?} of the packet")]
pub struct BufferTooSmall {
    /// The end of the packet.
    pub room: Room,
    /// Octets needed there.
    pub needed: usize,
}

/// A packet that stands somewhere in the caller's buffer, with headroom before it and tailroom behind.
///
/// Everything in this crate works in place: headers grow into the headroom, padding and ICV into the
/// tailroom. No octet outside the buffer is reachable and none is copied.
#[derive(Debug)]
pub struct Packet<'b> {
    buffer: &'b mut [u8],
    start: usize,
    end: usize,
}

impl<'b> Packet<'b> {
    /// Makes a packet of the octets `range` of `buffer`; `None` if the range is not inside.
    pub fn new(buffer: &'b mut [u8], range: Range<usize>) -> Option<Self> {
        buffer.get(range.clone())?;
        Some(Self { buffer, start: range.start, end: range.end })
    }

    /// Makes a packet of a whole buffer, without head or tailroom: as it comes from a socket.
    pub fn whole(buffer: &'b mut [u8]) -> Self {
        let end = buffer.len();
        Self { buffer, start: 0, end }
    }

    /// Returns the packet's octets.
    pub fn octets(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or(&[])
    }

    /// Returns the packet's octets, to change.
    pub fn octets_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.start..self.end).unwrap_or(&mut [])
    }

    /// Returns where in the buffer the packet stands.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Returns the number of the packet's octets.
    pub fn len(&self) -> usize {
        // `start <= end` is the invariant of every method here.
        self.end.saturating_sub(self.start)
    }

    /// Returns whether the packet has no octets.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the octets of room before the packet.
    pub fn headroom(&self) -> usize {
        self.start
    }

    /// Returns the octets of room after the packet.
    pub fn tailroom(&self) -> usize {
        self.buffer.len().saturating_sub(self.end)
    }

    /// Gives the buffer back, with the range of the packet.
    pub fn into_parts(self) -> (&'b mut [u8], Range<usize>) {
        (self.buffer, self.start..self.end)
    }

    /// Borrows the packet for a shorter time, so that the caller has it back afterwards.
    ///
    /// What the borrower grows or trims does not show here: see [`set_range`](Self::set_range).
    pub fn reborrow(&mut self) -> Packet<'_> {
        Packet { buffer: self.buffer, start: self.start, end: self.end }
    }

    /// Moves the packet to other octets of its buffer; `None` and no change if they are not inside.
    pub fn set_range(&mut self, range: Range<usize>) -> Option<()> {
        self.buffer.get(range.clone())?;
        self.start = range.start;
        self.end = range.end;
        Some(())
    }

    /// Grows the packet by `count` octets at its start and returns them.
    ///
    /// # Errors
    /// Too little headroom; the packet is unchanged.
    pub fn grow_front(&mut self, count: usize) -> Result<&mut [u8], BufferTooSmall> {
        let too_small = BufferTooSmall { room: Room::Head, needed: count };
        let start = self.start.checked_sub(count).ok_or(too_small)?;
        let grown = self.buffer.get_mut(start..self.start).ok_or(too_small)?;
        self.start = start;
        Ok(grown)
    }

    /// Grows the packet by `count` octets at its end and returns them.
    ///
    /// # Errors
    /// Too little tailroom; the packet is unchanged.
    pub fn grow_back(&mut self, count: usize) -> Result<&mut [u8], BufferTooSmall> {
        let too_small = BufferTooSmall { room: Room::Tail, needed: count };
        let end = self.end.checked_add(count).ok_or(too_small)?;
        let grown = self.buffer.get_mut(self.end..end).ok_or(too_small)?;
        self.end = end;
        Ok(grown)
    }

    /// Takes `count` octets off the start of the packet; `None` and no change if it has fewer.
    pub fn trim_front(&mut self, count: usize) -> Option<()> {
        if count > self.len() {
            return None;
        }
        self.start = self.start.saturating_add(count);
        Some(())
    }

    /// Takes `count` octets off the end of the packet; `None` and no change if it has fewer.
    pub fn trim_back(&mut self, count: usize) -> Option<()> {
        if count > self.len() {
            return None;
        }
        self.end = self.end.saturating_sub(count);
        Some(())
    }

    /// Moves `count` octets at the packet's start forward by `gap`, which opens a gap after them.
    ///
    /// # Errors
    /// Too little headroom; the packet is unchanged.
    pub(crate) fn open_gap(&mut self, count: usize, gap: usize) -> Result<(), BufferTooSmall> {
        let too_small = BufferTooSmall { room: Room::Head, needed: gap };
        let start = self.start.checked_sub(gap).ok_or(too_small)?;
        let moved = self.start..self.start.saturating_add(count.min(self.len()));
        self.buffer.copy_within(moved, start);
        self.start = start;
        Ok(())
    }

    /// Moves `count` octets at the packet's start back over the `gap` octets behind them.
    pub(crate) fn close_gap(&mut self, count: usize, gap: usize) -> Option<()> {
        if count.checked_add(gap)? > self.len() {
            return None;
        }
        let moved = self.start..self.start.saturating_add(count);
        self.start = self.start.saturating_add(gap);
        self.buffer.copy_within(moved, self.start);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_grows_into_its_room_and_no_further() {
        let mut buffer = [0, 1, 2, 3, 4, 5];
        let mut packet = Packet::new(&mut buffer, 2..4).unwrap();
        assert_eq!((packet.octets(), packet.headroom(), packet.tailroom()), (&[2, 3][..], 2, 2));
        assert_eq!(packet.grow_front(3).unwrap_err(), BufferTooSmall { room: Room::Head, needed: 3 });
        assert_eq!(packet.grow_back(3).unwrap_err(), BufferTooSmall { room: Room::Tail, needed: 3 });
        assert_eq!(packet.octets(), [2, 3]);
        packet.grow_front(1).unwrap();
        packet.grow_back(2).unwrap();
        assert_eq!(packet.octets(), [1, 2, 3, 4, 5]);
        assert_eq!(packet.trim_front(6), None);
        packet.trim_front(2).unwrap();
        packet.trim_back(3).unwrap();
        assert!(packet.is_empty() && packet.trim_back(1).is_none());
        assert_eq!(packet.range(), 3..3);
    }

    #[test]
    fn a_gap_opens_and_closes_again() {
        let mut buffer = [0, 0, 1, 2, 3];
        let mut packet = Packet::new(&mut buffer, 2..5).unwrap();
        assert!(packet.open_gap(2, 3).is_err());
        packet.open_gap(2, 2).unwrap();
        assert_eq!(packet.octets(), [1, 2, 1, 2, 3]);
        assert_eq!(packet.close_gap(2, 4), None);
        packet.close_gap(2, 2).unwrap();
        assert_eq!(packet.octets(), [1, 2, 3]);
    }

    #[test]
    fn a_range_outside_the_buffer_makes_no_packet() {
        let mut buffer = [0; 4];
        assert!(Packet::new(&mut buffer, 2..5).is_none());
        #[expect(clippy::reversed_empty_ranges, reason = "the claim is about such a range")]
        let backwards = 3..2;
        assert!(Packet::new(&mut buffer, backwards).is_none());
        assert!(Packet::whole(&mut buffer).set_range(0..5).is_none());
    }
}
