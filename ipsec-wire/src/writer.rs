use crate::error::{ErrorKind, WireError};
use alloc::vec::Vec;

/// A cursor that appends octets to a vector and back-fills lengths.
///
/// Writing cannot fail at once: what does not fit its field is remembered, and
/// [`finish`](Self::finish) tells. The vector may hold other octets before, such as a marker;
/// offsets count from where the writer began.
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut Vec<u8>,
    start: usize,
    failed: Option<WireError>,
}

/// The place of a field that is filled in later.
#[must_use = "a hole that is not filled stays zero"]
#[derive(Debug)]
pub struct Hole {
    at: usize,
}

impl<'b> Writer<'b> {
    /// Returns a writer that appends to `buffer`.
    pub const fn new(buffer: &'b mut Vec<u8>) -> Self {
        let start = buffer.len();
        Self { buffer, start, failed: None }
    }

    /// Returns how many octets have been written.
    pub fn len(&self) -> usize {
        self.buffer.len().saturating_sub(self.start)
    }

    /// Returns whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends octets.
    pub fn octets(&mut self, octets: &[u8]) {
        self.buffer.extend_from_slice(octets);
    }

    /// Appends one octet.
    pub fn u8(&mut self, value: u8) {
        self.buffer.push(value);
    }

    /// Appends two octets, big endian.
    pub fn u16(&mut self, value: u16) {
        self.octets(&value.to_be_bytes());
    }

    /// Appends four octets, big endian.
    pub fn u32(&mut self, value: u32) {
        self.octets(&value.to_be_bytes());
    }

    /// Appends `count` zeros.
    pub fn zeros(&mut self, count: usize) {
        self.buffer.resize(self.buffer.len().saturating_add(count), 0);
    }

    /// Appends `value` as one octet; a larger value fails the writer.
    pub fn count_u8(&mut self, value: usize, field: &'static str) {
        let value = self.fit(u8::try_from(value).ok(), field);
        self.u8(value);
    }

    /// Appends `value` as two octets; a larger value fails the writer.
    pub fn count_u16(&mut self, value: usize, field: &'static str) {
        let value = self.fit(u16::try_from(value).ok(), field);
        self.u16(value);
    }

    /// Leaves one octet to be filled in later.
    pub fn hole_u8(&mut self) -> Hole {
        let at = self.buffer.len();
        self.u8(0);
        Hole { at }
    }

    /// Leaves two octets to be filled in later.
    pub fn hole_u16(&mut self) -> Hole {
        let at = self.buffer.len();
        self.u16(0);
        Hole { at }
    }

    /// Leaves four octets to be filled in later.
    pub fn hole_u32(&mut self) -> Hole {
        let at = self.buffer.len();
        self.u32(0);
        Hole { at }
    }

    /// Fills a hole of one octet.
    pub fn fill_u8(&mut self, hole: Hole, value: u8) {
        self.patch(hole, &[value]);
    }

    /// Fills a hole of two octets; a larger value fails the writer.
    pub fn fill_u16(&mut self, hole: Hole, value: usize, field: &'static str) {
        let value = self.fit(u16::try_from(value).ok(), field);
        self.patch(hole, &value.to_be_bytes());
    }

    /// Fills a hole of four octets; a larger value fails the writer.
    pub fn fill_u32(&mut self, hole: Hole, value: usize, field: &'static str) {
        let value = self.fit(u32::try_from(value).ok(), field);
        self.patch(hole, &value.to_be_bytes());
    }

    /// Remembers that something could not be written; the first failure stays.
    pub fn fail(&mut self, kind: ErrorKind, field: &'static str) {
        let offset = self.len();
        self.failed.get_or_insert(WireError::new(kind, field, offset));
    }

    /// Ends the writing.
    ///
    /// # Errors
    /// The first failure. What was appended has then been removed.
    pub fn finish(self) -> Result<(), WireError> {
        match self.failed {
            None => Ok(()),
            Some(error) => {
                self.buffer.truncate(self.start);
                Err(error)
            }
        }
    }

    fn fit<T: Default>(&mut self, value: Option<T>, field: &'static str) -> T {
        if value.is_none() {
            self.fail(ErrorKind::TooLong, field);
        }
        value.unwrap_or_default()
    }

    fn patch(&mut self, hole: Hole, octets: &[u8]) {
        let end = hole.at.saturating_add(octets.len());
        if let Some(place) = self.buffer.get_mut(hole.at..end) {
            place.copy_from_slice(octets);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn holes_are_filled_behind_whatever_was_there() {
        let mut buffer = vec![0xee; 3];
        let mut writer = Writer::new(&mut buffer);
        writer.u8(1);
        let length = writer.hole_u16();
        writer.u32(0x0203_0405);
        writer.fill_u16(length, 7, "length");
        assert_eq!(writer.len(), 7);
        writer.finish().unwrap();
        assert_eq!(buffer, [0xee, 0xee, 0xee, 1, 0, 7, 2, 3, 4, 5]);
    }

    #[test]
    fn what_does_not_fit_fails_at_the_end_and_leaves_nothing() {
        let mut buffer = vec![0xee];
        let mut writer = Writer::new(&mut buffer);
        writer.count_u8(256, "count");
        writer.count_u16(70_000, "length");
        assert_eq!(writer.finish(), Err(WireError::new(ErrorKind::TooLong, "count", 0)));
        assert_eq!(buffer, [0xee]);
    }
}
