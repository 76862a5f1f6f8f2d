//! Which packets break which rule of which RFC.

use super::frame::{Carried, Content};
use super::l2tp;
use ipsec_wire::ah::AhHeader;
use ipsec_wire::esp::EspPacket;
use ipsec_wire::isakmp::payload::{Notification, Payload, Proposal, SecurityAssociation};
use ipsec_wire::isakmp::{Body, Flags, Header, Message, MessageId, Payloads, RawPayload};
use ipsec_wire::registry::{ExchangeType, NotifyType, PayloadType, ProtocolId};
use ipsec_wire::{ErrorKind, WireError};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A rule that a packet breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Where the rule stands.
    pub section: &'static str,
    /// What is wrong.
    pub what: String,
}

/// What must be remembered between packets.
#[derive(Debug, Default)]
pub struct Rules {
    /// The highest sequence number of each ESP and AH association.
    sequences: BTreeMap<(SocketAddr, u32), u32>,
}

impl Rules {
    /// Returns the rules that a packet breaks by what can be seen without keys.
    pub fn check(&mut self, carried: &Carried<'_>) -> Vec<Breach> {
        let mut found = Vec::new();
        match carried.content {
            Content::Isakmp(octets) => isakmp(octets, &mut found),
            Content::NatKeepalive(octets) if octets != [0xff] => {
                add(&mut found, "RFC 3948 §2.3", "a NAT keepalive is one octet 0xff");
            }
            Content::NatKeepalive(_) | Content::Part => {}
            Content::L2tp(carrier, octets) => {
                if let Some(error) = l2tp::fault(carrier, octets) {
                    add(&mut found, "RFC 3931 §3.2, §5.1", error.to_string());
                }
            }
            Content::Esp(octets) => self.esp(carried, octets, &mut found),
            Content::Ah(octets) => self.ah(carried, octets, &mut found),
            Content::Broken(error) => add(&mut found, "RFC 791 §3.1, RFC 768, RFC 8200 §4", error.to_string()),
        }
        found
    }

    fn esp(&mut self, carried: &Carried<'_>, octets: &[u8], found: &mut Vec<Breach>) {
        let packet = match EspPacket::new_checked(octets) {
            Ok(packet) => packet,
            Err(error) => return add(found, "RFC 4303 §2", error.to_string()),
        };
        spi("RFC 4303 §2.1", packet.spi(), found);
        if !octets.len().is_multiple_of(4) {
            add(found, "RFC 4303 §2.4", "the packet does not end on a boundary of four octets");
        }
        self.sequence(carried, packet.spi(), packet.sequence(), "RFC 4303 §3.3.3", found);
    }

    fn ah(&mut self, carried: &Carried<'_>, octets: &[u8], found: &mut Vec<Breach>) {
        let header = match AhHeader::new_checked(octets) {
            Ok(header) => header,
            Err(error) => return add(found, "RFC 4302 §2", error.to_string()),
        };
        spi("RFC 4302 §2.4", header.spi(), found);
        if header.reserved() != 0 {
            add(found, "RFC 4302 §2.3", "the reserved field is not zero");
        }
        self.sequence(carried, header.spi(), header.sequence(), "RFC 4302 §3.3.2", found);
    }

    fn sequence(
        &mut self,
        carried: &Carried<'_>,
        spi: u32,
        sequence: u32,
        section: &'static str,
        found: &mut Vec<Breach>,
    ) {
        if sequence == 0 {
            add(found, section, "the first sequence number is 1, and none is 0");
        }
        let highest = self.sequences.entry((carried.destination, spi)).or_insert(0);
        if sequence != 0 && sequence == *highest {
            add(found, section, format!("sequence number {sequence} is sent twice"));
        }
        *highest = sequence.max(*highest);
    }

    /// Returns the rules that a decrypted message breaks.
    pub fn check_decrypted(&self, header: &Header, plaintext: &[u8]) -> Vec<Breach> {
        let mut found = Vec::new();
        match Payloads::parse_decrypted(header.next_payload, plaintext) {
            Ok(payloads) => chain(header, payloads, &mut found),
            Err(error) => add(&mut found, section_of(&error, None), error.to_string()),
        }
        found
    }
}

fn add(found: &mut Vec<Breach>, section: &'static str, what: impl Into<String>) {
    found.push(Breach { section, what: what.into() });
}

fn spi(section: &'static str, spi: u32, found: &mut Vec<Breach>) {
    match spi {
        0 => add(found, section, "SPI 0 must not be sent"),
        1..=255 => add(found, section, format!("SPI {spi} is reserved")),
        _ => {}
    }
}

