//! Bundles with keys that people agreed, RFC 4301 §4.5.1: for peers without IKE, and for tests.

use crate::carry::Ends;
use crate::demux::{AH, ESP};
use crate::header::OuterRules;
use crate::pair::Pair;
use crate::pump::Gateway;
use crate::route;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use drive::{Instant, Path, SecretBytes};
use esp_ah::ah::AhKey;
use esp_ah::ipcomp::Deflater;
use esp_ah::{IntegrityAlgorithm, KeyError, OpenKey, Provider, SealKey, SequenceBits, Suite};
use ikev1_core::proposal::Mode;
use ikev1_core::{ChildId, TrafficSelector};
use sad::{FlowId, InboundKeys, Lifetime, OutboundKeys, OwnerId, SaMode, SaParameters, SaProtocol, Spi};
use spd::TemplateId;

/// The numbers of pairs with manual keys begin here: far above those of the exchanges, which count from 0.
pub(crate) const FIRST_CHILD: ChildId = ChildId(1 << 63);

/// A pair of bundles with manual keys, in the operator's words.
///
/// There is no replay check, since the peer may start again with the same keys, and only suites that
/// survive this are taken: no counter modes.
#[derive(Debug)]
pub struct Manual {
    pub(crate) name: String,
    mode: Mode,
    local: IpAddr,
    remote: IpAddr,
    pub(crate) udp: Option<Path>,
    pub(crate) traffic: (TrafficSelector, TrafficSelector),
    pub(crate) outer: OuterRules,
    inbound: Vec<ManualSa>,
    outbound: Vec<ManualSa>,
    weak: bool,
}

/// One association with manual keys.
#[derive(Debug)]
#[non_exhaustive]
pub enum ManualSa {
    /// IPComp with DEFLATE.
    Ipcomp {
        /// The index of the compression.
        cpi: u16,
    },
    /// ESP.
    Esp {
        /// The SPI.
        spi: u32,
        /// The algorithms.
        suite: Suite,
        /// The key of the cipher, then that of the integrity algorithm.
        keymat: SecretBytes,
    },
    /// AH.
    Ah {
        /// The SPI.
        spi: u32,
        /// The algorithm.
        integrity: IntegrityAlgorithm,
        /// Its key.
        key: SecretBytes,
    },
}

/// What is wrong with manual keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManualProblem {
    /// The associations are not IPComp, ESP, AH in this order, each once at most, one of the last two at least.
    #[error("the associations must be IPComp, ESP, AH in this order, with ESP or AH")]
    Order,
    /// The associations of the two directions are not of the same protocols.
    #[error("the two directions differ in their protocols")]
    Directions,
    /// The SPI is reserved.
    #[error("SPI {0} is reserved")]
    ReservedSpi(u32),
    /// The SPI of another association that receives here.
    #[error("SPI {0} is used twice")]
    DuplicateSpi(u32),
    /// The keys were refused.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The suite is unsafe with keys that may be used twice.
    #[error("{0} must not be used with manual keys")]
    Suite(Suite),
    /// An algorithm is weak, and weak ones are not allowed.
    #[error("weak algorithms are not allowed")]
    Weak,
    /// The ends are of two families, or AH is to go in UDP.
    #[error("the ends do not fit each other or the protocols")]
    Ends,
}

impl Manual {
    /// Returns a pair of bundles between two ends, for the traffic between them; without associations yet.
    pub fn new(name: &str, mode: Mode, local: IpAddr, remote: IpAddr) -> Self {
        Self {
            name: name.into(),
            mode,
            local,
            remote,
            udp: None,
            traffic: (TrafficSelector::host(local), TrafficSelector::host(remote)),
            outer: OuterRules::default(),
            inbound: Vec::new(),
            outbound: Vec::new(),
            weak: false,
        }
    }

    /// Sets the traffic: on this side, and on the far side.
    #[must_use]
    pub fn traffic(mut self, local: TrafficSelector, remote: TrafficSelector) -> Self {
        self.traffic = (local, remote);
        self
    }

    /// Lets the packets travel in UDP on this path.
    #[must_use]
    pub fn udp(mut self, path: Path) -> Self {
        self.udp = Some(path);
        self
    }

    /// Sets how the header around what is tunnelled is made.
    #[must_use]
    pub fn outer(mut self, rules: OuterRules) -> Self {
        self.outer = rules;
        self
    }

