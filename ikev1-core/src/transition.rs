//! The transition table: which message may come in which state, what it must hold, and what follows.
//!
//! Every handler is gated by [`admit`]: a message that its row does not allow is dropped and
//! counted before any of its payloads is looked at. The negative tests are generated from the same
//! rows.

#![doc = include_str!("transition.txt")]

use crate::auth::ProofKind;
use crate::error::DropReason;
use crate::ids::Role;
use crate::state_name::StateName;
use core::fmt;
use ipsec_wire::registry::{ExchangeType, PayloadType};

/// Whether a message travels in clear or under the keys of phase 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// In clear.
    Clear,
    /// Encrypted.
    Encrypted,
}

/// One message in one state.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The exchange.
    pub exchange: ExchangeType,
    /// The role of the end that receives it.
    pub receiver: Role,
    /// The state of that end.
    pub state: StateName,
    /// The number of the message in its exchange, from 1.
    pub message: u8,
    /// Clear, encrypted, or either.
    pub protection: &'static [Protection],
    /// The payloads that must lead, in this order.
    pub leading: &'static [PayloadType],
    /// The payloads that must be there exactly once, the leading ones included.
    pub required: &'static [PayloadType],
    /// The payloads that may be there, each with the most that may.
    pub permitted: &'static [(PayloadType, usize)],
    /// The number of the message sent in answer, 0 for none.
    pub answer: u8,
    /// The state that follows.
    pub next: StateName,
    /// The timer that then runs.
    pub timer: &'static str,
    /// The section of the RFC.
    pub section: &'static str,
}

const CLEAR: &[Protection] = &[Protection::Clear];
const ENCRYPTED: &[Protection] = &[Protection::Encrypted];
/// RFC 2409 §5 lets the last message of aggressive mode travel either way.
const EITHER: &[Protection] = &[Protection::Encrypted, Protection::Clear];

const SA: PayloadType = PayloadType::SA;
const KE: PayloadType = PayloadType::KEY_EXCHANGE;
const ID: PayloadType = PayloadType::IDENTIFICATION;
const CERT: PayloadType = PayloadType::CERTIFICATE;
const CERTREQ: PayloadType = PayloadType::CERTIFICATE_REQUEST;
const HASH: PayloadType = PayloadType::HASH;
const SIG: PayloadType = PayloadType::SIGNATURE;
const NONCE: PayloadType = PayloadType::NONCE;
const N: PayloadType = PayloadType::NOTIFICATION;
const ATTR: PayloadType = PayloadType::ATTRIBUTES;
const D: PayloadType = PayloadType::DELETE;
const VID: PayloadType = PayloadType::VENDOR_ID;
const NAT_D: PayloadType = PayloadType::NAT_D;
const NAT_D_DRAFT: PayloadType = PayloadType::NAT_D_DRAFT;
const NAT_OA: PayloadType = PayloadType::NAT_OA;
const NAT_OA_DRAFT: PayloadType = PayloadType::NAT_OA_DRAFT;

/// The most vendor ids in one message: clients that know every extension send some thirty.
const VIDS: (PayloadType, usize) = (VID, 64);
/// The most NAT-D payloads: one for the destination, the rest for every address of the source.
const NAT_DS: (PayloadType, usize) = (NAT_D, 32);
const NAT_DS_DRAFT: (PayloadType, usize) = (NAT_D_DRAFT, 32);
/// Drafts 04 to 08 took the numbers of group keys; only a peer that chose such a draft is read so.
const NAT_DS_LATE: (PayloadType, usize) = (PayloadType::SA_KEK, 32);
const NAT_OAS: (PayloadType, usize) = (NAT_OA, 2);
const NAT_OAS_DRAFT: (PayloadType, usize) = (NAT_OA_DRAFT, 2);
const NAT_OAS_LATE: (PayloadType, usize) = (PayloadType::SA_TEK, 2);
/// The most certificate requests: one for each authority.
const CERTREQS: (PayloadType, usize) = (CERTREQ, 64);
/// The most certificates: a chain; of the same number are those that say nothing to us.
const CERTS: (PayloadType, usize) = (CERT, crate::defaults::MAX_CHAIN);
const NOTIFIES: (PayloadType, usize) = (N, 8);

