//! Two databases that share keys: what one seals the other opens.

pub mod broken;
pub mod engine;

use drive::{Instant, Path};
use esp_ah::suite::AesKey;
use esp_ah::{BuiltIn, CipherAlgorithm, IntegrityAlgorithm, OpenKey, Packet, Provider, SealKey, Suite};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use sad::*;

pub const FLOW: FlowId = FlowId(3);
pub const OWNER: OwnerId = OwnerId(9);

pub fn suite() -> Suite {
    Suite::new(CipherAlgorithm::AesCbc(AesKey::Bits128), IntegrityAlgorithm::HmacSha1_96).unwrap()
}

pub fn path() -> Path {
    Path::ip(50, [192, 0, 2, 1].into(), [192, 0, 2, 2].into())
}

pub fn parameters(lifetime: Lifetime) -> SaParameters {
    SaParameters { mode: SaMode::Tunnel, path: path(), flow: FLOW, owner: OWNER, lifetime }
}

pub fn keymat(suite: Suite) -> Vec<u8> {
    (0..suite.keymat_len() as u8).map(|octet| octet.wrapping_mul(37).wrapping_add(11)).collect()
}

/// One tunnel, one way: sealed at `left`, opened at `right`.
pub struct Tunnel {
    pub left: Sad,
    pub right: Sad,
    pub sealing: SaHandle,
    pub opening: SaHandle,
    pub spi: Spi,
}

pub struct Plan {
    pub suite: Suite,
    pub bits: SequenceBits,
    pub window: WindowSize,
    pub source: SourceCheck,
    pub lifetime: Lifetime,
    pub provider: &'static dyn Provider,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            suite: suite(),
            bits: SequenceBits::Bits32,
            window: WindowSize::Packets64,
            source: SourceCheck::Any,
            lifetime: Lifetime::default(),
            provider: &BuiltIn,
        }
    }
}

impl Tunnel {
    pub fn new(plan: &Plan) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut left = Sad::new(SadSettings::default(), &mut rng);
        let mut right = Sad::new(SadSettings::default(), &mut rng);
        let keymat = keymat(plan.suite);
        let there = path().reversed();
        let (opening, spi) =
            right.allocate_spi(Instant::ZERO, SaProtocol::Esp, there.local.ip(), OWNER, &mut rng).unwrap();
        let open = OpenKey::with_provider(plan.suite, plan.bits, &keymat, plan.provider).unwrap();
        let received = SaParameters { path: there, ..parameters(plan.lifetime) };
        right
            .install_inbound(Instant::ZERO, opening, &received, plan.window, plan.source, InboundKeys::Esp(open))
            .unwrap();
        let seal = SealKey::with_provider(plan.suite, plan.bits, &keymat, plan.provider).unwrap();
        let seal = OutboundKeys::Esp(seal);
        let sealing = left.install_outbound(Instant::ZERO, spi, &parameters(plan.lifetime), seal, None).unwrap();
        Self { left, right, sealing, opening, spi }
    }

    /// Seals a payload and returns what goes on the wire.
    pub fn seal(&mut self, now: Instant, payload: &[u8]) -> Result<Vec<u8>, SealRefusal> {
        let mut buffer = vec![0; payload.len() + 128];
        buffer[64..64 + payload.len()].copy_from_slice(payload);
        let packet = Packet::new(&mut buffer, 64..64 + payload.len()).unwrap();
        let mut outgoing = Outgoing::new(self.sealing, packet, 4);
        self.left.seal(now, &mut outgoing)?;
        Ok(outgoing.packet.octets().to_vec())
    }

    /// Opens what came from the wire and returns the payload.
    pub fn open(&mut self, now: Instant, wire: &[u8]) -> Result<(Opened, Vec<u8>), DropReason> {
        self.open_from(now, path().reversed(), wire)
    }

    pub fn open_from(&mut self, now: Instant, path: Path, wire: &[u8]) -> Result<(Opened, Vec<u8>), DropReason> {
        let mut buffer = wire.to_vec();
        let mut incoming = Incoming::new(path, Packet::whole(&mut buffer));
        let opened = self.right.open(now, &mut incoming)?;
        Ok((opened, incoming.packet.octets().to_vec()))
    }

    pub fn counter(&self, side: Side, name: &str) -> u64 {
        let status = match side {
            Side::Outbound => self.left.status(self.sealing),
            Side::Inbound => self.right.status(self.opening),
        };
        let counters = status.unwrap().detail.unwrap().counters;
        counters.iter().find(|(known, _)| *known == name).unwrap().1
    }
}

pub fn actions(sad: &mut Sad) -> Vec<Action> {
    core::iter::from_fn(|| sad.poll_action()).collect()
}
