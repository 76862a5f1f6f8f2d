use crate::action::Direction;
use crate::counters::count;
use crate::event::{Event, MessageTrace};
use crate::flight::{Answered, Repeat};
use crate::ids::Cookies;
use crate::keys::{IsakmpKeys, IvChain};
use crate::machine::Endpoint;
use crate::machine::sa::Envelope;
use crate::message::{self, NON_ESP_MARKER};
use crate::plan::Phase1Mode;
use crate::transaction::concealed;
use crate::transition::Protection;
use alloc::boxed::Box;
use drive::{Path, Transmit, Verdict};
use ipsec_wire::isakmp::{Chain, Flags, Header, MessageId, Payloads};
use ipsec_wire::registry::ExchangeType;

/// Which message of which exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name {
    pub(crate) exchange: ExchangeType,
    /// From 1; 0 if the exchange has no numbers.
    pub(crate) number: u8,
    pub(crate) message_id: u32,
    /// Whether the peer is asked to wait for CONNECTED.
    pub(crate) commit: bool,
}

impl Name {
    pub(crate) const fn main(number: u8) -> Self {
        Self { exchange: ExchangeType::MAIN, number, message_id: 0, commit: false }
    }

    pub(crate) const fn phase1(mode: Phase1Mode, number: u8) -> Self {
        Self { exchange: mode.exchange(), number, message_id: 0, commit: false }
    }

    pub(crate) const fn quick(number: u8, message_id: u32) -> Self {
        Self { exchange: ExchangeType::QUICK, number, message_id, commit: false }
    }

    pub(crate) const fn transaction(number: u8, message_id: u32) -> Self {
        Self { exchange: ExchangeType::TRANSACTION, number, message_id, commit: false }
    }

    pub(crate) const fn informational(message_id: u32) -> Self {
        Self { exchange: ExchangeType::INFORMATIONAL, number: 0, message_id, commit: false }
    }

    pub(crate) const fn new_group(message_id: u32) -> Self {
        Self { exchange: ExchangeType::NEW_GROUP, number: 1, message_id, commit: false }
    }

    const fn header(self, cookies: Cookies) -> Header {
        let header = Header::new(cookies.initiator, cookies.responder, self.exchange, MessageId(self.message_id));
        if self.commit { header.with_flags(header.flags.with(Flags::COMMIT)) } else { header }
    }
}

impl Endpoint {
    /// Returns whether messages on this path stand behind the non-ESP marker.
    pub(crate) const fn is_marked(&self, path: Path) -> bool {
        path.local.port() == self.plan.nat_t_port
    }

    /// Builds a clear message; it is not sent yet.
    pub(crate) fn clear(&mut self, to: Envelope, name: Name, chain: &Chain) -> Transmit {
        count(&mut self.counters.message_tx);
        let payload = message::clear(name.header(to.cookies), chain, self.is_marked(to.path));
        self.trace_sent(to, name, chain, Protection::Clear, payload.len());
        Transmit { path: to.path, payload }
    }

    /// Builds an encrypted message and moves its IV chain; it is not sent yet.
    pub(crate) fn sealed(
        &mut self,
        to: Envelope,
        name: Name,
        chain: &Chain,
        keys: &IsakmpKeys,
        iv: &mut IvChain,
    ) -> Transmit {
        count(&mut self.counters.message_tx);
        count(&mut self.counters.tx_encrypt_start);
        let payload = message::sealed(name.header(to.cookies), chain, iv, keys.cipher(), self.is_marked(to.path));
        count(&mut self.counters.tx_encrypt_good);
        self.trace_sent(to, name, chain, Protection::Encrypted, payload.len());
        Transmit { path: to.path, payload }
    }

    /// Sends a message: in parts, if it is too long for a peer that takes them.
    pub(crate) fn send(&mut self, transmit: Transmit) {
        let Some(parts) = self.parts_of(&transmit) else { return self.out.send(&mut self.counters, transmit) };
        count(&mut self.own.fragmented_sent);
        for payload in parts {
            count(&mut self.own.fragments_sent);
            self.out.send(&mut self.counters, Transmit { path: transmit.path, payload });
        }
    }

    /// Answers a repeat from store.
    pub(crate) fn answer_repeat(&mut self, answered: &mut Answered) -> Verdict<crate::error::DropReason> {
        count(&mut self.own.duplicates);
        count(&mut self.counters.delete_delay_received);
        match answered.repeat() {
            Repeat::Resend(transmit) => {
                count(&mut self.counters.delete_delay_resent);
                self.send(transmit);
            }
            Repeat::Nothing => {}
            Repeat::Exhausted => count(&mut self.counters.delete_delay_exceeded),
        }
        Verdict::Duplicate
    }

    fn trace_sent(&mut self, to: Envelope, name: Name, chain: &Chain, protection: Protection, length: usize) {
        if !self.plan.trace {
            return;
        }
        if let Ok(payloads) = Payloads::parse(chain.first(), chain.octets()) {
            let marker = if self.is_marked(to.path) { NON_ESP_MARKER.len() } else { 0 };
            let length = length.saturating_sub(marker);
            self.trace(Direction::Outbound, to, name, &payloads, protection, length);
        }
    }

    /// Tells of a message, if the plan asks for it.
    pub(crate) fn trace(
        &mut self,
        direction: Direction,
        to: Envelope,
        name: Name,
        payloads: &Payloads<'_>,
        protection: Protection,
        length: usize,
    ) {
        if !self.plan.trace {
            return;
        }
        let trace = MessageTrace {
            direction,
            ike_sa: to.ike_sa,
            cookies: to.cookies,
            path: to.path,
            exchange: name.exchange,
            number: name.number,
            message_id: name.message_id,
            encrypted: protection == Protection::Encrypted,
            payloads: payloads.iter().map(|payload| payload.payload_type()).collect(),
            length,
            first: payloads.first_type(),
            clear: if name.exchange == ExchangeType::TRANSACTION {
                concealed(payloads)
            } else {
                payloads.octets().to_vec()
            },
        };
        self.event(Event::Message(Box::new(trace)));
    }
}
