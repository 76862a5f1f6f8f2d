//! From a capture to its text.

use super::capture::{self, Frame};
use super::frame::{Carried, Content, ah, carried, ip, name, network, upper};
use super::ike_fragments::Fragments;
use super::isakmp::Associations;
use super::json::Tree;
use super::keys::Keys;
use super::l2tp_sessions::Sessions;
use super::reassemble::{GivenUp, Reassembly, Taken};
use super::rules::{Breach, Rules};
use super::{esp, l2tp};
use ipsec_wire::isakmp::describe::{Field, Sink, Text, Value};
use l2tpv3::wire::{Carrier, Packet, classify};
use pcap_file::DataLink;
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
        inner_parts: Reassembly::default(),
        sessions: Sessions::default(),
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

pub(super) struct Dissector<'s> {
    pub(super) settings: &'s Settings,
    pub(super) associations: Associations,
    pub(super) fragments: Fragments,
    /// The fragments that came out of ESP and AH.
    inner_parts: Reassembly,
    sessions: Sessions,
    pub(super) rules: Rules,
    breaches: u64,
    /// When the first frame was seen.
    start: Duration,
}

/// Which frame is told, and when it was seen.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) frame: u64,
    pub(super) time: Duration,
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
                if let Some((protocol, body)) = esp::tell(octets, &self.settings.keys, sink)? {
                    self.inside(seen, packet, protocol, &body, sink, depth)?;
                }
            }
            Content::Ah(octets) => self.ah(seen, packet, octets, sink, depth)?,
            Content::L2tp(carrier, octets) => self.l2tp(seen, packet, carrier, octets, sink, depth)?,
            Content::Part => {}
            Content::Broken(error) => sink.line(&[Field::new("ERROR", Value::Shown(&error))])?,
        }
        if self.settings.check {
            let found = self.rules.check(packet);
            self.report(&found, sink)?;
        }
        Ok(())
    }

    /// Tells what a packet protected, once it is whole.
    fn inside(
        &mut self,
        seen: Seen,
        outer: &Carried<'_>,
        protocol: u8,
        body: &[u8],
        sink: &mut dyn Sink,
        depth: usize,
    ) -> fmt::Result {
        if !matches!(protocol, 4 | 41) {
            let inner = upper(outer.source.ip(), outer.destination.ip(), protocol, body);
            return self.inner(seen, inner, sink, depth);
        }
        match self.inner_parts.take_packet(seen.frame, seen.time, body) {
            Taken::Whole => self.inner(seen, ip(body), sink, depth),
            Taken::Waits => {
                sink.line(&[Field::new("Inside", Value::Shown(&"an IP fragment that waits for the others"))])
            }
            Taken::Complete(whole) => {
                sink.line(&[Field::new("Inside put together from frames", Value::Shown(&list(&whole.frames)))])?;
                self.inner(seen, ip(&whole.octets), sink, depth)
            }
        }
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

    fn l2tp(
        &mut self,
        seen: Seen,
        packet: &Carried<'_>,
        carrier: Carrier,
        octets: &[u8],
        sink: &mut dyn Sink,
        depth: usize,
    ) -> fmt::Result {
        let (source, destination) = (packet.source.ip(), packet.destination.ip());
        let session = match classify(carrier, octets) {
            Ok(Packet::Control(message)) => {
                self.sessions.learn(source, destination, &message);
                None
            }
            Ok(Packet::Data(id)) => self.sessions.find(destination, id),
            Ok(Packet::Version2Data | Packet::L2f) | Err(_) => None,
        };
        match l2tp::tell(carrier, octets, session, sink)?.and_then(|frame| network(DataLink::ETHERNET, frame)) {
            Some(inner) => self.inner(seen, ip(inner), sink, depth),
            None => Ok(()),
        }
    }

    fn ah(
        &mut self,
        seen: Seen,
        packet: &Carried<'_>,
        octets: &[u8],
        sink: &mut dyn Sink,
        depth: usize,
    ) -> fmt::Result {
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
        self.inside(seen, packet, header.next_header(), header.payload(), sink, depth)
    }

    pub(super) fn report(&mut self, found: &[Breach], sink: &mut dyn Sink) -> fmt::Result {
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

pub(super) fn list(frames: &[u64]) -> String {
    frames.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

/// An end of a packet, without a port where there is none.
fn end(address: SocketAddr) -> String {
    if address.port() == 0 { address.ip().to_string() } else { address.to_string() }
}
