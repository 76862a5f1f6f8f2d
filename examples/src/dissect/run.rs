//! From a capture to its text.

use super::capture::{self, Frame};
use super::frame::{Carried, Content, ah, carried, ip, name};
use super::isakmp::{Associations, Opening};
use super::json::Tree;
use super::keys::Keys;
use super::rules::{Breach, Rules};
use super::{esp, l2tp};
use ipsec_wire::isakmp::describe::{self, Field, Options, Sink, Text, Value};
use ipsec_wire::isakmp::{Body, Message};
use std::fmt;
use std::io::Write;

/// IP packets inside IP packets that are followed.
const NESTING: usize = 4;

/// What to print, and with which keys.
#[derive(Debug, Default)]
pub struct Settings {
    /// What opens what.
    pub keys: Keys,
    /// Print one JSON object for each frame.
    pub json: bool,
    /// Say which packets break which rule.
    pub check: bool,
    /// Show passwords too.
    pub show_secrets: bool,
}

/// What a capture held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames of the capture.
    pub frames: u64,
    /// Frames that carried something of ours.
    pub told: u64,
    /// Rules broken.
    pub breaches: u64,
}

/// Tells every frame of a capture that carries something of ours.
///
/// # Errors
/// A capture that cannot be read, and those of `out`.
pub fn run(file: &[u8], settings: &Settings, out: &mut dyn Write) -> Result<Totals, Box<dyn std::error::Error>> {
    let mut dissector =
        Dissector { settings, associations: Associations::default(), rules: Rules::default(), breaches: 0 };
    let mut totals = Totals::default();
    for frame in capture::read(file)? {
        totals.frames += 1;
        let Some(packet) = carried(&frame) else { continue };
        totals.told += 1;
        if settings.json {
            let mut tree = Tree::default();
            dissector.frame(&frame, &packet, &mut tree)?;
            for object in tree.take() {
                writeln!(out, "{object}")?;
            }
        } else {
            let mut text = String::new();
            dissector.frame(&frame, &packet, &mut Text::new(&mut text))?;
            writeln!(out, "{text}")?;
        }
    }
    totals.breaches = dissector.breaches;
    Ok(totals)
}

struct Dissector<'s> {
    settings: &'s Settings,
    associations: Associations,
    rules: Rules,
    breaches: u64,
}

