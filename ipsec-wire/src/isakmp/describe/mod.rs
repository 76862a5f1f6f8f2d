//! The stable text of any message, as a router's packet debug prints it.
//!
//! [`message`] describes a datagram, [`decrypted`] a payload chain that was decrypted. Both are
//! total: broken octets are described as far as they can be read, then the error stands, then the
//! octets that are left. The text grows with the octets and not faster.
//!
//! What is said goes to a [`Sink`]; [`Text`] is the one that prints, and a program that wants
//! another form (JSON, say) brings its own.
//!
//! Passwords and the like of XAUTH are not shown, only their lengths, unless
//! [`Options::show_secrets`] is set.

mod attributes;
mod payloads;
mod sink;
mod text;
mod walk;

pub use sink::{Field, Sink, Value};
pub use text::Text;

use super::Header;
use super::payload::NatNumbering;
use crate::registry::PayloadType;
use core::fmt;

/// How a message is described.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Show the values of passwords, passcodes, answers and PINs.
    pub show_secrets: bool,
    /// Under which numbers NAT-D and NAT-OA travel, when the SA chose a draft that uses 15 and 16.
    pub nat_numbering: NatNumbering,
}

/// Returns the text of a message.
pub fn message(datagram: &[u8]) -> Description<'_> {
    Description { what: What::Message(datagram), options: Options::default() }
}

/// Returns the text of the payload chain that an encrypted message held.
///
/// `header` is the header of the message, `chain` what was decrypted, padding included.
pub fn decrypted<'a>(header: &'a Header, chain: &'a [u8]) -> Description<'a> {
    Description { what: What::Decrypted(header, chain), options: Options::default() }
}

/// Returns octets as rows of sixteen, each with its offset and its printable characters.
pub fn hex_dump(octets: &[u8]) -> HexDump<'_> {
    HexDump { octets }
}

/// The text of a message: print it, or send it to a sink.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    what: What<'a>,
    options: Options,
}

#[derive(Clone, Copy, Debug)]
enum What<'a> {
    Message(&'a [u8]),
    Decrypted(&'a Header, &'a [u8]),
}

impl Description<'_> {
    /// Returns the same description with other options.
    #[must_use]
    pub const fn with(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Tells everything to a sink.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn tell(&self, sink: &mut dyn Sink) -> fmt::Result {
        match self.what {
            What::Message(datagram) => walk::message(datagram, self.options, sink),
            What::Decrypted(header, chain) => walk::decrypted(header, chain, self.options, sink),
        }
    }
}

/// One line for each header, payload, proposal, transform and attribute, indented by what it is in.
impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tell(&mut Text::new(f))
    }
}

/// Octets in rows.
#[derive(Clone, Copy, Debug)]
pub struct HexDump<'a> {
    octets: &'a [u8],
}

impl fmt::Display for HexDump<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (row, octets) in self.octets.chunks(16).enumerate() {
            write!(f, "{:04x}: ", row.saturating_mul(16))?;
            for (column, octet) in octets.iter().enumerate() {
                write!(f, " {}{octet:02x}", if column == 8 { " " } else { "" })?;
            }
            for column in octets.len()..16 {
                f.write_str(if column == 8 { "    " } else { "   " })?;
            }
            f.write_str("  ")?;
            for octet in octets {
                write!(f, "{}", if octet.is_ascii_graphic() || *octet == b' ' { char::from(*octet) } else { '.' })?;
            }
            f.write_str("\n")?;
        }
        Ok(())
    }
}

/// Returns the long name of a payload type, as routers print it.
fn long_name(payload_type: PayloadType) -> &'static str {
    payload_type.name().unwrap_or("unknown")
}
