use crate::error::{ErrorKind, WireError};

/// A cursor over received octets: the only place that slices them.
///
/// Every read either moves forward or fails with the field's name and its offset; nothing is
/// copied, and a failed read leaves the cursor where it was.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Returns a reader of `octets`, whose first octet has the offset 0.
    #[inline]
    pub const fn new(octets: &'a [u8]) -> Self {
        Self::at(octets, 0)
    }

    /// Returns a reader of `octets`, whose first octet has the given offset.
    #[inline]
    pub const fn at(octets: &'a [u8], offset: usize) -> Self {
        Self { rest: octets, offset }
    }

    /// Returns the offset of the next octet.
    #[inline]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Returns what has not been read, without reading it.
    #[inline]
    pub const fn peek_rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Returns how many octets have not been read.
    #[inline]
    pub const fn len(&self) -> usize {
        self.rest.len()
    }

    /// Returns whether everything has been read.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns the error `kind` at the cursor.
    pub const fn error(&self, kind: ErrorKind, field: &'static str) -> WireError {
        WireError::new(kind, field, self.offset)
    }

    /// Reads `count` octets.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] when fewer are left.
    #[inline]
    pub fn octets(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], WireError> {
        #[cfg(test)]
        meter::step();
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.error(ErrorKind::Truncated, field));
        };
        self.rest = rest;
        self.offset = self.offset.saturating_add(count);
        Ok(taken)
    }

    /// Reads `count` octets as a reader of their own.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] when fewer are left.
    #[inline]
    pub fn sub(&mut self, count: usize, field: &'static str) -> Result<Self, WireError> {
        let offset = self.offset;
        Ok(Self::at(self.octets(count, field)?, offset))
    }

    /// Reads an array.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] when fewer than `N` octets are left.
    #[inline]
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], WireError> {
        #[cfg(test)]
        meter::step();
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.error(ErrorKind::Truncated, field));
        };
        self.rest = rest;
        self.offset = self.offset.saturating_add(N);
        Ok(*taken)
    }

    /// Reads one octet.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] when none is left.
    #[inline]
    pub fn u8(&mut self, field: &'static str) -> Result<u8, WireError> {
        let [octet] = self.array(field)?;
        Ok(octet)
    }

    /// Reads two octets, big endian.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] when fewer are left.
    #[inline]
    pub fn u16(&mut self, field: &'static str) -> Result<u16, WireError> {
        Ok(u16::from_be_bytes(self.array(field)?))
    }

    /// Reads four octets, big endian.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] when fewer are left.
    #[inline]
    pub fn u32(&mut self, field: &'static str) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.array(field)?))
    }

    /// Reads everything that is left, which may be nothing.
    #[inline]
    pub fn rest(&mut self) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(self.rest.len());
        self.rest = rest;
        self.offset = self.offset.saturating_add(taken.len());
        taken
    }

    /// Reads everything that is left, which must be something.
    ///
    /// # Errors
    /// [`ErrorKind::Empty`] when nothing is left.
    #[inline]
    pub fn some_rest(&mut self, field: &'static str) -> Result<&'a [u8], WireError> {
        if self.is_empty() {
            return Err(self.error(ErrorKind::Empty, field));
        }
        Ok(self.rest())
    }

    /// Checks that everything has been read.
    ///
    /// # Errors
    /// [`ErrorKind::Trailing`] when octets are left.
    #[inline]
    pub const fn finish(self, field: &'static str) -> Result<(), WireError> {
        if self.is_empty() { Ok(()) } else { Err(self.error(ErrorKind::Trailing, field)) }
    }
}

impl<'a> From<&'a [u8]> for Reader<'a> {
    #[inline]
    fn from(octets: &'a [u8]) -> Self {
        Self::new(octets)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Reader<'a> {
    fn from(octets: &'a [u8; N]) -> Self {
        Self::new(octets)
    }
}

/// Counts the reads of a test, to prove that work grows with the octets and not faster.
#[cfg(test)]
pub(crate) mod meter {
    use core::cell::Cell;

    std::thread_local! {
        static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    pub(crate) fn step() {
        STEPS.with(|steps| steps.set(steps.get() + 1));
    }

    /// Returns the reads that `work` made.
    pub(crate) fn of(work: impl FnOnce()) -> usize {
        STEPS.with(|steps| steps.set(0));
        work();
        STEPS.with(Cell::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_move_and_count_the_offset() {
        let mut reader = Reader::at(&[1, 2, 3, 4, 5, 6, 7, 8, 9], 100);
        assert_eq!(reader.u8("a"), Ok(1));
        assert_eq!(reader.u16("b"), Ok(0x0203));
        assert_eq!(reader.u32("c"), Ok(0x0405_0607));
        assert_eq!(reader.offset(), 107);
        assert_eq!(reader.finish("end"), Err(WireError::new(ErrorKind::Trailing, "end", 107)));
        assert_eq!(reader.rest(), [8, 9]);
        assert_eq!(reader.offset(), 109);
        assert_eq!(reader.finish("end"), Ok(()));
        assert_eq!(reader.some_rest("more"), Err(WireError::new(ErrorKind::Empty, "more", 109)));
    }

    #[test]
    fn a_failed_read_moves_nothing() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u32("x"), Err(WireError::new(ErrorKind::Truncated, "x", 0)));
        assert_eq!(reader.octets(4, "y"), Err(WireError::new(ErrorKind::Truncated, "y", 0)));
        assert_eq!(reader.octets(3, "z"), Ok(&[1, 2, 3][..]));
    }

    #[test]
    fn a_part_keeps_the_offsets_of_the_whole() {
        let mut reader = Reader::new(&[1, 2, 3, 4]);
        reader.u8("head").unwrap();
        let mut part = reader.sub(2, "part").unwrap();
        assert_eq!(part.u8("inner"), Ok(2));
        assert_eq!(part.offset(), 2);
        assert_eq!(reader.offset(), 3);
    }
}
