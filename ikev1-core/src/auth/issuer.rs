//! Who issued a certificate: the one thing of it that decides which certificates are sent.
//!
//! Of X.509 (RFC 5280 §4.1) only the way to the issuer is read; whether a certificate is good is for those who check
//! it.

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// Returns the name of a certificate's issuer, in DER as it stands there and as a certificate request names it;
/// `None` if the octets are not the beginning of a certificate.
pub(crate) fn issuer(certificate: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (signed, _) = element(certificate.content, SEQUENCE)?;
    let rest = element(signed.content, VERSION).map_or(signed.content, |(_, rest)| rest);
    let (_, rest) = element(rest, INTEGER)?;
    let (_, rest) = element(rest, SEQUENCE)?;
    let (issuer, _) = element(rest, SEQUENCE)?;
    Some(issuer.whole)
}

struct Element<'a> {
    whole: &'a [u8],
    content: &'a [u8],
}

/// Reads one element with this tag, and returns what follows it.
fn element(octets: &[u8], tag: u8) -> Option<(Element<'_>, &[u8])> {
    let (found, after_tag) = octets.split_first()?;
    let (first, after_first) = after_tag.split_first()?;
    // A length of up to three octets is more than any certificate that is taken has.
    let (length, head) = match first {
        0..=0x7f => (usize::from(*first), 2_usize),
        0x81..=0x83 => {
            let count = usize::from(first & 0x7f);
            let length =
                after_first.get(..count)?.iter().fold(0_usize, |length, octet| length << 8 | usize::from(*octet));
            (length, count.checked_add(2)?)
        }
        _ => return None,
    };
    let (whole, rest) = octets.split_at_checked(head.checked_add(length)?)?;
    let content = whole.get(head..)?;
    (*found == tag).then_some((Element { whole, content }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// A certificate as far as it is read, with the issuer `CN=x` behind a serial number of so many octets.
    fn certificate(version: &[u8], serial: usize) -> (Vec<u8>, Vec<u8>) {
        let sequence = |content: &[u8]| {
            let length = u16::try_from(content.len()).unwrap().to_be_bytes();
            [&[0x30, 0x82][..], &length, content].concat()
        };
        let name = [0x30, 0x0c, 0x31, 0x0a, 0x30, 8, 6, 3, 0x55, 4, 3, 0x0c, 1, b'x'].to_vec();
        let number = [&[0x02, u8::try_from(serial).unwrap()][..], &[7; 20][..serial]].concat();
        let algorithm = [0x30, 2, 5, 0];
        let signed = sequence(&[version, &number[..], &algorithm, &name[..], &[0x30, 0]].concat());
        (sequence(&[signed, alloc::vec![0x30, 0]].concat()), name)
    }

    #[test]
    fn the_issuer_is_found_with_and_without_a_version() {
        for version in [&[0xa0, 3, 2, 1, 2][..], &[]] {
            for serial in [1, 20] {
                let (octets, name) = certificate(version, serial);
                assert_eq!(issuer(&octets), Some(&name[..]));
            }
        }
    }

    #[test]
    fn cut_or_bent_octets_name_nobody_or_something_within_and_never_panic() {
        let (octets, name) = certificate(&[0xa0, 3, 2, 1, 2], 5);
        for length in 0..octets.len() {
            assert_eq!(issuer(&octets[..length]), None, "{length}");
        }
        for at in 0..octets.len() {
            for value in 0..=255 {
                let mut bent = octets.clone();
                bent[at] = value;
                assert!(issuer(&bent).is_none_or(|found| found.len() <= bent.len()));
            }
        }
        assert_eq!(issuer(&octets), Some(&name[..]));
        assert_eq!(issuer(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(issuer(&[0x30, 0x80, 0, 0]), None);
    }
}
