use crate::entry::InboundKeys;
use crate::inbound::{Found, live};
use crate::outbound::Where;
use crate::{DropReason, Incoming, OpenTicket, SaHandle, SaProtocol, Sad, SealRefusal, SealTicket};
use drive::{Instant, Path};
use esp_ah::ah::{AhError, AhPlace};
use esp_ah::mode::{ModeError, transport_split};

/// The first of two steps, for cryptography that happens elsewhere: in an engine, or in worker threads with keys of
/// their own.
///
/// It works for every association, whether its keys are here or not.
impl Sad {
    /// Admits a payload of `octets` to an association of ESP and takes its sequence number: association, lifetime,
    /// number, as [`seal_batch`](Self::seal_batch) does before it seals.
    ///
    /// The number is never given again, whatever becomes of the ticket. The packet counts as carried when
    /// [`complete_seal`](Self::complete_seal) says that it is sealed, so what is under way when a hard limit is
    /// reached is refused there.
    ///
    /// # Errors
    /// Why it is not to be sent.
    pub fn submit_seal(&mut self, now: Instant, association: SaHandle, octets: u64) -> Result<SealTicket, SealRefusal> {
        self.submit_out(now, association, SaProtocol::Esp, octets)
    }

    /// Admits a whole IP packet to an association of AH and takes its sequence number; see
    /// [`submit_seal`](Self::submit_seal).
    ///
    /// # Errors
    /// Why it is not to be sent. That it is a fragment or lies about its headers costs no number.
    pub fn submit_seal_ah(
        &mut self,
        now: Instant,
        association: SaHandle,
        packet: &[u8],
    ) -> Result<SealTicket, SealRefusal> {
        if let Err(error) = transport_split(packet) {
            self.count_looked_up(1, self.outbound(association).is_none().into());
            let found = self.outbound_mut(association).ok_or(SealRefusal::Stale)?;
            if found.common.protocol != SaProtocol::Ah {
                return Err(SealRefusal::OtherProtocol);
            }
            let error = if let ModeError::Wire(error) = error {
                AhError::Wire(error)
            } else if error == ModeError::Fragment {
                AhError::Fragment
            } else {
                AhError::Headers
            };
            return Err(found.tally.refuse(error.into()));
        }
        self.submit_out(now, association, SaProtocol::Ah, packet.len() as u64)
    }

    fn submit_out(
        &mut self,
        now: Instant,
        association: SaHandle,
        protocol: SaProtocol,
        octets: u64,
    ) -> Result<SealTicket, SealRefusal> {
        let now = self.clock.observe(now);
        let admitted = self.admit(now, association, protocol, octets, Where::Elsewhere).inspect_err(|refusal| {
            if *refusal == SealRefusal::SequenceExhausted {
                self.exhausted(association);
            }
        });
        self.count_looked_up(1, (admitted.as_ref().err() == Some(&SealRefusal::Stale)).into());
        let sequence = admitted?;
        let found = self.outbound(association).ok_or(SealRefusal::Stale)?;
        // What was admitted carries, and has keys.
        let keys = found.keys.as_ref().ok_or(SealRefusal::Stale)?.describe();
        let (spi, mode) = (found.common.spi, found.common.mode);
        Ok(SealTicket { association, spi, sequence, mode, keys, octets })
    }

    /// Admits a received ESP packet: association, source, bundle, replay check, as [`open_batch`](Self::open_batch)
    /// does before the ICV. The packet is only looked at.
    ///
    /// # Errors
    /// Why it is dropped.
    pub fn submit_open(&mut self, now: Instant, incoming: &Incoming<'_>) -> Result<OpenTicket, DropReason> {
        let now = self.clock.observe(now);
        let handle = incoming.shown().and_then(|(spi, _)| self.find(spi, incoming.path.local.ip(), SaProtocol::Esp));
        let found = self.admit_esp(now, incoming, handle)?;
        self.open_ticket(found)
    }

    /// Admits a received whole IP packet with an Authentication Header, which may have come `through` another
    /// association; see [`submit_open`](Self::submit_open). Returns as well where the header stands.
    ///
    /// # Errors
    /// Why it is dropped.
    pub fn submit_open_ah(
        &mut self,
        now: Instant,
        path: Path,
        through: Option<SaHandle>,
        packet: &[u8],
    ) -> Result<(OpenTicket, AhPlace), DropReason> {
        let now = self.clock.observe(now);
        let (place, found) = self.admit_ah(now, &path, through, packet)?;
        Ok((self.open_ticket(found)?, place))
    }

    fn open_ticket(&mut self, found: Found) -> Result<OpenTicket, DropReason> {
        // What was admitted carries, and has keys.
        let keys = self.keys.get(found.slot as usize).and_then(|keys| keys.as_deref()).map(InboundKeys::describe);
        let (Some(keys), Some(live)) = (keys, live(&mut self.occupants, found.slot)) else {
            return Err(DropReason::Gone);
        };
        live.tally.tickets().begin();
        Ok(OpenTicket { found, spi: live.common.spi, mode: live.common.mode, keys, again: false })
    }
}
