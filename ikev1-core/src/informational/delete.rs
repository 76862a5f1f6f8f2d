use crate::ids::Cookies;
use crate::message::built;
use crate::ride_along::initial_contact::cookies_spi;
use alloc::vec::Vec;
use ipsec_wire::isakmp::payload::Delete;
use ipsec_wire::isakmp::{Chain, ChainBuilder};
use ipsec_wire::registry::{Doi, ProtocolId};

/// Returns the chain that tells the peer that an IPsec SA is gone: the SPI is our own inbound one, RFC 2408 §3.15.
pub(crate) fn of_child(protocol: ProtocolId, inbound_spi: u32) -> Chain {
    one(Delete { doi: Doi::IPSEC, protocol, spi_size: 4, data: inbound_spi.to_be_bytes().to_vec() })
}

/// Returns the chain that tells the peer that an ISAKMP SA is gone: the SPI is both cookies.
pub(crate) fn of_isakmp(cookies: Cookies) -> Chain {
    one(Delete { doi: Doi::IPSEC, protocol: ProtocolId::ISAKMP, spi_size: 16, data: cookies_spi(cookies) })
}

fn one(delete: Delete<Vec<u8>>) -> Chain {
    let mut chain = ChainBuilder::new();
    chain.push(&delete);
    built(chain)
}

/// What one Delete payload names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// ISAKMP SAs, by both cookies; a payload without cookies means the SA it came under.
    Isakmp(Vec<Option<[u8; 16]>>),
    /// IPsec SAs, by the SPI that the peer receives on: our outbound one.
    Ipsec(ProtocolId, Vec<u32>),
    /// Something else, which never acts.
    Other,
}

/// Reads what a Delete payload names.
pub(crate) fn named(delete: &Delete<&[u8]>) -> Named {
    match delete.protocol {
        ProtocolId::ISAKMP if delete.data.is_empty() => Named::Isakmp(alloc::vec![None]),
        ProtocolId::ISAKMP => Named::Isakmp(delete.spis().map(|spi| <[u8; 16]>::try_from(spi).ok()).collect()),
        ProtocolId::AH | ProtocolId::ESP => {
            let spis = delete.spis().filter_map(|spi| <[u8; 4]>::try_from(spi).ok().map(u32::from_be_bytes));
            Named::Ipsec(delete.protocol, spis.collect())
        }
        _ => Named::Other,
    }
}
