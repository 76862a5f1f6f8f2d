use alloc::vec::Vec;
use core::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Octets that nobody may see: wiped on drop, absent from `Debug`, compared in constant time.
///
/// There is no `Clone` and no `PartialEq`; [`expose`](Self::expose) is the only door. Roles are
/// newtypes made with [`secret!`](crate::secret!).
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes the octets over; the vector is wiped when this is dropped.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(Zeroizing::new(octets))
    }

    /// Copies the octets; the source stays the caller's to wipe.
    pub fn copied(octets: &[u8]) -> Self {
        Self::new(octets.to_vec())
    }

    /// Returns the octets.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Returns the number of octets.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no octets.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether both hold the same octets, in time that depends on the lengths only.
    pub fn ct_eq(&self, other: &Self) -> bool {
        ct_eq(self.expose(), other.expose())
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes({} octets)", self.len())
    }
}

/// Returns whether two strings of octets are equal, in time that depends on the lengths only.
///
/// The one comparison for hashes, integrity check values, cookies of the data plane and passwords.
#[must_use]
pub fn ct_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// Declares a newtype of [`SecretBytes`] for one role.
///
/// ```
/// drive::secret! {
///     /// The key both ends share.
///     pub struct PreSharedKey;
/// }
/// let key = PreSharedKey::new(b"hogehoge".to_vec());
/// assert_eq!(format!("{key:?}"), "PreSharedKey(8 octets)");
/// assert_eq!(key.expose(), b"hogehoge");
/// ```
#[macro_export]
macro_rules! secret {
    ($(#[$meta:meta])* $visibility:vis struct $name:ident;) => {
        $(#[$meta])*
        $visibility struct $name($crate::SecretBytes);

        #[allow(dead_code, reason = "not every role needs every method")]
        impl $name {
            /// Takes the octets over; they are wiped on drop.
            pub fn new(octets: $crate::__private::Vec<u8>) -> Self {
                Self($crate::SecretBytes::new(octets))
            }

            /// Copies the octets; the source stays the caller's to wipe.
            pub fn copied(octets: &[u8]) -> Self {
                Self($crate::SecretBytes::copied(octets))
            }

            /// Returns the octets.
            pub fn expose(&self) -> &[u8] {
                self.0.expose()
            }

            /// Returns the number of octets.
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// Returns whether there are no octets.
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }

            /// Returns whether both hold the same octets, in constant time.
            pub fn ct_eq(&self, other: &Self) -> bool {
                self.0.ct_eq(&other.0)
            }
        }

        impl $crate::__private::fmt::Debug for $name {
            fn fmt(&self, f: &mut $crate::__private::fmt::Formatter<'_>) -> $crate::__private::fmt::Result {
                write!(f, concat!(stringify!($name), "({} octets)"), self.len())
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    secret! {
        /// A role.
        struct Role;
    }

    #[test]
    fn debug_shows_name_and_length_only() {
        assert_eq!(format!("{:?}", SecretBytes::copied(b"secret")), "SecretBytes(6 octets)");
        assert_eq!(format!("{:?}", Role::copied(b"secret")), "Role(6 octets)");
    }

    #[test]
    fn ct_eq_agrees_with_equality() {
        assert!(ct_eq(b"", b""));
        assert!(ct_eq(b"abc", b"abc"));
        assert!(!ct_eq(b"abc", b"abd"));
        assert!(!ct_eq(b"abc", b"ab"));
        assert!(Role::copied(b"k").ct_eq(&Role::new(b"k".to_vec())));
    }
}
