//! The transition table: which message may come in which state, what it must hold, and what follows.
//!
//! Every handler is gated by [`admit`]: a message that its row does not allow is dropped and
//! counted before any of its payloads is looked at. The negative tests are generated from the same
//! rows.
//!
//! A line a row: the exchange, which end receives, its state, and the message, by its number in the exchange; the
//! payloads that must be there once, and in brackets those that may, with the most that may; the message that is
//! sent in answer; the state that follows, with the timer that then runs; and where that is written. What has no
//! row is dropped.
//!
//! Three ways lead elsewhere than the line says: while the caller looks for an SPI a quick mode waits in `STARTING` or
//! `SENDING_HASH_SA_NONCE`; with the commit bit it waits in `SENDING_HASH` for message 4; and a SET of a transaction
//! is answered by an ACK, which leads to `ACKSENT`.

#![doc = include_str!("transition.txt")]

mod table;

pub use table::TABLE;

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

impl Row {
    /// Returns the payload by which the sender proves who it is, if it does.
    pub fn proof(&self) -> Option<ProofKind> {
        if ![ExchangeType::MAIN, ExchangeType::AGGRESSIVE, ExchangeType::BASE].contains(&self.exchange) {
            None
        } else if self.required.contains(&PayloadType::HASH) {
            Some(ProofKind::Hash)
        } else if self.required.contains(&PayloadType::SIGNATURE) {
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

/// Returns what a payload is in this table: two numbers have another name elsewhere.
fn name(payload: PayloadType) -> &'static str {
    match payload {
        PayloadType::SA_KEK => "NAT-D (drafts 04-08)",
        PayloadType::SA_TEK => "NAT-OA (drafts 04-08)",
        other => other.name().unwrap_or("unknown"),
    }
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
            write!(f, " {}", name(*payload))?;
        }
        for (payload, most) in self.permitted {
            write!(f, " [{} x{most}]", name(*payload))?;
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
             [Certificate Request x64] [Notification x8] [Vendor ID x64] [NAT-D (RFC 3947) x32] [NAT-D (drafts 00-03) x32] \
             [NAT-D (drafts 04-08) x32] -> UP (soft) RFC 2409 §5.4, RFC 3947 §3.2"
        );
        assert_eq!(text.len(), 30);
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
