use super::reader::Reader;
use crate::registry::{CdnResult, ErrorCode, StopResult};
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// The value of a Result Code AVP, RFC 3931 §5.4.2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultCode<'a> {
    /// The result; its names differ between StopCCN and CDN.
    pub result: u16,
    /// The error, if the value was long enough for one.
    pub error: Option<ErrorCode>,
    /// The text, UTF-8 if the peer kept to the rules.
    pub text: Cow<'a, [u8]>,
}

impl<'a> ResultCode<'a> {
    pub(super) fn parse(value: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::at(value, 0);
        let result = reader.u16("result").ok()?;
        if reader.is_empty() {
            return Some(Self { result, error: None, text: Cow::Borrowed(&[]) });
        }
        let error = Some(ErrorCode(reader.u16("error").ok()?));
        Some(Self { result, error, text: Cow::Borrowed(reader.rest()) })
    }

    pub(super) fn octets(&self) -> Vec<u8> {
        let mut octets = self.result.to_be_bytes().to_vec();
        if let Some(error) = self.error {
            octets.extend_from_slice(&error.0.to_be_bytes());
            octets.extend_from_slice(&self.text);
        }
        octets
    }

    /// Returns the result as one of a StopCCN.
    pub const fn as_stop(&self) -> StopResult {
        StopResult(self.result)
    }

    /// Returns the result as one of a CDN.
    pub const fn as_cdn(&self) -> CdnResult {
        CdnResult(self.result)
    }

    /// Returns the text with everything that is not UTF-8 replaced and without trailing zeros.
    pub fn text(&self) -> String {
        String::from(String::from_utf8_lossy(&self.text).trim_end_matches('\0'))
    }
}

/// The value of a Circuit Status AVP, RFC 3931 §5.4.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitStatus {
    /// The A bit: the circuit is up.
    pub active: bool,
    /// The N bit: the status is that of a new circuit.
    pub new: bool,
}

impl CircuitStatus {
    pub(super) const fn from_bits(bits: u16) -> Self {
        Self { active: bits & 1 != 0, new: bits & 2 != 0 }
    }

    pub(super) const fn bits(self) -> u16 {
        self.active as u16 | (self.new as u16) << 1
    }
}

/// The value of a Circuit Errors AVP, RFC 3931 §5.4.5: counts since the session was established.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CircuitErrors {
    /// Receive buffer overruns of the hardware.
    pub hardware_overruns: u32,
    /// Buffer overruns.
    pub buffer_overruns: u32,
    /// Time-outs.
    pub timeouts: u32,
    /// Alignment errors.
    pub alignment_errors: u32,
}

impl CircuitErrors {
    /// The drawing of the RFC has 18 octets of value, its length of 32 means 26: both are taken.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        if !matches!(value.len(), 18 | 26) {
            return None;
        }
        let mut reader = Reader::at(value, 0);
        reader.u16("reserved").ok()?;
        let mut count = || reader.u32("count").ok();
        Some(Self {
            hardware_overruns: count()?,
            buffer_overruns: count()?,
            timeouts: count()?,
            alignment_errors: count()?,
        })
    }

    pub(super) fn octets(self) -> [u8; 18] {
        let mut out = [0; 18];
        let counts = [self.hardware_overruns, self.buffer_overruns, self.timeouts, self.alignment_errors];
        for (field, count) in out.iter_mut().skip(2).zip(counts.into_iter().flat_map(u32::to_be_bytes)) {
            *field = count;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_code_of_softether_is_read_leniently() {
        let code = ResultCode::parse(&[0, 0, 6, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!((code.result, code.error), (0, Some(ErrorCode(1536))));
        assert_eq!(code.text(), "");
    }

    #[test]
    fn a_result_code_of_1_or_3_octets_is_malformed() {
        assert_eq!(ResultCode::parse(&[0]), None);
        assert_eq!(ResultCode::parse(&[0, 1, 0]), None);
        assert_eq!(ResultCode::parse(&[0, 1]).unwrap().error, None);
    }

    #[test]
    fn circuit_errors_are_read_back_and_taken_in_both_lengths() {
        let errors = CircuitErrors { hardware_overruns: 1, buffer_overruns: 2, timeouts: 3, alignment_errors: 4 };
        assert_eq!(CircuitErrors::parse(&errors.octets()), Some(errors));
        let mut longer = errors.octets().to_vec();
        longer.extend_from_slice(&[0; 8]);
        assert_eq!(CircuitErrors::parse(&longer), Some(errors));
        assert_eq!(CircuitErrors::parse(&longer[..25]), None);
    }
}
