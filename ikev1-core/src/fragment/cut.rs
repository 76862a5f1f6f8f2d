//! Messages on the way out: cut so that each part fits a datagram.

use crate::flight::Fingerprint;
use crate::message::{built, clear};
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::SocketAddr;
use ipsec_wire::isakmp::payload::Fragment;
use ipsec_wire::isakmp::{ChainBuilder, Header, MessageId};
use ipsec_wire::registry::ExchangeType;

/// How messages to a peer are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The longest IP datagram.
    pub(crate) size: usize,
    /// The exchange that the outer header names: that of phase 1, which strongSwan wants whatever
    /// the message is.
    pub(crate) exchange: ExchangeType,
}

/// The octets of an ISAKMP header, the generic header of the part, and its fixed part.
const PART_HEADERS: usize = Header::LEN + 4 + 4;
/// The octets of a UDP header.
const UDP_HEADER: usize = 8;

impl Cut {
    /// Returns the parts of a message, `None` if it fits one datagram or cannot be cut.
    ///
    /// The id is taken from the message itself: a resend bears the same one, so that its parts fill
    /// the gaps that the first sending left.
    pub(crate) fn parts(self, payload: &[u8], marker: usize, remote: SocketAddr) -> Option<Vec<Bytes>> {
        let ip_header = if remote.is_ipv4() { 20 } else { 40 };
        let carried = ip_header + UDP_HEADER;
        if payload.len().saturating_add(carried) <= self.size {
            return None;
        }
        let message = payload.get(marker..)?;
        let header = Header::parse(message).ok()?;
        let room = self.size.saturating_sub(carried + marker + PART_HEADERS).max(1);
        // A part number is one octet.
        let room = room.max(message.len().div_ceil(usize::from(u8::MAX)));
        let outer = Header::new(header.initiator_cookie, header.responder_cookie, self.exchange, MessageId::ZERO);
        let id = Fingerprint::of(message).short();
        let slices: Vec<&[u8]> = message.chunks(room).collect();
        let last = slices.len();
        let part = |(number, data): (usize, &[u8])| {
            let flags = if number == last { Fragment::<&[u8]>::LAST } else { 0 };
            let mut chain = ChainBuilder::new();
            chain.push(&Fragment { id, number: u8::try_from(number).ok()?, flags, data });
            Some(clear(outer, &built(chain), marker > 0))
        };
        (1..).zip(slices).map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fragment::{Assembly, FragmentLimits, Step, Which};
    use crate::ids::{Cookies, IkeSaId};
    use alloc::vec;
    use drive::Instant;
    use ipsec_wire::isakmp::{Body, Cookie, Flags, Message};
    use ipsec_wire::registry::PayloadType;

    fn which(id: u16) -> Which {
        let cookies = Cookies { initiator: Cookie([1; 8]), responder: Cookie([2; 8]) };
        Which { ike_sa: IkeSaId(1), cookies, remote: ([192, 0, 2, 1], 500).into(), id }
    }

    #[test]
    fn a_message_is_cut_so_that_every_part_fits_and_joins_again_with_and_without_the_marker() {
        let header = Header::new(Cookie([1; 8]), Cookie([2; 8]), ExchangeType::QUICK, MessageId(7));
        let header = header.with_flags(Flags::ENCRYPTION);
        let remotes = [([192, 0, 2, 1], 500).into(), (core::net::Ipv6Addr::LOCALHOST, 4500).into()];
        for (remote, size) in remotes.into_iter().flat_map(|remote: SocketAddr| [(remote, 128), (remote, 1_280)]) {
            for marker in [0, 4] {
                for length in [1, 28, 100, 127, 128, 1_000, 5_000, 60_000] {
                    let mut message = vec![0; marker];
                    header.enclose_into(PayloadType::HASH, &vec![9; length], &mut message).unwrap();
                    let cut = Cut { size, exchange: ExchangeType::MAIN };
                    let carried = if remote.is_ipv4() { 28 } else { 48 };
                    let Some(parts) = cut.parts(&message, marker, remote) else {
                        assert!(message.len() + carried <= size);
                        continue;
                    };
                    assert!(message.len() + carried > size && parts.len() <= 255);
                    assert_eq!(cut.parts(&message, marker, remote).as_ref(), Some(&parts));
                    let mut assembly = Assembly::default();
                    let limits = FragmentLimits { parts: 255, ..FragmentLimits::default() };
                    let mut whole = None;
                    for (at_part, octets) in parts.iter().enumerate() {
                        assert!(length > 5_000 || octets.len() + carried <= size);
                        assert_eq!(&octets[..marker], &[0; 4][..marker]);
                        let outer = Message::parse(&octets[marker..]).unwrap();
                        assert_eq!(outer.header().exchange, ExchangeType::MAIN);
                        assert!(whole.is_none(), "part {at_part} came after the last");
                        let Body::Clear(payloads) = outer.body() else { panic!("a part is clear") };
                        let part = Fragment::parse(payloads.iter().next().unwrap()).unwrap();
                        match assembly.insert(Instant::ZERO, which(part.id), &part, &limits).unwrap() {
                            Step::Kept => {}
                            Step::Repeat | Step::Again(_) => panic!("no part is its own repeat"),
                            Step::Whole(octets) => whole = Some(octets),
                        }
                    }
                    assert_eq!(whole.as_deref(), Some(&message[marker..]));
                }
            }
        }
    }
}