impl Row {
    /// Checks how a message travels, before anything else of it is looked at.
    ///
    /// # Errors
    /// [`DropReason::ClearText`] or [`DropReason::NoKeys`].
    pub fn takes(&self, protection: Protection) -> Result<(), DropReason> {
        if self.protection.contains(&protection) {
            return Ok(());
        }
        Err(match protection {
            Protection::Clear => DropReason::ClearText,
            Protection::Encrypted => DropReason::NoKeys,
        })
    }
}

/// The table, in the order of the exchanges.
pub const TABLE: &[Row] = &[
    Row {
        exchange: ExchangeType::MAIN,
        receiver: Role::Responder,
        state: StateName::MainIdle,
        message: 1,
        protection: CLEAR,
        leading: &[SA],
        required: &[SA],
        permitted: &[VIDS],
        answer: 2,
        next: StateName::MainSaRecv,
        timer: "half-open",
        section: "RFC 2409 §5.4",
    },
    Row {
        exchange: ExchangeType::MAIN,
        receiver: Role::Initiator,
        state: StateName::MainSaSent,
        message: 2,
        protection: CLEAR,
        leading: &[SA],
        required: &[SA],
        permitted: &[VIDS],
        answer: 3,
        next: StateName::MainKeSent,
        timer: "resend",
        section: "RFC 2409 §5.4",
    },
    Row {
        exchange: ExchangeType::MAIN,
        receiver: Role::Responder,
        state: StateName::MainSaRecv,
        message: 3,
        protection: CLEAR,
        leading: &[],
        required: &[KE, NONCE],
        permitted: &[VIDS, NAT_DS, NAT_DS_DRAFT, NAT_DS_LATE, CERTREQS],
        answer: 4,
        next: StateName::MainKeRecv,
        timer: "half-open",
        section: "RFC 2409 §5.4, RFC 3947 §3.2",
    },
    Row {
        exchange: ExchangeType::MAIN,
        receiver: Role::Initiator,
        state: StateName::MainKeSent,
        message: 4,
        protection: CLEAR,
        leading: &[],
        required: &[KE, NONCE],
        permitted: &[VIDS, NAT_DS, NAT_DS_DRAFT, NAT_DS_LATE, CERTREQS],
        answer: 5,
        next: StateName::MainAuthSent,
        timer: "resend",
        section: "RFC 2409 §5.4, RFC 3947 §3.2",
    },
    Row {
        exchange: ExchangeType::MAIN,
        receiver: Role::Responder,
        state: StateName::MainKeRecv,
        message: 5,
        protection: ENCRYPTED,
        leading: &[],
        required: &[ID, HASH],
        permitted: &[NOTIFIES, VIDS, CERTREQS, CERTS],
        answer: 6,
        next: StateName::MainUp,
        timer: "soft",
        section: "RFC 2409 §5.4",
    },
    Row {
        exchange: ExchangeType::MAIN,
        receiver: Role::Responder,
        state: StateName::MainKeRecv,
        message: 5,
        protection: ENCRYPTED,
        leading: &[],
        required: &[ID, SIG],
        permitted: &[NOTIFIES, VIDS, CERTREQS, CERTS],
        answer: 6,
        next: StateName::MainUp,
        timer: "soft",
        section: "RFC 2409 §5.1",
    },
    Row {
        exchange: ExchangeType::MAIN,
        receiver: Role::Initiator,
        state: StateName::MainAuthSent,
        message: 6,
        protection: ENCRYPTED,
        leading: &[],
        required: &[ID, HASH],
        permitted: &[NOTIFIES, VIDS, CERTREQS, CERTS],
        answer: 0,
        next: StateName::MainUp,
        timer: "soft",
        section: "RFC 2409 §5.4",
    },
    Row {
        exchange: ExchangeType::MAIN,
        receiver: Role::Initiator,
        state: StateName::MainAuthSent,
        message: 6,
        protection: ENCRYPTED,
        leading: &[],
        required: &[ID, SIG],
        permitted: &[NOTIFIES, VIDS, CERTREQS, CERTS],
        answer: 0,
        next: StateName::MainUp,
        timer: "soft",
        section: "RFC 2409 §5.1",
    },
    Row {
        exchange: ExchangeType::AGGRESSIVE,
        receiver: Role::Responder,
        state: StateName::AggressiveIdle,
        message: 1,
        protection: CLEAR,
        leading: &[SA],
        required: &[SA, KE, NONCE, ID],
        permitted: &[VIDS, CERTREQS],
        answer: 2,
        next: StateName::AggressiveSaKeAuthSent,
        timer: "resend",
        section: "RFC 2409 §5.4",
    },
    Row {
        exchange: ExchangeType::AGGRESSIVE,
        receiver: Role::Initiator,
        state: StateName::AggressiveSaKeSent,
        message: 2,
        protection: CLEAR,
        leading: &[SA],
        required: &[SA, KE, NONCE, ID, HASH],
        permitted: &[NOTIFIES, VIDS, NAT_DS, NAT_DS_DRAFT, NAT_DS_LATE, CERTREQS],
        answer: 3,
        next: StateName::AggressiveUp,
        timer: "soft",
        section: "RFC 2409 §5.4, RFC 3947 §3.2",
    },
    Row {
        exchange: ExchangeType::AGGRESSIVE,
        receiver: Role::Initiator,
        state: StateName::AggressiveSaKeSent,
        message: 2,
        protection: CLEAR,
        leading: &[SA],
        required: &[SA, KE, NONCE, ID, SIG],
        permitted: &[CERTS, NOTIFIES, VIDS, NAT_DS, NAT_DS_DRAFT, NAT_DS_LATE, CERTREQS],
        answer: 3,
        next: StateName::AggressiveUp,
        timer: "soft",
        section: "RFC 2409 §5.1, RFC 3947 §3.2",
    },
    Row {
        exchange: ExchangeType::AGGRESSIVE,
        receiver: Role::Responder,
        state: StateName::AggressiveSaKeAuthSent,
        message: 3,
        protection: EITHER,
        leading: &[],
        required: &[HASH],
        permitted: &[CERTS, CERTREQS, NOTIFIES, VIDS, NAT_DS, NAT_DS_DRAFT, NAT_DS_LATE],
        answer: 0,
        next: StateName::AggressiveUp,
        timer: "soft",
        section: "RFC 2409 §5.4, RFC 3947 §3.2",
    },
    Row {
        exchange: ExchangeType::AGGRESSIVE,
        receiver: Role::Responder,
        state: StateName::AggressiveSaKeAuthSent,
        message: 3,
        protection: EITHER,
        leading: &[],
        required: &[SIG],
        permitted: &[CERTS, CERTREQS, NOTIFIES, VIDS, NAT_DS, NAT_DS_DRAFT, NAT_DS_LATE],
        answer: 0,
        next: StateName::AggressiveUp,
        timer: "soft",
        section: "RFC 2409 §5.1, RFC 3947 §3.2",
    },
    Row {
        exchange: ExchangeType::BASE,
        receiver: Role::Responder,
        state: StateName::BaseIdle,
        message: 1,
        protection: CLEAR,
        leading: &[SA],
        required: &[SA, NONCE, ID],
        permitted: &[VIDS, CERTREQS],
        answer: 2,
        next: StateName::BaseSaRecv,
        timer: "half-open",
        section: "draft-ietf-ipsec-ike-base-mode",
    },
    Row {
        exchange: ExchangeType::BASE,
        receiver: Role::Initiator,
        state: StateName::BaseSaSent,
        message: 2,
        protection: CLEAR,
        leading: &[SA],
        required: &[SA, NONCE, ID],
        permitted: &[VIDS, CERTREQS],
        answer: 3,
        next: StateName::BaseKeAuthSent,
        timer: "resend",
        section: "draft-ietf-ipsec-ike-base-mode",
    },
    Row {
        exchange: ExchangeType::BASE,
        receiver: Role::Responder,
        state: StateName::BaseSaRecv,
        message: 3,
        protection: CLEAR,
        leading: &[],
        required: &[KE, HASH],
        permitted: &[CERTS, CERTREQS, NOTIFIES, VIDS, NAT_DS, NAT_DS_DRAFT, NAT_DS_LATE],
        answer: 4,
        next: StateName::BaseUp,
        timer: "soft",
        section: "draft-ietf-ipsec-ike-base-mode, RFC 3947 §3.2",
    },
    Row {
        exchange: ExchangeType::BASE,
        receiver: Role::Responder,
        state: StateName::BaseSaRecv,
        message: 3,
        protection: CLEAR,
        leading: &[],
        required: &[KE, SIG],
        permitted: &[CERTS, CERTREQS, NOTIFIES, VIDS, NAT_DS, NAT_DS_DRAFT, NAT_DS_LATE],
        answer: 4,
        next: StateName::BaseUp,
        timer: "soft",
        section: "draft-ietf-ipsec-ike-base-mode, RFC 3947 §3.2",
    },
    Row {
        exchange: ExchangeType::BASE,
        receiver: Role::Initiator,
        state: StateName::BaseKeAuthSent,
        message: 4,
        protection: CLEAR,
        leading: &[],
        required: &[KE, HASH],
        permitted: &[CERTS, CERTREQS, NOTIFIES, VIDS, NAT_DS, NAT_DS_DRAFT, NAT_DS_LATE],
        answer: 0,
        next: StateName::BaseUp,
        timer: "soft",
        section: "draft-ietf-ipsec-ike-base-mode, RFC 3947 §3.2",
    },
    Row {
        exchange: ExchangeType::BASE,
        receiver: Role::Initiator,
        state: StateName::BaseKeAuthSent,
        message: 4,
        protection: CLEAR,
        leading: &[],
        required: &[KE, SIG],
        permitted: &[CERTS, CERTREQS, NOTIFIES, VIDS, NAT_DS, NAT_DS_DRAFT, NAT_DS_LATE],
        answer: 0,
        next: StateName::BaseUp,
        timer: "soft",
        section: "draft-ietf-ipsec-ike-base-mode, RFC 3947 §3.2",
    },
    Row {
        exchange: ExchangeType::QUICK,
        receiver: Role::Responder,
        state: StateName::QuickReceivingMessage,
        message: 1,
        protection: ENCRYPTED,
        leading: &[HASH, SA],
        required: &[HASH, SA, NONCE],
        permitted: &[(KE, 1), (ID, 2), NAT_OAS, NAT_OAS_DRAFT, NAT_OAS_LATE, NOTIFIES, VIDS],
        answer: 2,
        next: StateName::QuickSendingHashSaNonce,
        timer: "resend",
        section: "RFC 2409 §5.5",
    },
    Row {
        exchange: ExchangeType::QUICK,
        receiver: Role::Initiator,
        state: StateName::QuickWaitHashSaNonce,
        message: 2,
        protection: ENCRYPTED,
        leading: &[HASH, SA],
        required: &[HASH, SA, NONCE],
        permitted: &[(KE, 1), (ID, 2), NAT_OAS, NAT_OAS_DRAFT, NAT_OAS_LATE, NOTIFIES, VIDS],
        answer: 3,
        next: StateName::DeleteDelay,
        timer: "delete delay",
        section: "RFC 2409 §5.5",
    },
    Row {
        exchange: ExchangeType::QUICK,
        receiver: Role::Responder,
        state: StateName::QuickWaitHash,
        message: 3,
        protection: ENCRYPTED,
        leading: &[HASH],
        required: &[HASH],
        permitted: &[NOTIFIES, VIDS],
        answer: 0,
        next: StateName::QuickDone,
        timer: "soft",
        section: "RFC 2409 §5.5",
    },
    Row {
        exchange: ExchangeType::QUICK,
        receiver: Role::Initiator,
        state: StateName::QuickSendingHash,
        message: 4,
        protection: ENCRYPTED,
        leading: &[HASH],
        required: &[HASH, N],
        permitted: &[VIDS],
        answer: 0,
        next: StateName::QuickDone,
        timer: "soft",
        section: "RFC 2408 §3.1",
    },
    Row {
        exchange: ExchangeType::QUICK,
        receiver: Role::Responder,
        state: StateName::QuickSendingHash,
        message: 4,
        protection: ENCRYPTED,
        leading: &[HASH],
        required: &[HASH, N],
        permitted: &[VIDS],
        answer: 0,
        next: StateName::QuickDone,
        timer: "soft",
        section: "RFC 2408 §3.1",
    },
    Row {
        exchange: ExchangeType::INFORMATIONAL,
        receiver: Role::Responder,
        state: StateName::InfoIdle,
        message: 1,
        protection: ENCRYPTED,
        leading: &[HASH],
        required: &[HASH],
        permitted: &[(N, 16), (D, 16), VIDS],
        answer: 0,
        next: StateName::InfoDone,
        timer: "none",
        section: "RFC 2409 §5.7",
    },
    Row {
        exchange: ExchangeType::TRANSACTION,
        receiver: Role::Responder,
        state: StateName::TransactionIdle,
        message: 1,
        protection: ENCRYPTED,
        leading: &[HASH],
        required: &[HASH, ATTR],
        permitted: &[NOTIFIES, VIDS],
        answer: 2,
        next: StateName::TransactionRepSent,
        timer: "delete delay",
        section: "draft-ietf-ipsec-isakmp-mode-cfg §3.4",
    },
    Row {
        exchange: ExchangeType::TRANSACTION,
        receiver: Role::Initiator,
        state: StateName::TransactionReqSent,
        message: 2,
        protection: ENCRYPTED,
        leading: &[HASH],
        required: &[HASH, ATTR],
        permitted: &[NOTIFIES, VIDS],
        answer: 0,
        next: StateName::TransactionRepRecv,
        timer: "delete delay",
        section: "draft-ietf-ipsec-isakmp-mode-cfg §3.4",
    },
    Row {
        exchange: ExchangeType::TRANSACTION,
        receiver: Role::Initiator,
        state: StateName::TransactionSetSent,
        message: 2,
        protection: ENCRYPTED,
        leading: &[HASH],
        required: &[HASH, ATTR],
        permitted: &[NOTIFIES, VIDS],
        answer: 0,
        next: StateName::TransactionAckRecv,
        timer: "delete delay",
        section: "draft-ietf-ipsec-isakmp-mode-cfg §3.4",
    },
    Row {
        exchange: ExchangeType::TRANSACTION,
        receiver: Role::Responder,
        state: StateName::TransactionRepSent,
        message: 3,
        protection: ENCRYPTED,
        leading: &[HASH],
        required: &[HASH, ATTR],
        permitted: &[NOTIFIES, VIDS],
        answer: 4,
        next: StateName::TransactionRepSent,
        timer: "delete delay",
        section: "draft-beaulieu-ike-xauth §4",
    },
];

