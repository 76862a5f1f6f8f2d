/// Defines an open number: a newtype with a name for every value that is known.
///
/// Unknown values are kept as they are, and are printed as `unknown` with the number.
macro_rules! open_number {
    ($(#[$meta:meta])* $name:ident($int:ty) { $($constant:ident = $value:literal, $text:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $int);

        impl $name {
            $(#[doc = concat!($text, " (", stringify!($value), ").")] pub const $constant: Self = Self($value);)*

            /// Every value that has a name, in ascending order.
            pub const KNOWN: &'static [Self] = &[$(Self($value)),*];

            /// Returns the name, if the value has one.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($text),)*
                    _ => None,
                }
            }
        }

        impl From<$int> for $name {
            fn from(value: $int) -> Self {
                Self(value)
            }
        }

        impl From<$name> for $int {
            fn from(number: $name) -> Self {
                number.0
            }
        }

        /// `name (number)`, or `unknown (number)`.
        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{} ({})", self.name().unwrap_or("unknown"), self.0)
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{self}")
            }
        }
    };
}

pub(crate) use open_number;
