use super::IsakmpKeys;
use crate::crypto::DhShared;
use alloc::vec::Vec;
use drive::SecretBytes;

drive::secret! {
    /// The key material of one SA in one direction.
    pub struct Keymat;
}

impl Keymat {
    /// Cuts the material: the first `encryption_len` octets are the cipher's, the rest the integrity's
    /// (RFC 2401 §4.4.3 note, RFC 2407 §4.5).
    ///
    /// `None` if there is less than that.
    pub fn split(&self, encryption_len: usize) -> Option<(SecretBytes, SecretBytes)> {
        let (encryption, integrity) = self.expose().split_at_checked(encryption_len)?;
        Some((SecretBytes::copied(encryption), SecretBytes::copied(integrity)))
    }
}

/// What the key material of one SA is made of, besides SKEYID_d.
#[derive(Clone, Copy)]
pub struct KeymatInput<'a> {
    /// g(qm)^xy of this quick mode, when it has perfect forward secrecy.
    pub pfs: Option<&'a DhShared>,
    /// The protocol of the SA: 2 AH, 3 ESP, 4 IPComp (RFC 2407 §4.4.1).
    pub protocol: u8,
    /// The SPI that the receiver of the traffic chose.
    pub spi: &'a [u8],
    /// Ni_b: the body of the initiator's nonce payload of this quick mode.
    pub ni_b: &'a [u8],
    /// Nr_b: the body of the responder's.
    pub nr_b: &'a [u8],
}

impl IsakmpKeys {
    /// Computes `len` octets of key material for one SA (RFC 2409 §5.5).
    ///
    /// ```text
    /// KEYMAT = K1 | K2 | K3 ..
    /// K1 = prf(SKEYID_d,        [ g(qm)^xy | ] protocol | SPI | Ni_b | Nr_b)
    /// Kn = prf(SKEYID_d, Kn-1 | [ g(qm)^xy | ] protocol | SPI | Ni_b | Nr_b)
    /// ```
    pub fn keymat(&self, input: &KeymatInput<'_>, len: usize) -> Keymat {
        let g_xy = input.pfs.map_or(&[][..], DhShared::expose);
        let seed: [&[u8]; 5] = [g_xy, &[input.protocol], input.spi, input.ni_b, input.nr_b];
        let [g_xy, protocol, spi, ni_b, nr_b] = seed;
        // Room for the last round's excess, so that growth never leaves an unwiped copy behind.
        let mut material = Vec::with_capacity(len.saturating_add(self.hash.output_len()));
        let mut last = self.hash.prf(self.skeyid_d.expose(), &seed);
        loop {
            material.extend_from_slice(last.expose());
            if material.len() >= len {
                break;
            }
            last = self.hash.prf(self.skeyid_d.expose(), &[last.expose(), g_xy, protocol, spi, ni_b, nr_b]);
        }
        let material = SecretBytes::new(material);
        Keymat::copied(material.expose().get(..len).unwrap_or(material.expose()))
    }
}