fn isakmp(octets: &[u8], found: &mut Vec<Breach>) {
    let message = match Message::parse(octets) {
        Ok(message) => message,
        // A message for another stack breaks no rule of this one.
        Err(WireError { kind: ErrorKind::Ikev2, .. }) => return,
        Err(error) => return add(found, section_of(&error, None), error.to_string()),
    };
    let header = message.header();
    if header.initiator_cookie.is_zero() {
        add(found, "RFC 2408 §2.5.3", "the initiator cookie is zero");
    }
    if header.initiator_cookie == header.responder_cookie {
        add(found, "RFC 2408 §2.5.3", "both cookies are the same");
    }
    if header.flags.has_unknown() {
        add(found, "RFC 2408 §3.1", "flags that are not defined must be zero");
    }
    if is_phase_1(header.exchange) && header.message_id != MessageId::ZERO {
        add(found, "RFC 2408 §3.1", "the message id of phase 1 is 0");
    }
    let encrypted = header.flags.contains(Flags::ENCRYPTION);
    if !is_phase_1(header.exchange) && header.message_id == MessageId::ZERO && encrypted {
        add(found, "RFC 2409 §5.5", "the message id of an exchange under an ISAKMP SA is not 0");
    }
    if header.exchange == ExchangeType::QUICK && !encrypted {
        add(found, "RFC 2409 §5.5", "quick mode is always encrypted");
    }
    match message.body() {
        Body::Clear(payloads) => {
            if payloads.is_empty() {
                add(found, "RFC 2408 §3.1", "a message holds a payload");
            }
            chain(header, payloads, found);
        }
        Body::Encrypted(_) if header.responder_cookie.is_zero() => {
            add(found, "RFC 2409 §5", "the first message cannot be encrypted");
        }
        Body::Encrypted(_) => {}
    }
}

fn is_phase_1(exchange: ExchangeType) -> bool {
    [ExchangeType::BASE, ExchangeType::MAIN, ExchangeType::AUTHENTICATION_ONLY, ExchangeType::AGGRESSIVE]
        .contains(&exchange)
}

fn chain(header: &Header, payloads: Payloads<'_>, found: &mut Vec<Breach>) {
    let protected = header.flags.contains(Flags::ENCRYPTION);
    let first = payloads.first_type();
    if is_phase_1(header.exchange) && payloads.count_of(PayloadType::SA) > 0 && first != PayloadType::SA {
        add(found, "RFC 2409 §5.4", "in phase 1 the SA payload stands before all others");
    }
    if is_phase_1(header.exchange) && header.responder_cookie.is_zero() && payloads.count_of(PayloadType::SA) == 0 {
        add(found, "RFC 2408 §4.1", "the first message holds an SA payload");
    }
    if protected && !is_phase_1(header.exchange) && first != PayloadType::HASH && first != PayloadType::FRAGMENT {
        add(found, "RFC 2409 §5.5", "the HASH payload follows the header at once");
    }
    if header.exchange == ExchangeType::QUICK && protected {
        let second = payloads.iter().nth(1).map(|raw| raw.payload_type());
        if payloads.count_of(PayloadType::SA) > 0 && second != Some(PayloadType::SA) {
            add(found, "RFC 2409 §5.5", "the SA payload follows the HASH at once");
        }
    }
    for payload_type in [PayloadType::KEY_EXCHANGE, PayloadType::NONCE, PayloadType::HASH] {
        if payloads.count_of(payload_type) > 1 {
            add(found, "RFC 2409 §5", format!("{payload_type} stands there more than once"));
        }
    }
    if !protected && header.exchange == ExchangeType::INFORMATIONAL && payloads.count_of(PayloadType::DELETE) > 0 {
        add(found, "RFC 2409 §5.7", "a Delete that nothing protects says nothing");
    }
    payloads.iter().for_each(|raw| payload(header, raw, found));
}

fn payload(header: &Header, raw: RawPayload<'_>, found: &mut Vec<Breach>) {
    match Payload::parse(raw) {
        Err(error) => add(found, section_of(&error, Some(raw.payload_type())), error.to_string()),
        Ok(Payload::SecurityAssociation(sa)) => security_association(header, &sa, found),
        Ok(Payload::Notification(notification)) => notify(&notification, found),
        Ok(Payload::Identification(id)) => {
            if let Err(kind) = id.identity() {
                add(found, "RFC 2407 §4.6.2", format!("the data of {} is wrong: {kind}", id.id_type));
            }
            let any = id.protocol == 0 && id.port == 0;
            // RFC 3947 §5.3 lets the port be 4500 once the SA has moved there.
            let udp = id.protocol == 17 && [0, 500, 4500].contains(&id.port);
            if is_phase_1(header.exchange) && !any && !udp {
                let what = format!("protocol {} and port {} in phase 1: only 0/0 or 17/500", id.protocol, id.port);
                add(found, "RFC 2407 §4.6.2", what);
            }
        }
        Ok(Payload::Unknown(payload_type, _)) if (33..=53).contains(&payload_type.0) => {
            add(found, "RFC 2408 §3.1", format!("payload {} belongs to IKEv2", payload_type.0));
        }
        Ok(_) => {}
    }
}

