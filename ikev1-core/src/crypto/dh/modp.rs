use super::DhPrivate;
use alloc::vec::Vec;
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use zeroize::{Zeroize, Zeroizing};

/// A secret exponent modulo a prime, with what Montgomery multiplication needs to know of the prime.
pub(super) struct Exponent {
    params: BoxedMontyParams,
    private: DhPrivate,
    bits: u32,
}

impl Exponent {
    /// Takes an exponent of at most `bits` bits; the prime has `prime_bits`, and is odd.
    pub(super) fn new(prime: &[u8], prime_bits: u32, private: DhPrivate, bits: u32) -> Self {
        let prime = BoxedUint::from_be_slice_truncated(prime, prime_bits);
        let prime = Odd::new(prime).expect("every prime of the table is odd");
        Self { params: BoxedMontyParams::new_vartime(prime), private, bits }
    }

    /// Returns the length of the exponent in bits.
    #[cfg(test)]
    pub(super) fn bit_len(&self) -> u32 {
        BoxedUint::from_be_slice_vartime(self.private.expose()).bits()
    }

    /// Raises a base below the prime, in time that depends on the prime and the length of the exponent
    /// only; the result has the length of the prime.
    pub(super) fn raise(&self, base: &[u8]) -> Zeroizing<Vec<u8>> {
        let base = BoxedUint::from_be_slice_truncated(base, self.params.bits_precision());
        let exponent = BoxedUint::from_be_slice_truncated(self.private.expose(), self.bits.next_multiple_of(64));
        let exponent = Zeroizing::new(exponent);
        let mut power = BoxedMontyForm::new(base, &self.params).pow_bounded_exp(&exponent, self.bits);
        let value = Zeroizing::new(power.retrieve());
        power.as_montgomery_mut().zeroize();
        Zeroizing::new(value.to_be_bytes().into_vec())
    }
}

/// Returns whether 1 < y < p - 1, for y as long as p.
pub(super) fn in_range(prime: &[u8], y: &[u8]) -> bool {
    let (Some((y_last, y_head)), Some((p_last, p_head))) = (y.split_last(), prime.split_last()) else {
        return false;
    };
    let at_most_one = *y_last <= 1 && y_head.iter().all(|octet| *octet == 0);
    // The prime is odd: p - 1 differs in the last octet only.
    let at_least_last = (y_head, *y_last) >= (p_head, p_last.saturating_sub(1));
    !at_most_one && !at_least_last
}
