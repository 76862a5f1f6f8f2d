use alloc::vec::Vec;

/// An AVP written exactly as told, lawful or not: for fuzzers and tests of peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawAvp {
    /// The M, H and reserved bits, in the high six bits.
    pub flags: u16,
    /// The length field, `None` for the true one.
    pub length: Option<u16>,
    /// The vendor.
    pub vendor: u16,
    /// The type.
    pub attribute: u16,
    /// The value.
    pub value: Vec<u8>,
}

/// A control message written exactly as told, lawful or not: for fuzzers and tests of peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawMessage {
    /// The flags word, version included; `0xc803` is the lawful one.
    pub flags: u16,
    /// The length field, `None` for the true one.
    pub length: Option<u16>,
    /// The control connection id.
    pub connection_id: u32,
    /// Ns.
    pub ns: u16,
    /// Nr.
    pub nr: u16,
    /// The AVPs, in this order.
    pub avps: Vec<RawAvp>,
}

impl Default for RawMessage {
    fn default() -> Self {
        Self { flags: 0xc803, length: None, connection_id: 0, ns: 0, nr: 0, avps: Vec::new() }
    }
}

impl RawMessage {
    /// Returns the octets from the flags word on. Lengths that do not fit their fields lose their high bits.
    pub fn octets(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for avp in &self.avps {
            let length = avp.length.unwrap_or((avp.value.len() + 6) as u16) & 0x03ff;
            body.extend_from_slice(&(avp.flags & 0xfc00 | length).to_be_bytes());
            body.extend_from_slice(&avp.vendor.to_be_bytes());
            body.extend_from_slice(&avp.attribute.to_be_bytes());
            body.extend_from_slice(&avp.value);
        }
        let mut octets = Vec::with_capacity(body.len() + 12);
        octets.extend_from_slice(&self.flags.to_be_bytes());
        octets.extend_from_slice(&self.length.unwrap_or((body.len() + 12) as u16).to_be_bytes());
        octets.extend_from_slice(&self.connection_id.to_be_bytes());
        octets.extend_from_slice(&self.ns.to_be_bytes());
        octets.extend_from_slice(&self.nr.to_be_bytes());
        octets.extend_from_slice(&body);
        octets
    }
}
