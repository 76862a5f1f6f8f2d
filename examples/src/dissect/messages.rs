//! What is told of an ISAKMP message: itself, what it makes whole, what its keys open and prove.

use super::frame::{Carried, Content};
use super::ike_fragments::Joined;
use super::isakmp::Opening;
use super::proof::Verdict;
use super::rules::Breach;
use super::run::{Dissector, Seen, list};
use ipsec_wire::isakmp::describe::{self, Field, Options, Sink, Value};
use ipsec_wire::isakmp::payload::Payload;
use ipsec_wire::isakmp::{Body, Header, Message, Payloads};
use ipsec_wire::registry::PayloadType;
use std::fmt;

impl Dissector<'_> {
    pub(super) fn isakmp(
        &mut self,
        seen: Seen,
        packet: &Carried<'_>,
        octets: &[u8],
        sink: &mut dyn Sink,
    ) -> fmt::Result {
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
}
