use super::opaque::opaque_payload;

opaque_payload! {
    /// Random octets of one side: 8 to 256 of them (RFC 2408 §3.13, RFC 2409 §5).
    Nonce, NONCE, "nonce data", (8..=256)
}
