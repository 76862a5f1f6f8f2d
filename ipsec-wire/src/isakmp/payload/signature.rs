use super::opaque::opaque_payload;

opaque_payload! {
    /// A digital signature (RFC 2408 §3.12).
    Signature, SIGNATURE, "signature data", (1..)
}
