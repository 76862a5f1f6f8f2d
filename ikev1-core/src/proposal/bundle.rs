use super::Protection;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

/// The protections that a packet gets together: one, or several that are ANDed.
///
/// ANDed parts are proposals of one number, each with an SA of its own (RFC 2408 §4.2). They are offered
/// in the order written here; which one is applied first is not negotiated, see [`Protection::layer`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bundle {
    parts: Vec<Protection>,
}

impl Bundle {
    /// Returns the bundle of these parts; [`is_lawful`](Self::is_lawful) tells whether there is such a one.
    pub const fn new(parts: Vec<Protection>) -> Self {
        Self { parts }
    }

    /// Returns the parts, in the order in which they are offered.
    pub fn parts(&self) -> &[Protection] {
        &self.parts
    }

    /// Returns whether any part of it must be asked for by a `dangerously_` name.
    ///
    /// ESP without integrity is not weak beside AH, which has it.
    pub fn is_weak(&self) -> bool {
        let ah = self.parts.iter().any(|part| matches!(part, Protection::Ah { .. }));
        self.parts.iter().any(|part| match part {
            Protection::Esp { cipher, integrity: None } if ah => cipher.is_weak(),
            Protection::Esp { .. } | Protection::Ah { .. } | Protection::Ipcomp { .. } => part.is_weak(),
        })
    }

    /// Returns whether the parts may stand together: each lawful by itself, at most one for each
    /// protocol, and not IPComp alone, which protects nothing.
    pub fn is_lawful(&self) -> bool {
        let protects = self.parts.iter().any(|part| !matches!(part, Protection::Ipcomp { .. }));
        let alone =
            |part: &Protection| self.parts.iter().filter(|other| other.protocol() == part.protocol()).count() == 1;
        protects && self.parts.iter().all(|part| part.is_lawful() && alone(part))
    }
}

impl From<Protection> for Bundle {
    fn from(protection: Protection) -> Self {
        Self::new(vec![protection])
    }
}

/// The parts, joined by ` + `.
impl fmt::Display for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.parts.iter().enumerate() {
            if at > 0 {
                f.write_str(" + ")?;
            }
            write!(f, "{part}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proposal::{AesKey, Compression, EspCipher, Integrity};
    use alloc::string::ToString;

    const ESP: Protection =
        Protection::Esp { cipher: EspCipher::AesCbc(AesKey::Bits128), integrity: Some(Integrity::HmacSha1) };
    const BARE: Protection = Protection::Esp { cipher: EspCipher::AesCbc(AesKey::Bits128), integrity: None };
    const AH: Protection = Protection::Ah { integrity: Integrity::HmacSha1 };
    const IPCOMP: Protection = Protection::Ipcomp { compression: Compression::Deflate };

    #[test]
    fn each_protocol_stands_once_and_compression_never_alone() {
        for lawful in [vec![ESP], vec![AH], vec![AH, ESP], vec![IPCOMP, ESP, AH], vec![ESP, IPCOMP]] {
            assert!(Bundle::new(lawful).is_lawful());
        }
        for unlawful in [vec![], vec![IPCOMP], vec![ESP, ESP], vec![AH, ESP, AH]] {
            assert!(!Bundle::new(unlawful).is_lawful());
        }
    }

    #[test]
    fn esp_without_integrity_is_weak_unless_ah_stands_beside_it() {
        assert!(Bundle::from(BARE).is_weak());
        assert!(Bundle::new(vec![BARE, IPCOMP]).is_weak());
        assert!(!Bundle::new(vec![BARE, AH]).is_weak());
        let des = Protection::Esp { cipher: EspCipher::Des, integrity: None };
        assert!(Bundle::new(vec![des, AH]).is_weak());
    }

    #[test]
    fn parts_are_printed_as_they_are_written() {
        assert_eq!(Bundle::new(vec![AH, ESP]).to_string(), "AH HMAC-SHA + ESP_AES-CBC 128, HMAC-SHA");
    }
}
