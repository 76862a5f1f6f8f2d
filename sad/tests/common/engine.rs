//! What does the cryptography elsewhere, with keys of its own.

use super::*;
use esp_ah::{OpenJob, ProviderId, SealJob, open_batch, seal_batch};

pub const ENGINE: ProviderId = ProviderId::new(7);

pub fn described(suite: Suite, bits: SequenceBits) -> KeyDescription {
    KeyDescription { transform: SaTransform::Esp(suite), bits, provider: ENGINE, integrity_provider: ENGINE }
}

pub struct Engine {
    seal: SealKey,
    open: OpenKey,
}

impl Engine {
    pub fn new(plan: &Plan) -> Self {
        let keymat = keymat(plan.suite);
        Self {
            seal: SealKey::new(plan.suite, plan.bits, &keymat).unwrap(),
            open: OpenKey::new(plan.suite, plan.bits, &keymat).unwrap(),
        }
    }

    pub fn seal(&self, ticket: &SealTicket, payload: &[u8]) -> Vec<u8> {
        self.seal_as(ticket, payload, 4)
    }

    pub fn seal_as(&self, ticket: &SealTicket, payload: &[u8], next_header: u8) -> Vec<u8> {
        let mut buffer = [&[0; 64][..], payload, &[0; 64]].concat();
        let packet = Packet::new(&mut buffer, 64..64 + payload.len()).unwrap();
        let mut jobs = [SealJob::new(&self.seal, packet, ticket.spi().get(), ticket.sequence(), next_header)];
        seal_batch(&mut jobs);
        let [job] = jobs;
        job.finish().unwrap().octets().to_vec()
    }

    pub fn open(&self, ticket: &OpenTicket, wire: &[u8]) -> Result<OpenedPayload, OpenFailure> {
        let mut buffer = wire.to_vec();
        let mut jobs = [OpenJob::new(&self.open, Packet::whole(&mut buffer), ticket.sequence())];
        open_batch(&mut jobs);
        let [job] = jobs;
        let opened = job.finish()?;
        Ok(OpenedPayload { next_header: opened.next_header, octets: opened.packet.len() as u64 })
    }
}

/// A tunnel whose keys are elsewhere at both ends, and the engine that has them.
pub fn elsewhere(plan: &Plan) -> (Tunnel, Engine) {
    let mut tunnel = Tunnel::new(plan);
    let keys = described(plan.suite, plan.bits);
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let there = SaParameters { path: path().reversed(), ..parameters(plan.lifetime) };
    let (opening, spi) =
        tunnel.right.allocate_spi(Instant::ZERO, SaProtocol::Esp, there.path.local.ip(), OWNER, &mut rng).unwrap();
    let (window, source) = (plan.window, plan.source);
    tunnel.right.install_inbound(Instant::ZERO, opening, &there, window, source, InboundKeys::Elsewhere(keys)).unwrap();
    let here = parameters(plan.lifetime);
    tunnel.sealing =
        tunnel.left.install_outbound(Instant::ZERO, spi, &here, OutboundKeys::Elsewhere(keys), None).unwrap();
    (tunnel.opening, tunnel.spi) = (opening, spi);
    (tunnel, Engine::new(plan))
}

pub fn arriving(buffer: &mut [u8]) -> Incoming<'_> {
    Incoming::new(path().reversed(), Packet::whole(buffer))
}

pub fn submit(sad: &mut Sad, now: Instant, wire: &[u8]) -> Result<OpenTicket, DropReason> {
    sad.submit_open(now, &arriving(&mut wire.to_vec()))
}
