use super::ModeError;
use ipsec_wire::checksum::Checksum;
use ipsec_wire::ipv4::{self, Ipv4Packet};
use ipsec_wire::{ErrorKind, WireError};

/// One fragment of an IPv4 packet: a header of its own, and a stretch of the packet's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    header: [u8; ipv4::MAX_HEADER_LEN],
    header_len: usize,
    payload: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Returns the header, with its checksum.
    pub fn header(&self) -> &[u8] {
        self.header.get(..self.header_len).unwrap_or_default()
    }

    /// Returns the payload: octets of the packet that was taken apart.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// Iterates over the fragments of a packet, first to last.
#[derive(Clone, Debug)]
pub struct Fragments<'a> {
    /// The header of the next fragment but for length, offset and checksum.
    header: [u8; ipv4::MAX_HEADER_LEN],
    header_len: usize,
    /// What is left of the payload; `None` once the last fragment is out.
    left: Option<&'a [u8]>,
    /// Octets of the datagram before what is left.
    offset: usize,
    /// Don't Fragment, as it stands in the field of flags and offset.
    dont_fragment: u16,
    /// Whether the packet is itself a fragment with others behind it.
    more: bool,
    mtu: usize,
}

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
/// The bit of an option's type that says it goes into every fragment (RFC 791 §3.1).
const COPIED: u8 = 0x80;

/// Takes an IPv4 packet apart into fragments of at most `mtu` octets, for sealing each by itself: what the far
/// end opens is then never in pieces (RFC 4301 §7, RFC 791 §3.2).
///
/// A packet that fits is its own only fragment. Options that only the first fragment has are No Operations in
/// the others. Nothing but headers is copied.
///
/// # Errors
/// A header that lies, Don't Fragment on a packet that does not fit (tell its sender:
/// [`too_big_reply`](super::too_big_reply)), or an MTU without room for eight octets of payload.
pub fn fragments(packet: &[u8], mtu: usize) -> Result<Fragments<'_>, ModeError> {
    let view = Ipv4Packet::new_checked(packet)?;
    let header_len = view.header_len();
    if view.total_len() > mtu {
        if view.dont_fragment() {
            return Err(ModeError::TooLong(view.total_len()));
        }
        if mtu.saturating_sub(header_len) < 8 {
            return Err(WireError::new(ErrorKind::Length, "MTU", 0).into());
        }
    }
    let mut header = [0; ipv4::MAX_HEADER_LEN];
    header.iter_mut().zip(view.header()).for_each(|(to, from)| *to = *from);
    for option in view.options() {
        option?;
    }
    Ok(Fragments {
        header,
        header_len,
        left: packet.get(header_len..view.total_len()),
        offset: view.fragment_offset(),
        dont_fragment: if view.dont_fragment() { DONT_FRAGMENT } else { 0 },
        more: view.more_fragments(),
        mtu,
    })
}

impl<'a> Iterator for Fragments<'a> {
    type Item = Fragment<'a>;

    fn next(&mut self) -> Option<Fragment<'a>> {
        let left = self.left.take()?;
        let room = self.mtu.saturating_sub(self.header_len);
        let take = if left.len() <= room { left.len() } else { room / 8 * 8 };
        let (payload, rest) = left.split_at_checked(take)?;
        let last = rest.is_empty();

        let mut header = self.header;
        let total = u16::try_from(self.header_len.saturating_add(take)).ok()?;
        let more = if self.more || !last { MORE_FRAGMENTS } else { 0 };
        let place = u16::try_from(self.offset / 8).ok()? | more | self.dont_fragment;
        for (at, value) in [(2, total), (6, place), (10, 0)] {
            *header.get_mut(at..)?.first_chunk_mut()? = value.to_be_bytes();
        }
        let sum = Checksum::new().with(header.get(..self.header_len)?).finish();
        *header.get_mut(10..)?.first_chunk_mut()? = sum.to_be_bytes();

