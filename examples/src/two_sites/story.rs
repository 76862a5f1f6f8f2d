//! What happens, told line by line, and the hosts on both LANs.

use super::contents;
use super::lan::{Host, Received};
use super::page::Page;
use super::scenario::Side;
use crate::gatewayd::log::Log;
use crate::gatewayd::trust::Trust;
use bytes::Bytes;
use drive::{Instant, Path, Transmit, Verdict};
use gateway::{Action, Command, Event, Gateway, Outcome};
use ikev1_core::{Direction, Event as Ike, KeyLogLine, MessageTrace, Role, UserVerdict, Users};
use ipsec_wire::ah::AhHeader;
use ipsec_wire::esp::EspPacket;
use ipsec_wire::ipv4::Ipv4Packet;
use ipsec_wire::isakmp::payload::Fragment;
use ipsec_wire::isakmp::{Body, Message};
use ipsec_wire::registry::{ExchangeType, PayloadType};
use nat_t::demux::{self, Content};
use simnet::{Handler, Incident, NodeId, Orders};
use std::collections::BTreeSet;

/// The day on which the story plays, in seconds since 1970, so that a certificate is valid in every run or in none:
/// 1 January 2027.
const TODAY: u64 = 1_798_761_600;

/// One end of the story.
pub struct End {
    /// Which side it is.
    pub side: Side,
    /// The node of its gateway.
    pub node: NodeId,
    /// The host on its LAN.
    pub host: Host,
    /// Says what its gateway says.
    pub log: Log,
    /// Judges the certificates of the other side.
    pub trust: Trust,
    /// The users whom it asks.
    pub users: Users,
}

/// Writes down what happens on both sides, and lets the hosts answer.
pub struct Story {
    /// The page that is written.
    pub page: Page,
    /// Left and right.
    pub ends: [End; 2],
    /// The key log of both ends.
    pub keys: Vec<KeyLogLine>,
    /// How many pairs of IPsec SAs and how many ISAKMP SAs were renewed, as the ends saw it.
    pub renewals: usize,
    /// How many exchanges were given up by the end that began them.
    pub failures: usize,
    /// The messages of the exchanges that were sent, to know one that is sent again.
    sent: BTreeSet<(NodeId, Bytes)>,
}

impl Story {
    /// Returns the story of two ends.
    pub fn new(ends: [End; 2]) -> Self {
        Self { page: Page::new(), ends, keys: Vec::new(), renewals: 0, failures: 0, sent: BTreeSet::new() }
    }

    /// Returns the end on a side.
    pub fn end(&mut self, side: Side) -> &mut End {
        let [left, right] = &mut self.ends;
        match side {
            Side::Left => left,
            Side::Right => right,
        }
    }

    /// Writes what became of a packet that a host gave to its gateway.
    pub fn handed_over(&mut self, now: Instant, side: Side, outcome: &Outcome) {
        match outcome {
            Outcome::Sent => {}
            Outcome::Waits => self.page.line(now, side.name(), "wait", "it waits until there is a tunnel"),
            other => self.page.line(now, side.name(), "drop", format_args!("not sent: {other:?}")),
        }
    }

    /// Writes what the network did.
    pub fn incident(&mut self, at: Instant, incident: Incident, packet: &Transmit) {
        let text = format!("{}, {}", content(packet), packet.path);
        self.page.line(at, "wire", &incident.to_string(), text);
    }

    fn side(&self, node: NodeId) -> Side {
        self.ends.iter().find(|end| end.node == node).map_or(Side::Left, |end| end.side)
    }

