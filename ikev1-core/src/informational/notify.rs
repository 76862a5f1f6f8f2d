use crate::error::Failure;
use crate::ids::Cookies;
use crate::message::built;
use crate::ride_along::initial_contact::cookies_spi;
use alloc::vec::Vec;
use ipsec_wire::isakmp::payload::Notification;
use ipsec_wire::isakmp::{Chain, ChainBuilder};
use ipsec_wire::registry::{Doi, NotifyType, ProtocolId};

/// Returns the notification that tells the peer of a failure, `None` where nothing is told.
///
/// This is the one table of failures and notifications: RFC 2408 §3.14.1, RFC 2409 §5.
pub(crate) const fn notify_of(failure: &Failure) -> Option<NotifyType> {
    Some(match failure {
        Failure::NoProposalChosen | Failure::AnswerNotOffered(_) | Failure::AhBehindNat | Failure::Lifetime(_) => {
            NotifyType::NO_PROPOSAL_CHOSEN
        }
        Failure::KeyExchange | Failure::Nonce => NotifyType::INVALID_KEY_INFORMATION,
        Failure::ProbablyWrongKey | Failure::Malformed | Failure::OriginalAddress => NotifyType::PAYLOAD_MALFORMED,
        Failure::AuthenticationFailed | Failure::WrongIdentity | Failure::NoKey => NotifyType::AUTHENTICATION_FAILED,
        Failure::CertificateRefused | Failure::WrongSignature | Failure::WeakKey(_) | Failure::NoVerdict => {
            NotifyType::AUTHENTICATION_FAILED
        }
        Failure::BadIdentity | Failure::NoPolicy | Failure::SelectorsChanged | Failure::NotTheEnds => {
            NotifyType::INVALID_ID_INFORMATION
        }
        Failure::Timeout { .. }
        | Failure::Signing
        | Failure::HalfOpenTimeout
        | Failure::RefusedByPeer(_)
        | Failure::NoSpi
        | Failure::Limit
        | Failure::IkeSaGone
        | Failure::Closed
        | Failure::PeerDead
        | Failure::UserRefused
        | Failure::UserTimeout
        | Failure::NoAddress => return None,
    })
}

/// Returns the chain of a notification about an ISAKMP SA.
pub(crate) fn about_isakmp(notify_type: NotifyType, cookies: Cookies, data: Vec<u8>) -> Chain {
    let spi = cookies_spi(cookies);
    one(Notification { doi: Doi::IPSEC, protocol: ProtocolId::ISAKMP, notify_type, spi, data })
}

/// Returns the chain of a notification about an IPsec SA that was asked for.
pub(crate) fn about_child(notify_type: NotifyType, protocol: ProtocolId, spi: u32) -> Chain {
    let spi = spi.to_be_bytes().to_vec();
    one(Notification { doi: Doi::IPSEC, protocol, notify_type, spi, data: Vec::new() })
}

/// Returns the chain of CONNECTED: the pair with this inbound SPI is in force, RFC 2408 §3.1.
pub(crate) fn connected(protocol: ProtocolId, inbound_spi: u32) -> Chain {
    about_child(NotifyType::CONNECTED, protocol, inbound_spi)
}

fn one(notification: Notification<Vec<u8>>) -> Chain {
    let mut chain = ChainBuilder::new();
    chain.push(&notification);
    built(chain)
}