    /// Allows weak algorithms (DES, MD5), which old peers need, and encryption without integrity.
    #[must_use]
    pub fn dangerously_allow_weak_algorithms(mut self) -> Self {
        self.weak = true;
        self
    }

    /// Adds an association that sends; the first is applied to a packet first.
    #[must_use]
    pub fn sends(mut self, association: ManualSa) -> Self {
        self.outbound.push(association);
        self
    }

    /// Adds an association that receives, in the order in which the peer applies them.
    #[must_use]
    pub fn receives(mut self, association: ManualSa) -> Self {
        self.inbound.push(association);
        self
    }

    /// Returns the address of this end and that of the peer.
    pub(crate) const fn ends(&self) -> (IpAddr, IpAddr) {
        (self.local, self.remote)
    }

    /// Returns which packets it is for.
    pub(crate) fn selector(&self) -> spd::Selector {
        route::selector(self.traffic.0, self.traffic.1)
    }

    /// Checks everything and makes the keys.
    pub(crate) fn plan(
        self,
        template: TemplateId,
        policy: spd::PolicyId,
        provider: &dyn Provider,
    ) -> Result<ManualPlan, ManualProblem> {
        let kinds = |list: &[ManualSa]| list.iter().map(ManualSa::layer).collect::<Vec<_>>();
        let (inbound, outbound) = (kinds(&self.inbound), kinds(&self.outbound));
        if inbound != outbound {
            return Err(ManualProblem::Directions);
        }
        if !inbound.is_sorted_by(|a, b| a < b) || inbound.last().is_none_or(|last| *last == 0) {
            return Err(ManualProblem::Order);
        }
        if !self.weak && self.inbound.iter().chain(&self.outbound).any(ManualSa::is_weak) {
            return Err(ManualProblem::Weak);
        }
        let ah = inbound.contains(&2);
        let families = self.local.is_ipv4() != self.remote.is_ipv4();
        if families || (ah && self.udp.is_some()) {
            return Err(ManualProblem::Ends);
        }
        let native = Path::ip(if ah { AH } else { ESP }, self.local, self.remote);
        let path = self.udp.filter(|path| path.is_udp()).unwrap_or(native);
        Ok(ManualPlan {
            template,
            policy,
            mode: self.mode,
            path,
            traffic: self.traffic,
            inbound: self.inbound.iter().map(|sa| sa.inbound(provider)).collect::<Result<_, _>>()?,
            outbound: self.outbound.iter().map(|sa| sa.outbound(provider)).collect::<Result<_, _>>()?,
        })
    }
}

impl ManualSa {
    const fn layer(&self) -> u8 {
        match self {
            Self::Ipcomp { .. } => 0,
            Self::Esp { .. } => 1,
            Self::Ah { .. } => 2,
        }
    }

    const fn is_weak(&self) -> bool {
        match self {
            Self::Ipcomp { .. } => false,
            Self::Esp { suite, .. } => suite.is_dangerous(),
            Self::Ah { integrity, .. } => integrity.is_dangerous(),
        }
    }

    fn inbound(&self, provider: &dyn Provider) -> Result<Step<InboundKeys>, ManualProblem> {
        let bits = SequenceBits::Bits32;
        let (spi, keys) = match self {
            Self::Ipcomp { cpi } => return Ok(Step::Ipcomp(*cpi)),
            Self::Esp { spi, suite, keymat } => {
                (*spi, InboundKeys::Esp(OpenKey::with_provider(*suite, bits, keymat.expose(), provider)?))
            }
            Self::Ah { spi, integrity, key } => {
                (*spi, InboundKeys::Ah(AhKey::with_provider(*integrity, bits, key.expose(), provider)?))
            }
        };
        let safe = keys.may_be_manual();
        self.checked(spi, safe).map(|spi| Step::Protocol(spi, keys))
    }

    fn outbound(&self, provider: &dyn Provider) -> Result<Step<OutboundKeys>, ManualProblem> {
        let bits = SequenceBits::Bits32;
        let (spi, keys) = match self {
            Self::Ipcomp { cpi } => return Ok(Step::Ipcomp(*cpi)),
            Self::Esp { spi, suite, keymat } => {
                (*spi, OutboundKeys::Esp(SealKey::with_provider(*suite, bits, keymat.expose(), provider)?))
            }
            Self::Ah { spi, integrity, key } => {
                (*spi, OutboundKeys::Ah(AhKey::with_provider(*integrity, bits, key.expose(), provider)?))
            }
        };
        let safe = keys.may_be_manual();
        self.checked(spi, safe).map(|spi| Step::Protocol(spi, keys))
    }

