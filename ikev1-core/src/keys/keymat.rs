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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::PreSharedKey;
    use crate::crypto::{CipherAlgorithm, HashAlgorithm};
    use crate::keys::Phase1Seed;

    fn keys(hash: HashAlgorithm) -> IsakmpKeys {
        let seed = Phase1Seed::from_psk(hash, &PreSharedKey::copied(b"key"), &[1; 20], &[2; 20]);
        let g_xy = DhShared::copied(&[3; 96]);
        seed.expand(&g_xy, &[4; 8], &[5; 8], CipherAlgorithm::Aes128).authenticated()
    }

    /// RFC 2409 §5.5 written out as one concatenation for each round.
    #[test]
    fn rounds_are_those_of_the_formula_with_and_without_pfs() {
        let g_xy = DhShared::copied(&[0x66; 128]);
        for hash in HashAlgorithm::ALL {
            let keys = keys(hash);
            for pfs in [None, Some(&g_xy)] {
                let input = KeymatInput { pfs, protocol: 3, spi: &[1, 2, 3, 4], ni_b: &[7; 16], nr_b: &[8; 32] };
                let seed = [pfs.map_or(&[][..], DhShared::expose), &[3, 1, 2, 3, 4], &[7; 16], &[8; 32]].concat();
                let mut expected = Vec::new();
                let mut last = Vec::new();
                for _ in 0..4 {
                    last = hash.prf(keys.skeyid_d().expose(), &[&[last, seed.clone()].concat()]).expose().to_vec();
                    expected.extend_from_slice(&last);
                }
                for len in 0..=expected.len() {
                    assert_eq!(keys.keymat(&input, len).expose(), &expected[..len]);
                }
            }
        }
    }

    #[test]
    fn protocol_spi_nonces_and_pfs_each_change_the_material() {
        let keys = keys(HashAlgorithm::Sha1);
        let g_xy = DhShared::copied(&[9; 96]);
        let input = KeymatInput { pfs: None, protocol: 3, spi: &[0, 0, 1, 0], ni_b: &[1; 16], nr_b: &[2; 16] };
        let base = keys.keymat(&input, 40);
        for other in [
            KeymatInput { pfs: Some(&g_xy), ..input },
            KeymatInput { protocol: 2, ..input },
            KeymatInput { spi: &[0, 0, 1, 1], ..input },
            KeymatInput { ni_b: &[3; 16], ..input },
            KeymatInput { nr_b: &[3; 16], ..input },
        ] {
            assert!(!keys.keymat(&other, 40).ct_eq(&base));
        }
    }

    #[test]
    fn the_cut_gives_the_cipher_its_octets_first() {
        let material = Keymat::copied(&[1, 2, 3, 4, 5]);
        let (encryption, integrity) = material.split(2).unwrap();
        assert_eq!((encryption.expose(), integrity.expose()), (&[1, 2][..], &[3, 4, 5][..]));
        assert!(material.split(6).is_none());
    }
}
