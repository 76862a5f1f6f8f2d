//! From a capture to its text.

use super::capture::{self, Frame};
use super::frame::{Carried, Content, ah, carried, ip, name};
use super::ike_fragments::{Fragments, Joined};
use super::isakmp::{Associations, Opening};
use super::json::Tree;
use super::keys::Keys;
use super::proof::Verdict;
use super::reassemble::{GivenUp, Reassembly, Taken};
use super::rules::{Breach, Rules};
use super::{esp, l2tp};
use ipsec_wire::isakmp::describe::{self, Field, Options, Sink, Text, Value};
use ipsec_wire::isakmp::payload::Payload;
use ipsec_wire::isakmp::{Body, Header, Message, Payloads};
use ipsec_wire::registry::PayloadType;
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

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
    let mut dissector = Dissector {
        settings,
        associations: Associations::default(),
        fragments: Fragments::default(),
        rules: Rules::default(),
        breaches: 0,
        start: Duration::ZERO,
    };
    let mut printer = Printer { json: settings.json, out };
    let mut reassembly = Reassembly::default();
    let mut totals = Totals::default();
    for frame in capture::read(file)? {
        totals.frames += 1;
        if totals.frames == 1 {
            dissector.start = frame.time;
        }
        let taken = reassembly.take(&frame);
        for lost in reassembly.given_up() {
            totals.told += lost.frames.len() as u64;
            printer.print(|sink| dissector.given_up(&lost, sink))?;
        }
        let (joined, frames);
        let packet = match taken {
            Taken::Waits => continue,
            Taken::Whole => {
                frames = vec![frame.number];
                carried(&frame)
            }
            Taken::Complete(whole) => {
                (joined, frames) = (whole.octets, whole.frames);
                ip(&joined)
            }
        };
        let Some(packet) = packet else { continue };
        totals.told += frames.len() as u64;
        printer.print(|sink| dissector.frame(&frame, &frames, &packet, sink))?;
    }
    reassembly.end();
    for lost in reassembly.given_up() {
        totals.told += lost.frames.len() as u64;
        printer.print(|sink| dissector.given_up(&lost, sink))?;
    }
    totals.breaches = dissector.breaches;
    Ok(totals)
}

/// Where what is told goes, in either form.
struct Printer<'o> {
    json: bool,
    out: &'o mut dyn Write,
}

impl Printer<'_> {
    fn print(&mut self, tell: impl FnOnce(&mut dyn Sink) -> fmt::Result) -> io::Result<()> {
        if self.json {
            let mut tree = Tree::default();
            tell(&mut tree).map_err(io::Error::other)?;
            tree.take().iter().try_for_each(|object| writeln!(self.out, "{object}"))
        } else {
            let mut text = String::new();
            tell(&mut Text::new(&mut text)).map_err(io::Error::other)?;
            writeln!(self.out, "{text}")
        }
    }
}

struct Dissector<'s> {
    settings: &'s Settings,
    associations: Associations,
    fragments: Fragments,
    rules: Rules,
    breaches: u64,
    /// When the first frame was seen.
    start: Duration,
}

/// Which frame is told, and when it was seen.
#[derive(Clone, Copy)]
struct Seen {
    frame: u64,
    time: Duration,
}

