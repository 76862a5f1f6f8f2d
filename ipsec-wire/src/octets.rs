//! Reads and writes at the fixed offsets of a view whose length was checked when it was made.
//!
//! A read beyond the end gives zero and a write beyond the end does nothing; `new_checked` of each
//! view makes both impossible, so accessors stay infallible without a panic in the code.

/// Reads `N` octets at `at`.
pub(crate) fn array<const N: usize>(octets: &[u8], at: usize) -> [u8; N] {
    octets.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

/// Reads one octet at `at`.
pub(crate) fn read_u8(octets: &[u8], at: usize) -> u8 {
    octets.get(at).copied().unwrap_or(0)
}

/// Reads a big-endian number of 16 bits at `at`.
pub(crate) fn read_u16(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(array(octets, at))
}

/// Reads a big-endian number of 32 bits at `at`.
pub(crate) fn read_u32(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array(octets, at))
}

/// Returns the octets from `from` to `to`, or none where the view has none.
pub(crate) fn span(octets: &[u8], from: usize, to: usize) -> &[u8] {
    octets.get(from..to).unwrap_or(&[])
}

/// Writes `value` at `at`.
pub(crate) fn write(octets: &mut [u8], at: usize, value: &[u8]) {
    if let Some(field) = at.checked_add(value.len()).and_then(|end| octets.get_mut(at..end)) {
        field.copy_from_slice(value);
    }
}
