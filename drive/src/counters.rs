/// Declares a set of counters, each with the name that people know it by.
///
/// All are public, start at zero and count up in 64 bits; `iter` gives them with their names in the
/// order declared, `reset` sets them to zero.
///
/// ```
/// drive::counters! {
///     /// What became of packets.
///     pub struct PacketCounters {
///         /// Packets that arrived.
///         received => "inProcessPkt",
///     }
/// }
/// let mut counters = PacketCounters::default();
/// counters.received += 1;
/// assert_eq!(counters.iter().collect::<Vec<_>>(), [("inProcessPkt", 1)]);
/// ```
#[macro_export]
macro_rules! counters {
    ($(#[$meta:meta])* $visibility:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field:ident => $text:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        $visibility struct $name {
            $($(#[$field_meta])* pub $field: u64,)*
        }

        #[allow(dead_code, reason = "not every set is shown and reset")]
        impl $name {
            /// Returns each counter with its name, in the order of the tables.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$(($text, self.$field)),*].into_iter()
            }

            /// Sets every counter to zero.
            pub fn reset(&mut self) {
                *self = Self::default();
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    counters! {
        /// Two counters.
        struct Two {
            /// The first.
            first => "oneGood",
            /// The second.
            second => "twoBad",
        }
    }

    #[test]
    fn counters_are_listed_by_name_and_reset_together() {
        let mut two = Two { first: 1, second: 2 };
        assert_eq!(two.iter().collect::<Vec<_>>(), [("oneGood", 1), ("twoBad", 2)]);
        two.reset();
        assert_eq!(two, Two::default());
    }
}
