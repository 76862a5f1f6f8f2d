//! What is in a message, a line for each payload, proposal and transform.

use core::fmt::{self, Write as _};
use ikev1_core::MessageTrace;
use ipsec_wire::isakmp::describe::{self, Field, Sink, Value};
use ipsec_wire::isakmp::{Flags, Header, MessageId};

/// Octet strings up to this length are shown, longer ones counted.
const SHOWN: usize = 20;

/// Returns the contents of a message, a line for each payload, proposal and transform.
pub fn lines(message: &MessageTrace) -> Vec<String> {
    let cookies = message.cookies;
    let mut header = Header::new(cookies.initiator, cookies.responder, message.exchange, MessageId(message.message_id));
    header.next_payload = message.first;
    if message.encrypted {
        header = header.with_flags(Flags::ENCRYPTION);
    }
    let mut outline = Outline::default();
    // The sink takes everything.
    let _ = describe::decrypted(&header, &message.clear).tell(&mut outline);
    outline.lines
}

/// Collects a line for each node of a description: a head, and the fields of that node behind it.
#[derive(Default)]
struct Outline {
    lines: Vec<String>,
    /// The open nodes, each with the number of its line; the header itself has none.
    open: Vec<Option<usize>>,
    /// The unit of the lifetime that comes next.
    unit: Option<&'static str>,
}

impl Outline {
    fn begin_line(&mut self, head: &str) {
        let indent = "  ".repeat(self.open.len().saturating_sub(1));
        self.open.push(Some(self.lines.len()));
        self.lines.push(format!("{indent}{head}"));
    }

    fn add(&mut self, field: &Field<'_>) {
        let Some(written) = self.written(field) else { return };
        let Some(line) = self.open.last().copied().flatten().and_then(|at| self.lines.get_mut(at)) else { return };
        if !line.ends_with(' ') {
            line.push_str(", ");
        }
        line.push_str(&written);
    }

    /// Returns what a field says: a name of a registry alone, anything else with what it is.
    fn written(&mut self, field: &Field<'_>) -> Option<String> {
        let value = text(&field.value);
        if is_setting(field.name) {
            let is_empty = matches!(field.value, Value::Octets([]) | Value::Readable([]) | Value::Hidden(0));
            return Some(if is_empty { field.name.to_owned() } else { format!("{} {value}", field.name) });
        }
        Some(match (field.name, field.value) {
            // The numbers of nodes stand in their heads, counts are seen, and every SA has this situation.
            ("#" | "#Trans" | "DOI", _) | ("Situation", Value::Bits(1, _)) | (_, Value::Octets([])) => return None,
            ("Life Type" | "SA Life Type", Value::Named(unit, _)) => {
                self.unit = unit;
                return None;
            }
            ("Life Duration" | "SA Life Duration", _) => format!("{value} {}", self.unit.take().unwrap_or("of life")),
            ("Key Length", Value::Number(_)) => format!("{value} bits"),
            ("Value" | "Known as" | "Address", _) | (_, Value::Named(Some(_), _) | Value::Octets(_)) => value,
            (name, _) => format!("{name} {value}"),
        })
    }
}

impl Sink for Outline {
    fn begin(&mut self, kind: &'static str, fields: &[Field<'_>]) -> fmt::Result {
        let find = |name| fields.iter().find(|field| field.name == name).map(|field| text(&field.value));
        match kind {
            "ISAKMP" => self.open.push(None),
            "Payload" => self.begin_line(&format!("{:<17} ", find("Type").unwrap_or_default())),
            _ => {
                self.begin_line(&format!("{kind} {}: ", find("#").unwrap_or_default()));
                fields.iter().for_each(|field| self.add(field));
            }
        }
        Ok(())
    }

    fn line(&mut self, fields: &[Field<'_>]) -> fmt::Result {
        let is_known = fields.iter().any(|field| field.name == "Known as");
        fields.iter().filter(|field| !(is_known && field.name == "Value")).for_each(|field| self.add(field));
        Ok(())
    }

    fn end(&mut self) -> fmt::Result {
        self.open.pop();
        Ok(())
    }
}