impl Dissector<'_> {
    fn frame(&mut self, frame: &Frame, packet: &Carried<'_>, sink: &mut dyn Sink) -> fmt::Result {
        let time = format!("{}.{:06}", frame.time.as_secs(), frame.time.subsec_micros());
        sink.begin(
            "Frame",
            &[
                Field::number("#", frame.number),
                Field::new("Time", Value::Shown(&time)),
                Field::new("From", Value::Shown(&end(packet.source))),
                Field::new("To", Value::Shown(&end(packet.destination))),
                Field::new("Carries", Value::Shown(&name(&packet.content))),
            ],
        )?;
        self.content(packet, sink, NESTING)?;
        sink.end()
    }

    fn content(&mut self, packet: &Carried<'_>, sink: &mut dyn Sink, depth: usize) -> fmt::Result {
        match packet.content {
            Content::Isakmp(octets) => self.isakmp(packet, octets, sink)?,
            Content::NatKeepalive([0xff]) => {}
            Content::NatKeepalive(octets) => sink.line(&[Field::new("Octets", Value::Octets(octets))])?,
            Content::Esp(octets) => {
                let inner = esp::tell(octets, &self.settings.keys, sink)?;
                self.inner(inner.as_deref().and_then(ip), sink, depth)?;
            }
            Content::Ah(octets) => self.ah(octets, sink, depth)?,
            Content::L2tp(carrier, octets) => l2tp::tell(carrier, octets, sink)?,
            Content::Part => {}
            Content::Broken(error) => sink.line(&[Field::new("ERROR", Value::Shown(&error))])?,
        }
        if self.settings.check {
            let found = self.rules.check(packet);
            self.report(&found, sink)?;
        }
        Ok(())
    }

    /// Tells what was inside a packet, if it is something of ours as well.
    fn inner(&mut self, packet: Option<Carried<'_>>, sink: &mut dyn Sink, depth: usize) -> fmt::Result {
        let Some(packet) = packet.filter(|_| depth > 0) else { return Ok(()) };
        sink.begin(
            "Inside",
            &[
                Field::new("From", Value::Shown(&end(packet.source))),
                Field::new("To", Value::Shown(&end(packet.destination))),
                Field::new("Carries", Value::Shown(&name(&packet.content))),
            ],
        )?;
        self.content(&packet, sink, depth - 1)?;
        sink.end()
    }

    fn ah(&mut self, octets: &[u8], sink: &mut dyn Sink, depth: usize) -> fmt::Result {
        let header = match ah(octets) {
            Ok(header) => header,
            Err(error) => {
                sink.begin("AH", &[])?;
                sink.line(&[Field::new("ERROR", Value::Shown(&error)), Field::new("Octets", Value::Octets(octets))])?;
                return sink.end();
            }
        };
        sink.begin(
            "AH",
            &[
                Field::new("SPI", Value::Bits(header.spi().into(), 8)),
                Field::number("Sequence", header.sequence()),
                Field::number("Next header", header.next_header()),
                Field::new("ICV", Value::Octets(header.icv())),
            ],
        )?;
        sink.line(&[Field::new("Payload", Value::Octets(header.payload()))])?;
        sink.end()?;
        let inside = matches!(header.next_header(), 4 | 41).then(|| ip(header.payload())).flatten();
        self.inner(inside, sink, depth)
    }

    fn isakmp(&mut self, packet: &Carried<'_>, octets: &[u8], sink: &mut dyn Sink) -> fmt::Result {
        let Ok(message) = Message::parse(octets) else {
            return describe::message(octets).with(self.options(None)).tell(sink);
        };
        let whole = self.associations.learn(packet.source.ip(), &message);
        match message.body() {
            Body::Clear(_) => describe::message(octets).with(self.options(Some(&message))).tell(sink)?,
            Body::Encrypted(ciphertext) => self.encrypted(&message, ciphertext, sink)?,
        }
        if let Some(whole) = whole {
            sink.begin("Whole message from fragments", &[Field::count("Length", whole.len())])?;
            let joined = Carried { content: Content::Isakmp(&whole), ..packet.clone() };
            // Fragments do not stand inside fragments, so this goes one level deep.
            if Message::parse(&whole).is_ok_and(|inner| inner.header().next_payload.0 != 132) {
                self.isakmp(&joined, &whole, sink)?;
                if self.settings.check {
                    let found = self.rules.check(&joined);
                    self.report(&found, sink)?;
                }
            } else {
                describe::message(&whole).tell(sink)?;
            }
            sink.end()?;
        }
        Ok(())
    }

    fn encrypted(&mut self, message: &Message<'_>, ciphertext: &[u8], sink: &mut dyn Sink) -> fmt::Result {
        let header = message.header();
        let options = self.options(Some(message));
        match self.associations.open(header, ciphertext, &self.settings.keys) {
            Opening::Plain(plain) => {
                describe::decrypted(header, &plain).with(options).tell(sink)?;
                if self.settings.check {
                    let found = self.rules.check_decrypted(header, &plain);
                    self.report(&found, sink)?;
                }
                Ok(())
            }
            Opening::NoKey => describe::message(message.octets()).with(options).tell(sink),
            Opening::Failed(reason) => {
                describe::message(message.octets()).with(options).tell(sink)?;
                sink.line(&[Field::new("Not decrypted", Value::Shown(&reason))])
            }
        }
    }

    fn options(&self, message: Option<&Message<'_>>) -> Options {
        let nat_numbering =
            message.map(|message| self.associations.nat_numbering(message.header())).unwrap_or_default();
        Options { show_secrets: self.settings.show_secrets, nat_numbering }
    }

    fn report(&mut self, found: &[Breach], sink: &mut dyn Sink) -> fmt::Result {
        self.breaches += found.len() as u64;
        found.iter().try_for_each(|breach| {
            sink.line(&[
                Field::new("BREAKS", Value::Shown(&breach.section)),
                Field::new("because", Value::Shown(&breach.what)),
            ])
        })
    }
}

/// An end of a packet, without a port where there is none.
fn end(address: std::net::SocketAddr) -> String {
    if address.port() == 0 { address.ip().to_string() } else { address.to_string() }
}
