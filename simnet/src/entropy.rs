use core::convert::Infallible;
use core::fmt;
use core::time::Duration;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng, TryCryptoRng, TryRng};

/// A seeded source of randomness: the same seed and stream give the same octets, on every machine.
///
/// It is a `CryptoRng`, so it can be handed to any machine under test. Streams of one seed are
/// independent: what one node draws never shifts what another node gets.
pub struct Entropy(ChaCha20Rng);

impl Entropy {
    /// Returns stream 0 of `seed`.
    pub fn new(seed: u64) -> Self {
        Self::stream(seed, 0)
    }

    /// Returns stream number `stream` of `seed`.
    pub fn stream(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// Returns the stream of `seed` that belongs to `name`.
    pub fn named(seed: u64, name: &str) -> Self {
        // FNV-1a: any fixed mixing does, the streams of one ChaCha key are independent.
        let mix = |hash: u64, octet: &u8| (hash ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3);
        Self::stream(seed, name.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, mix))
    }

    /// Returns a number below `bound`, evenly spread; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias of the wide product is below 2^-64 * bound: nothing that a simulation can show.
        let wide = u128::from(self.0.next_u64()) * u128::from(bound);
        (wide >> 64) as u64
    }

    /// Returns a time from zero to `most`, both included, in whole microseconds.
    pub fn up_to(&mut self, most: Duration) -> Duration {
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.below(micros.saturating_add(1)))
    }
}

impl TryRng for Entropy {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill_bytes(out);
        Ok(())
    }
}

impl TryCryptoRng for Entropy {}

/// Shows the stream only; what it will give is nobody's business.
impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entropy(stream {})", self.0.get_stream())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(mut entropy: Entropy) -> [u8; 32] {
        let mut out = [0; 32];
        entropy.fill_bytes(&mut out);
        out
    }

    #[test]
    fn the_same_seed_and_stream_give_the_same_octets() {
        assert_eq!(octets(Entropy::stream(7, 3)), octets(Entropy::stream(7, 3)));
        assert_eq!(octets(Entropy::named(7, "left")), octets(Entropy::named(7, "left")));
        assert_eq!(octets(Entropy::new(7)), octets(Entropy::stream(7, 0)));
    }

    #[test]
    fn other_seeds_and_other_streams_give_other_octets() {
        let all = [
            octets(Entropy::stream(7, 0)),
            octets(Entropy::stream(7, 1)),
            octets(Entropy::stream(8, 0)),
            octets(Entropy::named(7, "left")),
            octets(Entropy::named(7, "right")),
        ];
        for (n, a) in all.iter().enumerate() {
            assert!(all.iter().skip(n + 1).all(|b| a != b));
        }
    }

    #[test]
    fn below_stays_below_and_reaches_both_ends() {
        let mut entropy = Entropy::new(1);
        let drawn: Vec<_> = (0..400).map(|_| entropy.below(4)).collect();
        assert!((0..4).all(|n| drawn.contains(&n)));
        assert!(drawn.iter().all(|n| *n < 4));
        assert_eq!(entropy.below(0), 0);
        assert_eq!(entropy.up_to(Duration::ZERO), Duration::ZERO);
    }
}