/// Returns whether a field is an attribute of XAUTH or mode-config: an empty one asks for its value, or confirms it.
fn is_setting(name: &str) -> bool {
    let capital = |letter: u8| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == b'_';
    name.contains('_') && name.bytes().all(capital)
}

fn text(value: &Value<'_>) -> String {
    let mut text = String::new();
    // A string takes whatever is written to it.
    let _ = write_value(&mut text, value);
    text
}

fn write_value(line: &mut String, value: &Value<'_>) -> fmt::Result {
    match *value {
        Value::Number(number) => write!(line, "{number}"),
        Value::Named(Some(name), _) => line.write_str(name),
        Value::Named(None, number) => write!(line, "number {number}"),
        Value::Bits(bits, digits) => write!(line, "{bits:0digits$x}"),
        Value::Shown(shown) => write!(line, "{shown}"),
        Value::Address(address) => write!(line, "{address}"),
        Value::Readable(octets) => write!(line, "{}", octets.escape_ascii()),
        Value::Octets(octets) if octets.len() <= SHOWN => write!(line, "{}", hex::encode(octets)),
        Value::Octets(octets) => write!(line, "{} octets", octets.len()),
        Value::Hidden(count) => write!(line, "{count} octets, not shown"),
        Value::Broken(kind, octets) => write!(line, "broken ({kind}): {}", hex::encode(octets)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drive::Path;
    use ikev1_core::crypto::{CipherAlgorithm, DhGroup, HashAlgorithm};
    use ikev1_core::negotiate::offer_phase1;
    use ikev1_core::proposal::{AuthenticationMethod, Lifetime, Phase1Transform};
    use ikev1_core::{Cookies, Direction, IkeSaId};
    use ipsec_wire::isakmp::payload::{Nonce, VendorId};
    use ipsec_wire::isakmp::{ChainBuilder, Cookie};
    use ipsec_wire::registry::ExchangeType;

    fn message(chain: ChainBuilder) -> MessageTrace {
        let chain = chain.finish().unwrap();
        MessageTrace {
            direction: Direction::Outbound,
            ike_sa: IkeSaId(1),
            cookies: Cookies { initiator: Cookie([1; 8]), responder: Cookie::ZERO },
            path: Path::new(([192, 0, 2, 1], 500).into(), ([192, 0, 2, 2], 500).into()),
            exchange: ExchangeType::MAIN,
            number: 1,
            message_id: 0,
            encrypted: false,
            first: chain.first(),
            payloads: vec![chain.first()],
            length: 28 + chain.octets().len(),
            clear: chain.into_octets(),
        }
    }

    #[test]
    fn each_payload_proposal_and_transform_takes_a_line() {
        let transform = |cipher, hash, group| Phase1Transform {
            cipher,
            hash,
            group,
            authentication: AuthenticationMethod::PreSharedKey,
            lifetime: Lifetime::seconds(28_800),
        };
        let offer = offer_phase1(&[
            transform(CipherAlgorithm::Aes256, HashAlgorithm::Sha2_256, DhGroup::Modp2048),
            transform(CipherAlgorithm::TripleDes, HashAlgorithm::Sha1, DhGroup::Modp1536),
        ]);
        let mut chain = ChainBuilder::new();
        chain.push(&offer);
        chain.push(&VendorId { data: *nat_t::Version::Rfc3947.vendor_id() });
        chain.push(&Nonce { data: [7; 32] });
        let lines = lines(&message(chain));
        let expected = [
            "SA                ",
            "  Proposal 1: ISAKMP",
            "    Transform 1: KEY_IKE, AES-CBC, 256 bits, SHA2-256, MODP-2048, pre-shared key, 28800 seconds",
            "    Transform 2: KEY_IKE, 3DES-CBC, SHA-1, MODP-1536, pre-shared key, 28800 seconds",
            "Vendor ID         RFC 3947",
            "Nonce             32 octets",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_broken_chain_is_told_as_far_as_it_goes() {
        let mut chain = ChainBuilder::new();
        chain.push(&Nonce { data: [7; 32] });
        let mut cut = message(chain);
        cut.clear.truncate(20);
        assert_eq!(lines(&cut), ["Nonce             ERROR payload length at octet 2: length out of bounds"]);
    }
}
