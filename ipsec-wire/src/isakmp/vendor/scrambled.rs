use super::{KnownVendorId, Meaning, Product, Recognised, Tail, recognise};
use crate::isakmp::{Cookie, Header};

/// The vendor id by which routers and firewalls of Cisco know each other, XORed with the cookie of
/// its sender: this is what remains of its first eight octets. The last four of them are the version.
const CISCO: [u8; 8] = [0xf5, 0xc7, 0xa7, 0x1d, 0x00, 0x01, 0x00, 0x00];

static CISCO_PEER: KnownVendorId = KnownVendorId {
    hex: "",
    name: "Cisco IOS, PIX or ASA 1.0.0",
    meaning: Meaning::Product(Product::Cisco),
    tail: Tail::Scrambled,
};

/// Returns what a vendor id is that came under this header; the longest match counts.
///
/// This is [`recognise`], and knows besides the id that IOS, PIX and ASA scramble with their own
/// cookie, whichever side they are on.
pub fn recognise_sent<'a>(header: &Header, vendor_id: &'a [u8]) -> Option<Recognised<'a>> {
    recognise(vendor_id)
        .or_else(|| cisco(header.initiator_cookie, vendor_id))
        .or_else(|| cisco(header.responder_cookie, vendor_id))
}

fn cisco(cookie: Cookie, vendor_id: &[u8]) -> Option<Recognised<'_>> {
    let (scrambled, tail) = vendor_id.split_first_chunk::<8>()?;
    let plain = scrambled.iter().zip(cookie.0).map(|(octet, cookie)| octet ^ cookie);
    (tail.len() == 8 && !cookie.is_zero() && plain.eq(CISCO)).then_some(Recognised { known: &CISCO_PEER, tail })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isakmp::MessageId;
    use crate::registry::ExchangeType;
    use alloc::string::ToString;

    fn cookie(hex: &str) -> Cookie {
        Cookie(hex::decode(hex).unwrap().try_into().unwrap())
    }

    fn header(initiator: Cookie, responder: Cookie) -> Header {
        Header::new(initiator, responder, ExchangeType::MAIN, MessageId::ZERO)
    }

    /// Cookies of both sides and the ids that each sent, from two captures of routers.
    const SEEN: [[&str; 4]; 2] = [
        [
            "cf02326f14a95b93",
            "18a109f89219e8df",
            "3ac5957214a85b93db6a509869fdb330",
            "ed66aee59218e8dfbe01a135a2ad8994",
        ],
        [
            "e47a591fd057587f",
            "a00b8ef0902bb8ec",
            "11bdfe02d056587f2c18125972c32401",
            "55cc29ed902ab8ec53b1df867c610929",
        ],
    ];

    #[test]
    fn the_scrambled_ids_of_cisco_are_recognised_from_either_side() {
        for [initiator, responder, first, second] in SEEN {
            let header = header(cookie(initiator), cookie(responder));
            for id in [first, second] {
                let octets = hex::decode(id).unwrap();
                let found = recognise_sent(&header, &octets).unwrap();
                assert!(found.to_string().starts_with("Cisco IOS, PIX or ASA 1.0.0"), "{found}");
                assert_eq!(recognise(&octets), None);
            }
        }
    }

    #[test]
    fn a_scrambled_id_under_other_cookies_or_of_another_length_is_unknown() {
        let [initiator, responder, first, _] = SEEN[0];
        let octets = hex::decode(first).unwrap();
        let (initiator, responder) = (cookie(initiator), cookie(responder));
        assert_eq!(recognise_sent(&header(responder, responder), &octets), None);
        let header = header(initiator, responder);
        for length in 0..16 {
            assert_eq!(recognise_sent(&header, &octets[..length]), None);
        }
        assert_eq!(recognise_sent(&header, &[&octets[..], &[0]].concat()), None);
        // Eight zeros before the first cookie is known must not match the plain octets.
        let none = Header { initiator_cookie: Cookie::ZERO, responder_cookie: Cookie::ZERO, ..header };
        assert_eq!(recognise_sent(&none, &[&CISCO[..], &[0; 8]].concat()), None);
    }
}
