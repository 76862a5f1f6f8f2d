use crate::probe::{Place, Target};
use crate::{SaHandle, SaProtocol, Sad, Side};
use core::net::IpAddr;

/// The look-up of packets that arrive together at one destination; see [`Sad::arrivals`].
#[derive(Clone, Copy, Debug)]
pub struct Arrivals<'s> {
    sad: &'s Sad,
    destination: IpAddr,
    protocol: SaProtocol,
    /// The destination's number once an association told it, above all numbers before: one comparison for both.
    place: u32,
}

const UNTOLD: u32 = 1 << 8;

impl Sad {
    /// Returns the inbound association of a packet's SPI, destination and protocol, RFC 4301 §4.1.
    ///
    /// ```
    /// # use sad::*;
    /// # use rand_core::SeedableRng;
    /// # let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    /// let mut sad = Sad::new(SadSettings::default(), &mut rng);
    /// let here = [192, 0, 2, 1].into();
    /// let (handle, spi) =
    ///     sad.allocate_spi(drive::Instant::ZERO, SaProtocol::Esp, here, OwnerId(1), &mut rng)?;
    /// assert_eq!(sad.find(spi.get(), here, SaProtocol::Esp), Some(handle));
    /// assert_eq!(sad.find(spi.get(), [192, 0, 2, 2].into(), SaProtocol::Esp), None);
    /// # Ok::<(), SadError>(())
    /// ```
    #[inline]
    pub fn find(&self, spi: u32, destination: IpAddr, protocol: SaProtocol) -> Option<SaHandle> {
        // Not by way of `arrivals`, whose destination would be stored for each packet and read back.
        let slot = self.layout.slot(spi);
        if let Some(probe) = self.probes.get(slot)
            && probe.spi == spi
            && self.places.is(probe.place(), destination, protocol)
        {
            return Some(SaHandle::new(Side::Inbound, slot as u32, probe.generation()));
        }
        self.find_stranger(spi, Target::new(destination, protocol))
    }

    /// Returns the look-up of packets that arrive together at one destination: what is compared of the destination
    /// is compared for the first of them, so a burst costs less than as many times [`find`](Self::find).
    #[inline]
    pub const fn arrivals(&self, destination: IpAddr, protocol: SaProtocol) -> Arrivals<'_> {
        Arrivals { sad: self, destination, protocol, place: UNTOLD }
    }
}

impl Arrivals<'_> {
    /// Returns where the packets arrive.
    #[inline]
    pub const fn destination(&self) -> IpAddr {
        self.destination
    }

    /// Returns the inbound association of a packet with this SPI.
    ///
    /// The slot lies inside the SPI, so this is one indexed load; the whole SPI and where the association's packets
    /// go to are then compared in the slot.
    #[inline]
    pub fn find(&mut self, spi: u32) -> Option<SaHandle> {
        let slot = self.sad.layout.slot(spi);
        if let Some(probe) = self.sad.probes.get(slot)
            && probe.spi == spi
            && (self.place == probe.place().number() || self.is_here(probe.place()))
        {
            return Some(SaHandle::new(Side::Inbound, slot as u32, probe.generation()));
        }
        self.sad.find_stranger(spi, Target::new(self.destination, self.protocol))
    }

    #[inline]
    fn is_here(&mut self, place: Place) -> bool {
        let is_here = self.sad.places.is(place, self.destination, self.protocol);
        if is_here {
            self.place = place.number();
        }
        is_here
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OwnerId, SadSettings};
    use alloc::vec::Vec;
    use drive::Instant;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    #[test]
    fn a_burst_finds_what_single_look_ups_find_whatever_its_order() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut sad = Sad::new(SadSettings { limit: 2000, ..SadSettings::default() }, &mut rng);
        // More destinations than there are numbers for, so that some are found another way.
        let at = |n: u32| IpAddr::from((0xc000_0200 + n).to_be_bytes());
        let mut known = Vec::new();
        for n in 0..1200 {
            let protocol = if n % 3 == 0 { SaProtocol::Ah } else { SaProtocol::Esp };
            let destination = at(n % 299);
            let (handle, spi) = sad.allocate_spi(Instant::ZERO, protocol, destination, OwnerId(1), &mut rng).unwrap();
            known.push((handle, spi, destination, protocol));
        }
        for gone in (0..known.len()).step_by(7) {
            sad.remove(known[gone].0).unwrap();
        }
        for (destination, protocol) in [(at(0), SaProtocol::Esp), (at(1), SaProtocol::Esp), (at(298), SaProtocol::Ah)] {
            let mut arrivals = sad.arrivals(destination, protocol);
            assert_eq!(arrivals.destination(), destination);
            let mut found = 0;
            for (index, &(handle, spi, its_destination, its_protocol)) in known.iter().enumerate() {
                let there = index % 7 != 0 && (its_destination, its_protocol) == (destination, protocol);
                let want = there.then_some(handle);
                assert_eq!(arrivals.find(spi.get()), want);
                assert_eq!(sad.find(spi.get(), destination, protocol), want);
                found += usize::from(there);
            }
            assert!(found > 0, "the case holds nothing");
            // Slots that were never used, or are vacant, hold no SPI of a packet.
            assert!((0..2048).all(|spi| arrivals.find(spi).is_none()));
        }
    }
}