    const fn checked(&self, spi: u32, safe: bool) -> Result<Spi, ManualProblem> {
        if let (Self::Esp { suite, .. }, false) = (self, safe) {
            return Err(ManualProblem::Suite(*suite));
        }
        match Spi::new(spi) {
            Some(spi) => Ok(spi),
            None => Err(ManualProblem::ReservedSpi(spi)),
        }
    }
}

/// One association, ready to be installed.
#[derive(Debug)]
pub(crate) enum Step<K> {
    Ipcomp(u16),
    Protocol(Spi, K),
}

/// A pair of bundles with manual keys, checked.
#[derive(Debug)]
pub(crate) struct ManualPlan {
    template: TemplateId,
    policy: spd::PolicyId,
    mode: Mode,
    path: Path,
    traffic: (TrafficSelector, TrafficSelector),
    inbound: Vec<Step<InboundKeys>>,
    outbound: Vec<Step<OutboundKeys>>,
}

impl ManualPlan {
    /// Returns the SPIs it receives with, each with its protocol and address.
    pub(crate) fn spis(&self) -> impl Iterator<Item = (u32, SaProtocol, IpAddr)> {
        let local = self.path.local.ip();
        self.inbound.iter().filter_map(move |step| match step {
            Step::Ipcomp(_) => None,
            Step::Protocol(spi, InboundKeys::Ah(_)) => Some((spi.get(), SaProtocol::Ah, local)),
            Step::Protocol(spi, _) => Some((spi.get(), SaProtocol::Esp, local)),
        })
    }
}

impl Gateway {
    /// Installs the pairs with manual keys. Nothing refuses them: the database is empty and they were checked.
    pub(crate) fn install_manual(&mut self, plans: Vec<ManualPlan>) {
        for (number, plan) in (0..).zip(plans) {
            let child = ChildId(FIRST_CHILD.0.saturating_add(number));
            let ManualPlan { template, policy, mode, path, traffic, inbound, outbound } = plan;
            let ends =
                Ends { local: path.local.ip(), remote: path.remote.ip(), translated: path.is_udp(), original: None };
            let mut pair = Pair::new(template, policy, path, mode, ends, traffic);
            let parameters = |inner: bool| SaParameters {
                mode: if mode == Mode::Tunnel && inner { SaMode::Tunnel } else { SaMode::Transport },
                path,
                flow: FlowId(child.0),
                owner: OwnerId::default(),
                lifetime: Lifetime::default(),
            };
            for step in inbound {
                let (spi, keys) = match step {
                    Step::Ipcomp(cpi) => {
                        pair.inbound.cpi = Some(cpi);
                        continue;
                    }
                    Step::Protocol(spi, keys) => (spi, keys),
                };
                let protocol = pair.inbound.note(&keys);
                let parameters = parameters(!pair.inbound.protects());
                if let Ok(handle) = self.sad.install_inbound_manual(Instant::ZERO, spi, &parameters, keys) {
                    pair.inbound.put(protocol, handle);
                }
            }
            for step in outbound {
                let (spi, keys) = match step {
                    Step::Ipcomp(cpi) => {
                        pair.outbound.cpi = Some(cpi);
                        self.deflater.get_or_insert_with(Deflater::new);
                        continue;
                    }
                    Step::Protocol(spi, keys) => (spi, keys),
                };
                let protocol = pair.outbound.measure(&keys, path.local.is_ipv6());
                let parameters = parameters(!pair.outbound.protects());
                let other = pair.inbound.of(protocol);
                let made = self.sad.install_outbound_manual(Instant::ZERO, spi, &parameters, keys, other);
                if let Ok(handle) = made {
                    pair.outbound.put(protocol, handle);
                }
            }
            let _ = self.join_bundle(pair.inbound).and_then(|()| self.join_bundle(pair.outbound));
            let (local, remote) = (pair.local, pair.remote);
            self.pairs.insert(child, pair);
            self.note_outbound(child);
            if let Some(carriers) = self.routes.carriers_mut(template) {
                carriers.attach(child, local, remote, None);
            }
        }
    }
}