impl Row {
    /// Returns the payload by which the sender proves who it is, if it does.
    pub fn proof(&self) -> Option<ProofKind> {
        if ![ExchangeType::MAIN, ExchangeType::AGGRESSIVE, ExchangeType::BASE].contains(&self.exchange) {
            None
        } else if self.required.contains(&HASH) {
            Some(ProofKind::Hash)
        } else if self.required.contains(&SIG) {
            Some(ProofKind::Signature)
        } else {
            None
        }
    }
}

/// Returns the row of a state of phase 1, if any message may come then from a peer that proves itself so.
pub fn row_for(exchange: ExchangeType, receiver: Role, state: StateName, proof: ProofKind) -> Option<&'static Row> {
    let fits = |row: &&Row| row.proof().is_none_or(|wanted| wanted == proof);
    let mut rows =
        TABLE.iter().filter(|row| row.exchange == exchange && row.receiver == receiver && row.state == state);
    rows.find(fits)
}

/// Returns the row of a state, if any message may come then.
pub fn row(exchange: ExchangeType, receiver: Role, state: StateName) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.exchange == exchange && row.receiver == receiver && row.state == state)
}

/// Checks a message against its row: protection, and which payloads there are how often in which order.
///
/// Payloads of the private range that nobody named are ignored, RFC 2408 §3.1; any other payload
/// that the row does not name is refused.
///
/// # Errors
/// [`DropReason::ClearText`], [`DropReason::NoKeys`] or [`DropReason::PayloadSet`].
pub fn admit(
    row: &Row,
    protection: Protection,
    payloads: impl Iterator<Item = PayloadType> + Clone,
) -> Result<(), DropReason> {
    row.takes(protection)?;
    if !row.leading.iter().copied().eq(payloads.clone().take(row.leading.len())) {
        return Err(DropReason::PayloadSet);
    }
    let count = |wanted: PayloadType| payloads.clone().filter(|payload| *payload == wanted).count();
    if row.required.iter().any(|required| count(*required) != 1) {
        return Err(DropReason::PayloadSet);
    }
    if row.permitted.iter().any(|(permitted, most)| count(*permitted) > *most) {
        return Err(DropReason::PayloadSet);
    }
    let known = |payload: PayloadType| {
        row.required.contains(&payload) || row.permitted.iter().any(|(permitted, _)| *permitted == payload)
    };
    // Private payloads that a maker invented are skipped; those with a meaning of their own are not.
    let skipped = |payload: PayloadType| payload.0 >= 128 && payload.name().is_none();
    if payloads.clone().any(|payload| !known(payload) && !skipped(payload)) {
        return Err(DropReason::PayloadSet);
    }
    Ok(())
}

