//! The numbers of L2TP, open: what has no name survives a round trip.

mod attribute;
mod message;
mod pseudowire;
mod result;

pub use attribute::{AttributeType, CiscoAttribute, VendorId};
pub use message::MessageType;
pub use pseudowire::{PseudowireType, SequencingLevel, SublayerType};
pub use result::{CdnResult, ErrorCode, StopResult};

/// Declares an open number: a newtype with named values.
macro_rules! open_number {
    ($(#[$meta:meta])* $name:ident($inner:ty) { $($(#[$item_meta:meta])* $item:ident = $value:literal, $text:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl $name {
            $($(#[$item_meta])* pub const $item: Self = Self($value);)*

            /// Returns the name of the number, if it has one here.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($text),)*
                    _ => None,
                }
            }
        }

        /// The name, or the number where there is none.
        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!(stringify!($name), "({}"), self.0)?;
                if let Some(name) = self.name() {
                    write!(f, " {name}")?;
                }
                f.write_str(")")
            }
        }
    };
}
pub(crate) use open_number;
