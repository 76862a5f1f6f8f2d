use crate::ids::Cookies;
use alloc::vec::Vec;
use ipsec_wire::isakmp::payload::Notification;
use ipsec_wire::isakmp::{ChainBuilder, Payloads};
use ipsec_wire::registry::{Doi, NotifyType, PayloadType, ProtocolId};

/// Returns both cookies as the SPI of an ISAKMP SA, RFC 2407 §4.6.3.
pub(crate) fn cookies_spi(cookies: Cookies) -> Vec<u8> {
    [cookies.initiator.0, cookies.responder.0].concat()
}

/// Adds INITIAL-CONTACT: this end knows no other SA with the peer, RFC 2407 §4.6.3.3.
pub(crate) fn contribute(cookies: Cookies, chain: &mut ChainBuilder) {
    chain.push(&Notification {
        doi: Doi::IPSEC,
        protocol: ProtocolId::ISAKMP,
        notify_type: NotifyType::INITIAL_CONTACT,
        spi: cookies_spi(cookies),
        data: Vec::new(),
    });
}

/// Returns whether the peer says that it knows no other SA with this end. It must be read from a
/// message that proved authentic only; since HASH_I and HASH_R of phase 1 do not cover it, it must name
/// the SA by its cookies, or no SA.
pub(crate) fn absorb(cookies: Cookies, payloads: &Payloads<'_>) -> bool {
    let named = cookies_spi(cookies);
    payloads
        .iter()
        .filter(|payload| payload.payload_type() == PayloadType::NOTIFICATION)
        .filter_map(|payload| Notification::parse(payload).ok())
        .filter(|notification| notification.protocol == ProtocolId::ISAKMP)
        .filter(|notification| notification.spi.is_empty() || notification.spi == named)
        .any(|notification| notification.notify_type == NotifyType::INITIAL_CONTACT)
}