impl Dissector<'_> {
    /// Tells the packet that ends with a frame; `frames` are all that it came in.
    fn frame(&mut self, frame: &Frame, frames: &[u64], packet: &Carried<'_>, sink: &mut dyn Sink) -> fmt::Result {
        let names = (packet.source, packet.destination, name(&packet.content));
        begin_frame(frame.number, self.since(frame.time), frame.time, names, sink)?;
        if frames.len() > 1 {
            sink.line(&[Field::new("Put together from frames", Value::Shown(&list(frames)))])?;
        }
        self.content(Seen { frame: frame.number, time: frame.time }, packet, sink, NESTING)?;
        sink.end()
    }

    fn since(&self, time: Duration) -> Duration {
        time.saturating_sub(self.start)
    }

    /// Tells a packet of which not all parts came.
    fn given_up(&mut self, lost: &GivenUp, sink: &mut dyn Sink) -> fmt::Result {
        let ends = (SocketAddr::new(lost.source, 0), SocketAddr::new(lost.destination, 0));
        let first = lost.frames.first().copied().unwrap_or_default();
        begin_frame(first, self.since(lost.time), lost.time, (ends.0, ends.1, name(&Content::Part)), sink)?;
        sink.line(&[Field::new("Parts in frames", Value::Shown(&list(&lost.frames)))])?;
        sink.line(&[Field::new("Not put together", Value::Shown(&lost.reason))])?;
        if let Some(section) = lost.reason.section().filter(|_| self.settings.check) {
            self.report(&[Breach { section, what: lost.reason.to_string() }], sink)?;
        }
        sink.end()
    }

    fn content(&mut self, seen: Seen, packet: &Carried<'_>, sink: &mut dyn Sink, depth: usize) -> fmt::Result {
        match packet.content {
            Content::Isakmp(octets) => self.isakmp(seen, packet, octets, sink)?,
            Content::NatKeepalive([0xff]) => {}
            Content::NatKeepalive(octets) => sink.line(&[Field::new("Octets", Value::Octets(octets))])?,
            Content::Esp(octets) => {
                let inner = esp::tell(octets, &self.settings.keys, sink)?;
                self.inner(seen, inner.as_deref().and_then(ip), sink, depth)?;
            }
            Content::Ah(octets) => self.ah(seen, octets, sink, depth)?,
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
    fn inner(&mut self, seen: Seen, packet: Option<Carried<'_>>, sink: &mut dyn Sink, depth: usize) -> fmt::Result {
        let Some(packet) = packet.filter(|_| depth > 0) else { return Ok(()) };
        sink.begin(
            "Inside",
            &[
                Field::new("From", Value::Shown(&end(packet.source))),
                Field::new("To", Value::Shown(&end(packet.destination))),
                Field::new("Carries", Value::Shown(&name(&packet.content))),
            ],
        )?;
        self.content(seen, &packet, sink, depth - 1)?;
        sink.end()
    }

    fn ah(&mut self, seen: Seen, octets: &[u8], sink: &mut dyn Sink, depth: usize) -> fmt::Result {
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
                esp::protocol("Next header", header.next_header()),
                Field::new("ICV", Value::Octets(header.icv())),
            ],
        )?;
        sink.line(&[Field::new("Payload", Value::Octets(header.payload()))])?;
        sink.end()?;
        let inside = matches!(header.next_header(), 4 | 41).then(|| ip(header.payload())).flatten();
        self.inner(seen, inside, sink, depth)
    }

    fn isakmp(&mut self, seen: Seen, packet: &Carried<'_>, octets: &[u8], sink: &mut dyn Sink) -> fmt::Result {
        let Ok(message) = Message::parse(octets) else {
            return describe::message(octets).with(self.options(None)).tell(sink);
        };
        self.associations.learn(packet.source.ip(), &message);
        match message.body() {
            Body::Clear(payloads) => {
                describe::message(octets).with(self.options(Some(&message))).tell(sink)?;
                self.prove(packet, message.header(), payloads, sink)?;
                if let Some(whole) = self.join(seen, packet, &message, payloads) {
                    self.joined(seen, packet, &whole, sink)?;
                }
                Ok(())
            }
            Body::Encrypted(ciphertext) => self.encrypted(packet, &message, ciphertext, sink),
        }
    }

    /// Takes note of a fragment, and returns the message that it completes.
    fn join(
        &mut self,
        seen: Seen,
        packet: &Carried<'_>,
        message: &Message<'_>,
        payloads: Payloads<'_>,
    ) -> Option<Joined> {
        let Ok(Payload::Fragment(fragment)) = Payload::parse(payloads.find(PayloadType::FRAGMENT)?) else {
            return None;
        };
        let name = (message.header().initiator_cookie, packet.source.ip(), fragment.id);
        self.fragments.take(name, seen.frame, seen.time, &fragment)
    }

    /// Tells a message that came in fragments.
    fn joined(&mut self, seen: Seen, packet: &Carried<'_>, whole: &Joined, sink: &mut dyn Sink) -> fmt::Result {
        sink.begin(
            "Whole message from fragments",
            &[Field::count("Length", whole.octets.len()), Field::new("Frames", Value::Shown(&list(&whole.frames)))],
        )?;
        let joined = Carried { content: Content::Isakmp(&whole.octets), ..packet.clone() };
        // Fragments do not stand inside fragments, so this goes one level deep.
        let is_message =
            Message::parse(&whole.octets).is_ok_and(|inner| inner.header().next_payload != PayloadType::FRAGMENT);
        if is_message {
            self.isakmp(seen, &joined, &whole.octets, sink)?;
        } else {
            describe::message(&whole.octets).tell(sink)?;
        }
        if self.settings.check {
            let found = self.rules.check(&joined);
            self.report(&found, sink)?;
        }
        sink.end()
    }

    fn encrypted(
        &mut self,
        packet: &Carried<'_>,
        message: &Message<'_>,
        ciphertext: &[u8],
        sink: &mut dyn Sink,
    ) -> fmt::Result {
        let header = message.header();
        let options = self.options(Some(message));
        match self.associations.open(header, ciphertext, &self.settings.keys) {
            Opening::Plain(plain) => {
                describe::decrypted(header, &plain).with(options).tell(sink)?;
                if let Ok(payloads) = Payloads::parse_decrypted(header.next_payload, &plain[..]) {
                    self.prove(packet, header, payloads, sink)?;
                }
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

    /// Says whether NAT-D payloads match the ends, and whether a HASH payload proves its message, where
    /// the keys are known.
    fn prove(
        &mut self,
        packet: &Carried<'_>,
        header: &Header,
        payloads: Payloads<'_>,
        sink: &mut dyn Sink,
    ) -> fmt::Result {
        let ends = (packet.source, packet.destination);
        for (end, same) in self.associations.nat_detection(ends, header, payloads) {
            let said = if same { "as it is here" } else { "not as it is here: a NAT, or a hash that is made up" };
            sink.line(&[Field::new(end, Value::Shown(&said))])?;
        }
        let source = packet.source.ip();
        let Some(proof) = self.associations.prove(source, header, payloads, &self.settings.keys) else {
            return Ok(());
        };
        match proof.verdict {
            Verdict::Right => sink.line(&[Field::new(proof.name, Value::Shown(&"verified"))]),
            Verdict::Unknown(reason) => {
                sink.line(&[Field::new(proof.name, Value::Shown(&format_args!("not verified: {reason}")))])
            }
            Verdict::Wrong => {
                sink.line(&[Field::new(proof.name, Value::Shown(&"WRONG: another key, or the message was changed"))])?;
                if self.settings.check {
                    let what = format!("{} is not that of the message under these keys", proof.name);
                    self.report(&[Breach { section: proof.section, what }], sink)?;
                }
                Ok(())
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

/// Begins a frame with the seconds since the first one, and since 1970.
fn begin_frame(
    number: u64,
    since: Duration,
    time: Duration,
    (source, destination, carries): (SocketAddr, SocketAddr, &'static str),
    sink: &mut dyn Sink,
) -> fmt::Result {
    let since = format!("{}.{:06}", since.as_secs(), since.subsec_micros());
    let time = format!("{}.{:06}", time.as_secs(), time.subsec_micros());
    sink.begin(
        "Frame",
        &[
            Field::number("#", number),
            Field::new("At", Value::Shown(&since)),
            Field::new("Time", Value::Shown(&time)),
            Field::new("From", Value::Shown(&end(source))),
            Field::new("To", Value::Shown(&end(destination))),
            Field::new("Carries", Value::Shown(&carries)),
        ],
    )
}

fn list(frames: &[u64]) -> String {
    frames.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

/// An end of a packet, without a port where there is none.
fn end(address: SocketAddr) -> String {
    if address.port() == 0 { address.ip().to_string() } else { address.to_string() }
}
