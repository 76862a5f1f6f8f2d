use crate::counters::count;
use crate::entry::{InboundKeys, OutboundKeys};
use crate::inbound::{Found, live};
use crate::outbound::Where;
use crate::{DropReason, Opened, SaHandle, SaProtocol, Sad, SealRefusal};
use drive::{Instant, Path};
use esp_ah::Packet;
use esp_ah::ah::{AhError, AhPlace, ah_locate, ah_seal, ah_strip, ah_verify};

impl Sad {
    /// Puts an Authentication Header into a whole IP packet: association, lifetime, sequence number, ICV.
    ///
    /// # Errors
    /// Why it was not; the packet is unchanged.
    pub fn seal_ah(
        &mut self,
        now: Instant,
        association: SaHandle,
        packet: &mut Packet<'_>,
    ) -> Result<u64, SealRefusal> {
        let now = self.clock.observe(now);
        let octets = packet.len() as u64;
        let admitted = self.admit(now, association, SaProtocol::Ah, octets, Where::Here).inspect_err(|refusal| {
            if *refusal == SealRefusal::SequenceExhausted {
                self.exhausted(association);
            }
        });
        self.count_looked_up(1, u64::from(admitted.as_ref().err() == Some(&SealRefusal::Stale)));
        let sequence = admitted?;
        let found = self.outbound(association).ok_or(SealRefusal::Stale)?;
        let sealed = match &found.keys {
            Some(OutboundKeys::Ah(key)) => {
                ah_seal(key, packet, found.common.spi.get(), sequence).map_err(SealRefusal::Ah)
            }
            Some(OutboundKeys::Esp(_)) => Err(SealRefusal::OtherProtocol),
            Some(OutboundKeys::Elsewhere(_)) => Err(SealRefusal::KeysElsewhere),
            None => Err(SealRefusal::Stale),
        };
        self.account(now, association, sequence, octets, sealed.err());
        sealed.map(|()| sequence)
    }

    /// Checks and takes off the Authentication Header of a whole IP packet, in this order: association, replay
    /// check, ICV, replay update.
    ///
    /// What comes out is a whole IP packet: in tunnel mode the outer one, with the inner one as its payload.
    /// `through` is the association the packet came through before, in a bundle.
    ///
    /// # Errors
    /// Why the packet is dropped; nothing changed but a counter.
    pub fn open_ah(
        &mut self,
        now: Instant,
        path: Path,
        through: Option<SaHandle>,
        packet: &mut Packet<'_>,
    ) -> Result<Opened, DropReason> {
        let now = self.clock.observe(now);
        let (place, found) = self.admit_ah(now, &path, through, packet.octets())?;
        let opened = self.verify_ah(packet, &place, found);
        let (found, opened) = match opened {
            Err(DropReason::Ah(AhError::Icv)) => match found.resynchronised() {
                Some(next) => (next, self.verify_ah(packet, &place, next)),
                None => (found, opened),
            },
            Ok(_) | Err(_) => (found, opened),
        };
        self.account_inbound(now, found, opened, packet.len() as u64)
    }

    /// Finds the header and admits the packet.
    pub(crate) fn admit_ah(
        &mut self,
        now: Instant,
        path: &Path,
        through: Option<SaHandle>,
        packet: &[u8],
    ) -> Result<(AhPlace, Found), DropReason> {
        let place = ah_locate(packet).inspect_err(|error| {
            let fragment = *error == AhError::Fragment;
            count(if fragment { &mut self.counters.ah_fragment } else { &mut self.counters.ah_malformed });
        })?;
        let handle = self.find(place.spi, path.local.ip(), SaProtocol::Ah);
        let found = self.admit_inbound(now, handle, (place.spi, place.sequence), path, through)?;
        Ok((place, found))
    }

    fn verify_ah(&mut self, packet: &mut Packet<'_>, place: &AhPlace, found: Found) -> Result<(u8, bool), DropReason> {
        let keys = self.keys.get(found.slot as usize).and_then(|keys| keys.as_deref());
        let key = match keys {
            Some(InboundKeys::Ah(key)) => key,
            Some(InboundKeys::Elsewhere(_)) => return Err(DropReason::KeysElsewhere),
            Some(InboundKeys::Esp(_)) | None => return Err(DropReason::NotRun),
        };
        ah_verify(key, packet, place, found.sequence)?;
        let Some(live) = live(&mut self.occupants, found.slot) else { return Err(DropReason::NotRun) };
        let newest = live.window.accept(found.sequence)?;
        live.icv_failures_in_row = 0;
        ah_strip(packet, place)?;
        Ok((place.next_header, newest))
    }
}