    fn delivered(&mut self, now: Instant, side: Side, packet: &[u8]) -> Option<Bytes> {
        let name = side.name();
        match self.end(side).host.receive(now, packet) {
            Received::Request { from, sequence, answer } => {
                self.page.line(now, name, "answer", format_args!("ping {sequence} of {from}"));
                Some(answer)
            }
            Received::Reply { from, sequence, round_trip } => {
                let millis = round_trip.as_secs_f64() * 1e3;
                self.page.line(now, name, "reply", format_args!("ping {sequence} from {from} in {millis:.3} ms"));
                None
            }
            Received::Stray { sequence } => {
                self.page.line(now, name, "reply", format_args!("ping {sequence} again"));
                None
            }
            Received::Unreadable => {
                self.page.line(now, name, "drop", "the host cannot read the packet");
                None
            }
        }
    }

    fn event(&mut self, now: Instant, side: Side, event: &Event) {
        if let Event::Ike(Ike::Message(message)) = event {
            return self.message(now, side, message);
        }
        match event {
            Event::Ike(Ike::SaRekeyed { .. } | Ike::SasAdopted { .. }) => self.renewals += 1,
            Event::Ike(Ike::Phase1Failed { role, .. } | Ike::Phase2Failed { role, .. }) if *role == Role::Initiator => {
                self.failures += 1;
            }
            _ => {}
        }
        if let Event::Ike(Ike::Resent { exchange: of, message_id, sendings, left, .. }) = event {
            let id = if *message_id == 0 { String::new() } else { format!(" {message_id:#010x}") };
            let text = format!("{}{id}: no answer, sending {sendings}, {left} left", exchange(*of));
            return self.page.line(now, side.name(), "timeout", text);
        }
        let (_, text) = self.end(side).log.text(event);
        let mut parts = text.split("; ");
        self.page.line(now, side.name(), word(event), parts.next().unwrap_or_default());
        parts.for_each(|part| self.page.more(part));
    }

    /// Writes a message: what is in it where it was made, and only that it came where it came.
    fn message(&mut self, now: Instant, side: Side, message: &MessageTrace) {
        let (what, path) = match message.direction {
            Direction::Outbound => ("send", message.path),
            Direction::Inbound => ("receive", message.path.reversed()),
        };
        let number = if message.number > 0 { format!(" message {}", message.number) } else { String::new() };
        let id = if message.message_id == 0 { String::new() } else { format!(" {:#010x}", message.message_id) };
        let form = if message.encrypted { "encrypted" } else { "in clear" };
        let exchange = exchange(message.exchange);
        let text = format!("{exchange}{id}{number}, {} octets {form}, {}", message.length, path);
        self.page.line(now, side.name(), what, text);
        if message.direction == Direction::Outbound {
            contents::lines(message).into_iter().for_each(|line| self.page.more(line));
        }
    }
}

impl Handler<Gateway> for Story {
    fn on_action(&mut self, now: Instant, node: NodeId, action: Action, orders: &mut Orders<Gateway>) {
        let side = self.side(node);
        match action {
            Action::Deliver(packet, _) => {
                if let Some(answer) = self.delivered(now, side, &packet) {
                    orders.call(node, move |now, gateway| {
                        // What becomes of an answer is seen on the wire.
                        let _ = gateway.handle_packet(now, &answer);
                    });
                }
            }
            Action::Bypass(_) => self.page.line(now, side.name(), "bypass", "a packet leaves in clear"),
            // Both ends have the same keys, and log them in their own addresses.
            Action::KeyLog(line) if self.keys.contains(&line) => {}
            Action::KeyLog(line) => self.keys.push(line),
            Action::Event(event) => self.event(now, side, &event),
            Action::VerifyCertificate(question) => {
                let (answer, error) = self.end(side).trust.judge(&question, TODAY);
                let verdict = error.map_or("trusted".to_owned(), |error| format!("not trusted: {error}"));
                let text = format!("{} certificates of {}: {verdict}", question.certificates.len(), question.identity);
                self.page.line(now, side.name(), "judge", text);
                answered(orders, node, answer);
            }
            Action::VerifyUser(question) => {
                let verdict = self.end(side).users.verify(&question);
                let word = if matches!(verdict, UserVerdict::Accept) { "accepted" } else { "not accepted" };
                self.page.line(now, side.name(), "judge", format_args!("the user's answer: {word}"));
                answered(orders, node, Command::ProvideVerdict { ticket: question.ticket, verdict });
            }
            other => self.page.line(now, side.name(), "action", format_args!("{other:?}")),
        }
    }

