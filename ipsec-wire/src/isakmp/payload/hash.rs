use super::opaque::opaque_payload;

opaque_payload! {
    /// The output of a hash or prf that proves something (RFC 2408 §3.11).
    ///
    /// Compare it in constant time, and its length exactly.
    Hash, HASH, "hash data", (1..)
}
