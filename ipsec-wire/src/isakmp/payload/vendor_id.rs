use super::opaque::opaque_payload;

opaque_payload! {
    /// Octets by which makers and extensions recognise each other (RFC 2408 §3.16).
    VendorId, VENDOR_ID, "vendor id", (1..)
}