    fn on_sent(&mut self, now: Instant, node: NodeId, packet: &Transmit) {
        // Messages of the exchanges are told by their gateway, contents and all.
        let name = self.side(node).name();
        match kind(packet) {
            Kind::Esp(_) => self.page.line(now, name, "esp", format_args!("{}, {}", content(packet), packet.path)),
            Kind::Ah(_) => self.page.line(now, name, "ah", format_args!("{}, {}", content(packet), packet.path)),
            Kind::Keepalive => self.page.line(now, name, "keepalive", packet.path),
            Kind::Ike if !self.sent.insert((node, packet.payload.clone())) => {
                self.page.line(now, name, "resend", format_args!("{}, {}", content(packet), packet.path));
            }
            // What was told as one message goes in several packets.
            Kind::Ike if part(packet).is_some() => {
                self.page.line(now, name, "part", format_args!("{}, {}", content(packet), packet.path));
            }
            Kind::Ike | Kind::Other => {}
        }
    }

    fn on_received(&mut self, now: Instant, node: NodeId, packet: &Transmit, verdict: &Verdict<gateway::DropReason>) {
        let name = self.side(node).name();
        match verdict {
            Verdict::Accepted => {}
            Verdict::Duplicate => self.page.line(now, name, "again", format_args!("{}: seen before", content(packet))),
            Verdict::Ignored(_) if matches!(kind(packet), Kind::Keepalive) => {}
            Verdict::Ignored(gateway::DropReason::Ike(ikev1_core::DropReason::Refused)) => {
                self.page.line(now, name, "refuse", format_args!("{}: why follows", content(packet)));
            }
            Verdict::Ignored(reason) => {
                self.page.line(now, name, "drop", format_args!("{}: {reason}", content(packet)))
            }
        }
    }
}

/// Gives a gateway the answer to its question.
fn answered(orders: &mut Orders<Gateway>, node: NodeId, answer: Command) {
    orders.call(node, move |now, gateway| {
        // The exchange may have ended in the same instant.
        let _ = gateway.handle_command(now, answer);
    });
}

/// Returns the name that people use for an exchange.
fn exchange(exchange: ExchangeType) -> String {
    match exchange {
        ExchangeType::MAIN => "main mode".to_owned(),
        ExchangeType::AGGRESSIVE => "aggressive mode".to_owned(),
        ExchangeType::BASE => "base mode".to_owned(),
        ExchangeType::TRANSACTION => "transaction".to_owned(),
        ExchangeType::QUICK => "quick mode".to_owned(),
        ExchangeType::INFORMATIONAL => "informational".to_owned(),
        other => other.to_string(),
    }
}

/// What a packet on the wire is.
enum Kind<'a> {
    Ike,
    Esp(&'a [u8]),
    /// AH, as the whole IP packet that it covers.
    Ah(&'a [u8]),
    Keepalive,
    Other,
}

fn kind(packet: &Transmit) -> Kind<'_> {
    let nat_t = |path: Path| [path.local.port(), path.remote.port()].contains(&nat_t::float::NAT_T_PORT);
    match packet.path {
        path if path.protocol == ipsec_wire::esp::PROTOCOL => Kind::Esp(&packet.payload),
        path if path.protocol == ipsec_wire::ah::PROTOCOL => Kind::Ah(&packet.payload),
        path if path.is_udp() && nat_t(path) => match demux::port_4500(&packet.payload) {
            Ok(Content::Ike(_)) => Kind::Ike,
            Ok(Content::Esp(esp)) => Kind::Esp(esp),
            Ok(Content::Keepalive) => Kind::Keepalive,
            Err(_) => Kind::Other,
        },
        path if path.is_udp() => Kind::Ike,
        _ => Kind::Other,
    }
}

