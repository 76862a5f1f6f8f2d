use super::opaque::opaque_payload;

opaque_payload! {
    /// The public value of a Diffie-Hellman exchange (RFC 2408 §3.7, RFC 2409 §5).
    ///
    /// Its length must be that of the group, which only the negotiation knows.
    KeyExchange, KEY_EXCHANGE, "key exchange data", (1..)
}