fn security_association(header: &Header, sa: &SecurityAssociation<'_>, found: &mut Vec<Breach>) {
    let phase_1 = is_phase_1(header.exchange);
    if phase_1 && sa.proposal_count() > 1 {
        add(found, "RFC 2409 §5", "phase 1 has one proposal");
    }
    let mut last = None;
    for proposal in sa.proposals() {
        if last.is_some_and(|last| proposal.number < last) {
            add(found, "RFC 2408 §4.2", "proposal numbers must not decrease");
        }
        last = Some(proposal.number);
        one_proposal(phase_1, &proposal, found);
    }
}

fn one_proposal(phase_1: bool, proposal: &Proposal<'_>, found: &mut Vec<Breach>) {
    if proposal.transform_count() == 0 {
        add(found, "RFC 2408 §3.5", "a proposal holds a transform");
    }
    if phase_1 != (proposal.protocol == ProtocolId::ISAKMP) {
        add(found, "RFC 2407 §4.4.1", format!("protocol {} in this phase", proposal.protocol));
    }
    if let Ok(octets) = <[u8; 4]>::try_from(proposal.spi)
        && u32::from_be_bytes(octets) <= 255
    {
        spi("RFC 4303 §2.1", u32::from_be_bytes(octets), found);
    }
    let mut numbers: Vec<u8> = proposal.transforms().map(|transform| transform.number).collect();
    numbers.sort_unstable();
    if numbers.windows(2).any(|pair| pair[0] == pair[1]) {
        add(found, "RFC 2408 §3.6", "two transforms of a proposal have the same number");
    }
}

fn notify(notification: &Notification<&[u8]>, found: &mut Vec<Breach>) {
    let (section, wanted) = match notification.notify_type {
        NotifyType::INITIAL_CONTACT => ("RFC 2407 §4.6.3.3", 16),
        NotifyType::R_U_THERE | NotifyType::R_U_THERE_ACK => ("RFC 3706 §5.3", 16),
        _ => ("", notification.spi.len()),
    };
    if notification.spi.len() != wanted {
        let what =
            format!("{} has an SPI of {} octets, not {wanted}", notification.notify_type, notification.spi.len());
        add(found, section, what);
    }
    if let Err(kind) = notification.typed_data() {
        add(found, "RFC 2408 §3.14", format!("the data of {} is wrong: {kind}", notification.notify_type));
    }
}

/// Returns where the rule stands that an unreadable field breaks.
fn section_of(error: &WireError, payload_type: Option<PayloadType>) -> &'static str {
    match (error.kind, payload_type) {
        (ErrorKind::MajorVersion | ErrorKind::MinorVersion, _) => "RFC 2408 §5.2",
        (ErrorKind::Reserved, _) => "RFC 2408 §5.3",
        (_, None) if error.offset < Header::LEN => "RFC 2408 §3.1",
        (_, None) => "RFC 2408 §3.2",
        (ErrorKind::Situation, _) => "RFC 2407 §4.2",
        (ErrorKind::Doi, _) => "RFC 2408 §3.4",
        (_, Some(PayloadType::SA)) => "RFC 2408 §3.4 to §3.6",
        (_, Some(PayloadType::KEY_EXCHANGE)) => "RFC 2408 §3.7",
        (_, Some(PayloadType::IDENTIFICATION)) => "RFC 2407 §4.6.2",
        (_, Some(PayloadType::CERTIFICATE)) => "RFC 2408 §3.9",
        (_, Some(PayloadType::CERTIFICATE_REQUEST)) => "RFC 2408 §3.10",
        (_, Some(PayloadType::HASH)) => "RFC 2408 §3.11",
        (_, Some(PayloadType::SIGNATURE)) => "RFC 2408 §3.12",
        (_, Some(PayloadType::NONCE)) => "RFC 2409 §5",
        (_, Some(PayloadType::NOTIFICATION)) => "RFC 2408 §3.14",
        (_, Some(PayloadType::DELETE)) => "RFC 2408 §3.15",
        (_, Some(PayloadType::VENDOR_ID)) => "RFC 2408 §3.16",
        (_, Some(PayloadType::ATTRIBUTES)) => "draft-ietf-ipsec-isakmp-mode-cfg §3.2",
        (_, Some(PayloadType::NAT_D | PayloadType::NAT_D_DRAFT)) => "RFC 3947 §3.2",
        (_, Some(PayloadType::NAT_OA | PayloadType::NAT_OA_DRAFT)) => "RFC 3947 §5.2",
        (_, Some(_)) => "RFC 2408 §3",
    }
}
