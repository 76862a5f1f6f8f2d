use crate::counters::count;
use crate::defaults;
use crate::error::DropReason;
use crate::flight::Fingerprint;
use crate::ids::Cookies;
use crate::machine::Endpoint;
use crate::message::NON_ESP_MARKER;
use crate::plan::Phase1Mode;
use drive::{Datagram, Instant, Path, Verdict};
use ipsec_wire::ErrorKind;
use ipsec_wire::isakmp::{Body, Flags, Header, Message};
use ipsec_wire::registry::{ExchangeType, PayloadType};

/// A message whose form is lawful; what it says is not looked at yet.
pub(crate) struct Incoming<'a> {
    pub(crate) header: Header,
    pub(crate) cookies: Cookies,
    pub(crate) body: Body<'a>,
    pub(crate) path: Path,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) length: usize,
    /// The octets that came and are not counted yet, less than the length if it came in parts.
    pub(crate) received: usize,
}

/// What is kept of a message that is looked at again later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived {
    pub(crate) cookies: Cookies,
    pub(crate) path: Path,
    pub(crate) fingerprint: Fingerprint,
}

impl Incoming<'_> {
    pub(crate) const fn arrived(&self) -> Arrived {
        Arrived { cookies: self.cookies, path: self.path, fingerprint: self.fingerprint }
    }

    pub(crate) const fn message_id(&self) -> u32 {
        self.header.message_id.0
    }
}

impl Endpoint {
    pub(super) fn receive(&mut self, now: Instant, datagram: Datagram<'_>) -> Verdict<DropReason> {
        count(&mut self.counters.message_rx);
        if self.closed {
            return Verdict::Ignored(DropReason::Closed);
        }
        match self.form(&datagram) {
            Ok(incoming) => self.dispatch(now, &incoming),
            Err(reason) => Verdict::Ignored(reason),
        }
    }

    /// Takes off the marker and checks the form of what follows.
    fn form<'a>(&mut self, datagram: &Datagram<'a>) -> Result<Incoming<'a>, DropReason> {
        let payload = if self.is_marked(datagram.path) {
            datagram.payload.strip_prefix(&NON_ESP_MARKER).ok_or(DropReason::NoMarker)?
        } else {
            datagram.payload
        };
        self.parse(payload, datagram.path)
    }

    /// Checks the form: lengths, version, flags, cookies, and for a clear message its chain.
    pub(super) fn parse<'a>(&mut self, payload: &'a [u8], path: Path) -> Result<Incoming<'a>, DropReason> {
        if payload.len() < Header::LEN || payload.len() > defaults::MAX_DATAGRAM {
            return Err(DropReason::BadLength);
        }
        let version = payload.get(17).copied().unwrap_or(0);
        let message = Message::parse(payload).map_err(|error| match (error.kind, error.field) {
            (ErrorKind::Ikev2 | ErrorKind::MajorVersion | ErrorKind::MinorVersion, _) => DropReason::Version(version),
            (_, "message length") => DropReason::InconsistentLength,
            (_, "encrypted body") => DropReason::CiphertextLength,
            _ => DropReason::Malformed,
        })?;
        let header = *message.header();
        if header.flags.has_unknown() {
            return Err(DropReason::Flags(header.flags.0));
        }
        if header.initiator_cookie.is_zero() || header.initiator_cookie == header.responder_cookie {
            return Err(DropReason::BadCookies);
        }
        match message.body() {
            Body::Clear(_) => count(&mut self.counters.rx_plain),
            Body::Encrypted(_) => count(&mut self.counters.rx_encrypted),
        }
        Ok(Incoming {
            header,
            cookies: Cookies { initiator: header.initiator_cookie, responder: header.responder_cookie },
            body: message.body(),
            path,
            fingerprint: Fingerprint::of(payload),
            length: payload.len(),
            received: payload.len(),
        })
    }

    /// Hands a message to its exchange, by exchange type and message id.
    pub(super) fn dispatch(&mut self, now: Instant, incoming: &Incoming<'_>) -> Verdict<DropReason> {
        let exchange = incoming.header.exchange;
        let commit_or_more = incoming.header.flags.contains(Flags::AUTHENTICATION_ONLY);
        let result = match (exchange, incoming.message_id()) {
            // RFC 2408 §3.1: messages that are authenticated only belong to informational exchanges.
            _ if commit_or_more => Err(DropReason::Flags(incoming.header.flags.0)),
            _ if incoming.header.next_payload == PayloadType::FRAGMENT => self.on_part(now, incoming),
            (ExchangeType::MAIN, 0) => self.on_phase1(now, Phase1Mode::Main, incoming),
            (ExchangeType::AGGRESSIVE, 0) => self.on_phase1(now, Phase1Mode::Aggressive, incoming),
            (ExchangeType::BASE, 0) => self.on_phase1(now, Phase1Mode::Base, incoming),
            (ExchangeType::MAIN | ExchangeType::AGGRESSIVE | ExchangeType::BASE, id)
            | (ExchangeType::QUICK | ExchangeType::NEW_GROUP, id @ 0) => Err(DropReason::MessageId(id)),
            (ExchangeType::QUICK, _) => self.on_quick(now, incoming),
            (ExchangeType::TRANSACTION, _) => self.on_transaction(now, incoming),
            (ExchangeType::INFORMATIONAL, _) => self.on_informational(now, incoming),
            (ExchangeType::NEW_GROUP, _) => self.on_new_group(now, incoming),
            _ => Err(DropReason::ExchangeType(exchange.0)),
        };
        result.unwrap_or_else(Verdict::Ignored)
    }
}