/// One line per row, as a person reads a table.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} message {} {}:",
            self.exchange.name().unwrap_or("unknown"),
            self.receiver,
            self.state,
            self.message,
            match self.protection {
                [Protection::Clear] => "clear",
                [Protection::Encrypted] => "encrypted",
                _ => "clear or encrypted",
            }
        )?;
        for payload in self.required {
            write!(f, " {}", payload.name().unwrap_or("unknown"))?;
        }
        for (payload, most) in self.permitted {
            write!(f, " [{} x{most}]", payload.name().unwrap_or("unknown"))?;
        }
        if self.answer != 0 {
            write!(f, " -> message {}", self.answer)?;
        }
        write!(f, " -> {} ({}) {}", self.next, self.timer, self.section)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// The table as a person reads it; a change of the protocol's rules shows here.
    #[test]
    fn the_table_prints_itself() {
        let text: Vec<_> = TABLE.iter().map(alloc::string::ToString::to_string).collect();
        assert_eq!(
            text[0],
            "Identity Protection (Main Mode) responder IDLE message 1 clear: SA [Vendor ID x64] -> message 2 -> SARECV \
             (half-open) RFC 2409 §5.4"
        );
        assert_eq!(
            text[11],
            "Aggressive responder SAKEAUTHSENT message 3 clear or encrypted: Hash [Certificate x8] \
             [Certificate Request x64] [Notification x8] [Vendor ID x64] [NAT-D (RFC 3947) x32] [NAT-D (drafts 00-03) x32] [SA KEK x32] -> UP (soft) RFC 2409 §5.4, RFC 3947 §3.2"
        );
        assert_eq!(text.len(), 29);
    }

    #[test]
    fn each_state_takes_at_most_one_message_for_each_kind_of_proof() {
        for (at, row) in TABLE.iter().enumerate() {
            let same = |other: &Row| {
                other.exchange == row.exchange
                    && other.receiver == row.receiver
                    && other.state == row.state
                    && other.proof() == row.proof()
            };
            assert_eq!(TABLE.iter().position(same), Some(at), "{row}");
            if let Some(proof) = row.proof() {
                assert_eq!(
                    row_for(row.exchange, row.receiver, row.state, proof).map(|row| row.section),
                    Some(row.section)
                );
            }
        }
    }

    #[test]
    fn the_required_payloads_alone_are_admitted() {
        for row in TABLE {
            assert_eq!(admit(row, row.protection[0], row.required.iter().copied()), Ok(()), "{row}");
        }
    }

    /// Every subset of the payloads that a row names, and every doubling: only lawful sets advance.
    #[test]
    fn only_sets_with_all_required_payloads_once_are_admitted() {
        for row in TABLE {
            let named: Vec<PayloadType> =
                row.required.iter().copied().chain(row.permitted.iter().map(|(payload, _)| *payload)).collect();
            for subset in 0u32..1 << named.len() {
                let chosen = named.iter().enumerate().filter(|(at, _)| subset >> at & 1 == 1).map(|(_, p)| *p);
                let all = subset & ((1 << row.required.len()) - 1) == (1 << row.required.len()) - 1;
                assert_eq!(admit(row, row.protection[0], chosen).is_ok(), all, "{row} {subset:b}");
            }
            for required in row.required {
                let doubled = row.required.iter().copied().chain([*required]);
                assert_eq!(admit(row, row.protection[0], doubled), Err(DropReason::PayloadSet));
            }
        }
    }

    #[test]
    fn payloads_that_have_no_place_are_refused_and_private_ones_skipped() {
        for row in TABLE {
            for number in 1u8..=255 {
                let payload = PayloadType(number);
                let named = row.required.contains(&payload) || row.permitted.iter().any(|(p, _)| *p == payload);
                if named {
                    continue;
                }
                let private = number >= 128 && payload.name().is_none();
                let set = row.required.iter().copied().chain([payload]);
                assert_eq!(admit(row, row.protection[0], set).is_ok(), private, "{row} with {payload}");
            }
        }
    }

    #[test]
    fn the_wrong_protection_is_refused_before_any_payload_is_looked_at() {
        for row in TABLE {
            for (protection, reason) in
                [(Protection::Encrypted, DropReason::NoKeys), (Protection::Clear, DropReason::ClearText)]
            {
                let wanted = if row.protection.contains(&protection) { DropReason::PayloadSet } else { reason };
                assert_eq!(admit(row, protection, core::iter::empty()), Err(wanted));
            }
        }
    }
}