/// Returns which part of an IKE message a packet holds, and whether it is the last; `None` if it holds a whole one.
fn part(packet: &Transmit) -> Option<(u8, bool)> {
    let payload = &packet.payload[..];
    let message = Message::parse(payload.strip_prefix(&demux::NON_ESP_MARKER).unwrap_or(payload)).ok()?;
    let Body::Clear(payloads) = message.body() else { return None };
    let part = Fragment::parse(payloads.find(PayloadType::FRAGMENT)?).ok()?;
    Some((part.number, part.is_last()))
}

/// Returns what a packet on the wire is, in a few words.
fn content(packet: &Transmit) -> String {
    match kind(packet) {
        Kind::Ike => match part(packet) {
            Some((number, is_last)) => {
                let last = if is_last { " (last)" } else { "" };
                format!("part {number}{last} of an IKE message, {} octets", packet.payload.len())
            }
            None => format!("IKE message of {} octets", packet.payload.len()),
        },
        Kind::Esp(esp) => match EspPacket::new_checked(esp) {
            Ok(view) => format!("SPI {:#010x} number {}, {} octets", view.spi(), view.sequence(), esp.len()),
            Err(error) => error.to_string(),
        },
        Kind::Ah(packet) => {
            let octets = Ipv4Packet::new_checked(packet).ok().and_then(|outer| packet.get(outer.header_len()..));
            match octets.map(AhHeader::new_checked) {
                Some(Ok(view)) => {
                    format!("SPI {:#010x} number {}, {} octets", view.spi(), view.sequence(), packet.len())
                }
                Some(Err(_)) | None => format!("unreadable, {} octets", packet.len()),
            }
        }
        Kind::Keepalive => "keepalive".to_owned(),
        Kind::Other => format!("something else of {} octets", packet.payload.len()),
    }
}

/// Returns the word for a piece of news.
fn word(event: &Event) -> &'static str {
    match event {
        Event::Acquiring { .. } => "acquire",
        Event::WaitingLost { .. } | Event::InstallRefused { .. } => "drop",
        Event::Ike(ike) => match ike {
            Ike::Phase1Started { .. } | Ike::Phase1Established { .. } => "phase 1",
            Ike::Phase2Started { .. } | Ike::SaEstablished { .. } => "phase 2",
            Ike::Phase1Negotiated { .. } | Ike::Phase2Negotiated { .. } => "choose",
            Ike::NatDetected { .. } => "nat",
            Ike::Phase1Failed { .. } | Ike::Phase2Failed { .. } | Ike::AuthenticationFailed { .. } => "FAIL",
            Ike::SaRekeyed { .. } | Ike::SasAdopted { .. } => "rekey",
            Ike::IkeSaEnded { .. } | Ike::SaEnded { .. } | Ike::SaExpired { .. } => "end",
            Ike::DeleteReceived { .. } => "delete",
            Ike::NotifyReceived { .. } | Ike::NotifySent { .. } | Ike::InitialContact { .. } => "notify",
            Ike::PathChanged { .. } => "move",
            Ike::AcquireQueued { .. } => "acquire",
            Ike::UserAsked { .. } | Ike::UserAuthenticated { .. } | Ike::UserRefused { .. } => "user",
            Ike::AddressLeased { .. } | Ike::AddressReleased { .. } | Ike::Configured { .. } => "address",
            Ike::NoAddressLeft { .. } => "FAIL",
            Ike::KeyHashExposed { .. } => "weak",
            Ike::Closed => "close",
            Ike::PeerProbed { .. } | Ike::PeerDead { .. } => "dpd",
            _ => "news",
        },
        _ => "news",
    }
}