        if !last {
            self.left = Some(rest);
            self.offset = self.offset.saturating_add(take);
            self.blank_options_of_the_first();
        }
        Some(Fragment { header, header_len: self.header_len, payload })
    }
}

impl Fragments<'_> {
    fn blank_options_of_the_first(&mut self) {
        let mut at = ipv4::MIN_HEADER_LEN;
        // Every option was walked before: lengths are good, and each step moves on.
        while at < self.header_len {
            let Some(rest) = self.header.get_mut(at..self.header_len) else { return };
            let len = match *rest {
                [] | [ipv4::END_OF_OPTIONS, ..] => return,
                [ipv4::NO_OPERATION, ..] => 1,
                [_, len, ..] => usize::from(len).max(2),
                [_] => return,
            };
            if let Some(option) = rest.get_mut(..len)
                && option.first().is_some_and(|kind| kind & COPIED == 0)
            {
                option.fill(ipv4::NO_OPERATION);
            }
            at = at.saturating_add(len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn packet(options: &[u8], payload: usize, flags: u16) -> Vec<u8> {
        let mut octets = hex::decode("4500000012340000401100000a0000010a000002").unwrap();
        octets.extend(options);
        octets.extend((0..payload).map(|n| n as u8));
        octets[0] = 0x45 + (options.len() / 4) as u8;
        let total = (octets.len() as u16).to_be_bytes();
        octets[2..4].copy_from_slice(&total);
        octets[6..8].copy_from_slice(&flags.to_be_bytes());
        Ipv4Packet::new_checked(&mut octets[..]).unwrap().fill_checksum();
        octets
    }

    fn written(fragment: &Fragment<'_>) -> Vec<u8> {
        [fragment.header(), fragment.payload()].concat()
    }

    proptest! {
        #[test]
        fn fragments_fit_and_put_together_are_the_packet(payload in 0usize..3000, mtu in 68usize..1600) {
            let octets = packet(&[148, 4, 0, 0, 7, 3, 4, 1], payload, 0);
            let mut together: Vec<u8> = Vec::new();
            let mut more = true;
            for fragment in fragments(&octets, mtu).unwrap() {
                prop_assert!(more, "nothing follows the last");
                let octets = written(&fragment);
                prop_assert!(octets.len() <= mtu);
                let view = Ipv4Packet::new_checked(&octets).unwrap();
                prop_assert!(view.checksum_is_valid());
                prop_assert_eq!((view.identification(), view.fragment_offset()), (0x1234, together.len()));
                let options: Vec<u8> = view.options().map(|option| option.unwrap().kind).collect();
                prop_assert_eq!(options.contains(&7), together.is_empty(), "record route in the first only");
                prop_assert!(options.contains(&148), "router alert in all");
                more = view.more_fragments();
                together.extend(view.payload());
            }
            prop_assert!(!more);
            prop_assert_eq!(&together[..], &octets[28..]);
        }
    }

    #[test]
    fn a_fragment_is_taken_apart_further() {
        let octets = packet(&[], 64, 0x2000 | 10);
        let places: Vec<_> = fragments(&octets, 60)
            .unwrap()
            .map(|fragment| {
                let octets = written(&fragment);
                let view = Ipv4Packet::new_checked(&octets).unwrap();
                (view.fragment_offset(), view.more_fragments(), view.payload().len())
            })
            .collect();
        assert_eq!(places, [(80, true, 40), (120, true, 24)]);
    }

    #[test]
    fn what_fits_stays_and_what_may_not_be_taken_apart_is_refused() {
        let octets = packet(&[], 100, 0x4000);
        let only: Vec<_> = fragments(&octets, 120).unwrap().map(|fragment| written(&fragment)).collect();
        assert_eq!(only.concat(), octets);
        assert_eq!(fragments(&octets, 119).err(), Some(ModeError::TooLong(120)));
        assert!(matches!(fragments(&packet(&[], 100, 0), 27), Err(ModeError::Wire(_))));
        assert!(matches!(fragments(&packet(&[7, 0, 4, 0], 100, 0), 60), Err(ModeError::Wire(_))));
    }
}
