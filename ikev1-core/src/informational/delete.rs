use crate::action::SpiPair;
use crate::ids::Cookies;
use crate::message::built;
use crate::negotiate::spi_octets;
use crate::ride_along::initial_contact::cookies_spi;
use alloc::vec::Vec;
use ipsec_wire::isakmp::payload::Delete;
use ipsec_wire::isakmp::{Chain, ChainBuilder};
use ipsec_wire::registry::{Doi, ProtocolId};

/// Returns the chain that tells the peer that a pair of IPsec SAs is gone: a payload for each protocol, the
/// SPI our own inbound one, RFC 2408 §3.15.
pub(crate) fn of_child(sas: &[SpiPair]) -> Chain {
    let mut chain = ChainBuilder::new();
    for sa in sas {
        let protocol = sa.suite.protocol();
        let data = spi_octets(protocol, sa.inbound);
        let spi_size = if protocol == ProtocolId::IPCOMP { 2 } else { 4 };
        chain.push(&Delete { doi: Doi::IPSEC, protocol, spi_size, data });
    }
    built(chain)
}

/// Returns the chain that tells the peer that an ISAKMP SA is gone: the SPI is both cookies.
pub(crate) fn of_isakmp(cookies: Cookies) -> Chain {
    let mut chain = ChainBuilder::new();
    chain.push(&Delete { doi: Doi::IPSEC, protocol: ProtocolId::ISAKMP, spi_size: 16, data: cookies_spi(cookies) });
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
        // A CPI is of two octets; some peers pad it to the four of an SPI (RFC 3173 §4.1).
        ProtocolId::IPCOMP => {
            let cpi = |spi: &[u8]| spi.iter().fold(0_u32, |value, octet| value << 8 | u32::from(*octet));
            let short = delete.spis().filter(|spi| matches!(spi.len(), 2 | 4));
            Named::Ipsec(delete.protocol, short.map(cpi).collect())
        }
        _ => Named::Other,
    }
}
