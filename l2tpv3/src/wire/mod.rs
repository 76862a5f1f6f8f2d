//! The formats on the wire.

mod attributes;
mod avp;
mod cookie;
mod data;
mod emit;
mod header;
mod hidden;
mod raw;
mod reader;
mod values;

pub use attributes::{Attributes, Collected, Offence, OffenceKind, VendorAvp};
pub use avp::{Avp, Avps, MAX_AVPS};
pub use cookie::Cookie;
pub(crate) use data::sequenced;
pub use data::{DataLayout, MAX_DATA_HEADER, SEQUENCE_MODULUS, Sublayer, sequence_in};
pub use emit::{Dialect, DigestSlots, EmitOptions, emit};
pub use header::{Carrier, ControlHeader, ControlMessage, Packet, classify};
pub use hidden::{HidingKey, hide, unhide};
pub use raw::{RawAvp, RawMessage};
pub use values::{CircuitErrors, CircuitStatus, ResultCode};

pub(crate) use emit::{DIGEST_VALUE, SEQUENCES, emit_version_2_refusal};
pub(crate) use header::{CONTROL_HEADER, IP_CONTROL_PREFIX};
