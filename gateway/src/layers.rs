use esp_ah::{IntegrityAlgorithm, Suite};
use sad::{InboundKeys, OutboundKeys, SaHandle, SaProtocol};

/// What a packet of one direction goes through, innermost first: compression, ESP, AH. RFC 4301 §4.4.1 calls
/// it a nested set of associations, routers a bundle.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Layers {
    /// The index of the compression, if there is one.
    pub(crate) cpi: Option<u16>,
    /// The association of ESP, if there is one.
    pub(crate) esp: Option<SaHandle>,
    /// The association of AH, if there is one: around all the others.
    pub(crate) ah: Option<SaHandle>,
    /// The octets that ESP puts before its payload.
    pub(crate) gap: usize,
    /// The algorithms of ESP, which say how much longer packets get.
    pub(crate) suite: Option<Suite>,
    /// The algorithm of AH.
    pub(crate) integrity: Option<IntegrityAlgorithm>,
    /// The octets of the Authentication Header.
    pub(crate) ah_len: usize,
}

impl Layers {
    /// Returns the associations, innermost first.
    pub(crate) fn associations(self) -> impl Iterator<Item = SaHandle> {
        [self.esp, self.ah].into_iter().flatten()
    }

    /// Adds an association.
    pub(crate) fn put(&mut self, protocol: SaProtocol, association: SaHandle) {
        match protocol {
            SaProtocol::Esp => self.esp = Some(association),
            SaProtocol::Ah => self.ah = Some(association),
        }
    }

    /// Returns the association of a protocol.
    pub(crate) const fn of(self, protocol: SaProtocol) -> Option<SaHandle> {
        match protocol {
            SaProtocol::Esp => self.esp,
            SaProtocol::Ah => self.ah,
        }
    }

    /// Notes the lengths that an association adds before what it protects, and returns its protocol.
    pub(crate) const fn measure(&mut self, keys: &OutboundKeys, v6: bool) -> SaProtocol {
        if let OutboundKeys::Ah(key) = keys {
            self.ah_len = key.header_len(v6);
            self.integrity = Some(key.algorithm());
            return SaProtocol::Ah;
        }
        if let OutboundKeys::Esp(key) = keys {
            self.gap = key.suite().headroom();
            self.suite = Some(key.suite());
        }
        SaProtocol::Esp
    }

    /// Notes the algorithms of an association that receives, and returns its protocol.
    pub(crate) const fn note(&mut self, keys: &InboundKeys) -> SaProtocol {
        if let InboundKeys::Ah(key) = keys {
            self.integrity = Some(key.algorithm());
            return SaProtocol::Ah;
        }
        if let InboundKeys::Esp(key) = keys {
            self.suite = Some(key.suite());
        }
        SaProtocol::Esp
    }

    /// Returns whether something protects: compression alone does not.
    pub(crate) const fn protects(self) -> bool {
        self.esp.is_some() || self.ah.is_some()
    }
}
