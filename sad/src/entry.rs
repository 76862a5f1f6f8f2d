use crate::counters::{Carried, InboundTally, OutboundTally};
use crate::ends::Ends;
use crate::lifetime::UseLimits;
use crate::{
    FlowId, KeyDescription, Lifetime, LimitKind, OwnerId, ReplayWindow, SaHandle, SaProtocol, SaState, SaTransform,
    SequenceCounter, Spi, WindowSize,
};
use drive::{Instant, Path};
use esp_ah::ah::AhKey;
use esp_ah::{CipherAlgorithm, OpenKey, SealKey, SequenceBits};

/// How packets are put into an association, RFC 4301 §4.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SaMode {
    /// Whole packets, behind a new IP header.
    #[default]
    Tunnel,
    /// What follows the IP header.
    Transport,
    /// As a tunnel whose inner addresses are fixed and not carried.
    Beet,
}

/// What an association is, whichever way it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaParameters {
    /// How packets are put in.
    pub mode: SaMode,
    /// The outer ends, and what carries the packets between them.
    pub path: Path,
    /// Whose traffic it carries.
    pub flow: FlowId,
    /// Who agreed its keys.
    pub owner: OwnerId,
    /// How long it may be used.
    pub lifetime: Lifetime,
}

/// What becomes of packets that come from another address than the association's peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SourceCheck {
    /// They are taken: the ICV proves the peer, whose address a NAT may have changed.
    #[default]
    Any,
    /// They are refused.
    Peer,
}

/// The part of an association that both directions have.
#[derive(Debug)]
pub(crate) struct Common {
    pub protocol: SaProtocol,
    pub state: SaState,
    pub spi: Spi,
    pub mode: SaMode,
    pub path: Ends,
    pub flow: FlowId,
    pub owner: OwnerId,
    pub soft: UseLimits,
    pub hard: UseLimits,
    pub created: Instant,
    /// When it last carried a packet; the end of time if it never did.
    last_used: Instant,
    /// When its time is over; no packet passes from then on, whether or not anybody called the timer.
    pub hard_at: Instant,
    pub soft_at: Instant,
    /// The association of the other direction that was agreed with it.
    pub pair: Option<SaHandle>,
    /// The association around it in its bundle, and the one within.
    pub outer: Option<SaHandle>,
    pub inner: Option<SaHandle>,
}

impl Common {
    pub fn new(now: Instant, protocol: SaProtocol, spi: Spi, parameters: &SaParameters) -> Self {
        let SaParameters { mode, path, flow, owner, lifetime } = *parameters;
        let after = |limit: Option<core::time::Duration>| limit.map_or(Instant::MAX, |limit| now + limit);
        Self {
            protocol,
            state: SaState::Mature,
            spi,
            mode,
            path: Ends::new(path),
            flow,
            owner,
            soft: UseLimits::new(&lifetime.soft),
            hard: UseLimits::new(&lifetime.hard),
            created: now,
            last_used: Instant::MAX,
            hard_at: after(lifetime.hard.time),
            soft_at: after(lifetime.soft.time),
            pair: None,
            outer: None,
            inner: None,
        }
    }

    /// Returns when it last carried a packet.
    pub fn used(&self) -> Option<Instant> {
        (self.last_used != Instant::MAX).then_some(self.last_used)
    }

    pub const fn set_used(&mut self, used: Instant) {
        self.last_used = used;
    }

    /// Returns the limits; those of time as they are now.
    pub fn lifetime(&self) -> Lifetime {
        let time = |at: Instant| (at != Instant::MAX).then(|| at - self.created);
        Lifetime { soft: self.soft.with_time(time(self.soft_at)), hard: self.hard.with_time(time(self.hard_at)) }
    }

    /// Returns the state to refuse a packet with, if the association carries none now.
    #[inline]
    pub fn not_carrying(&self, now: Instant, carried: Carried) -> Option<SaState> {
        if self.hard_at <= now || self.hard.reached(carried.packets, carried.octets).is_some() {
            return Some(SaState::Dead);
        }
        (!self.state.carries_traffic()).then_some(self.state)
    }

    /// Returns the limit of use that is reached first: hard before soft, none if neither.
    pub fn limit_reached(&self, carried: Carried) -> Option<(Hardness, LimitKind)> {
        let Carried { packets, octets } = carried;
        if let Some(kind) = self.hard.reached(packets, octets) {
            return Some((Hardness::Hard, kind));
        }
        if self.state != SaState::Mature {
            return None;
        }
        self.soft.reached(packets, octets).map(|kind| (Hardness::Soft, kind))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hardness {
    Soft,
    Hard,
}

/// The keys of an association that carries received packets.
#[derive(Debug)]
#[non_exhaustive]
pub enum InboundKeys {
    /// Those of ESP.
    Esp(OpenKey),
    /// That of AH.
    Ah(AhKey),
    /// Those that this process does not hold.
    Elsewhere(KeyDescription),
}

/// The keys of an association that carries packets sent.
#[derive(Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "ESP is the rule, and a box would cost every packet a load")]
pub enum OutboundKeys {
    /// Those of ESP.
    Esp(SealKey),
    /// That of AH.
    Ah(AhKey),
    /// Those that this process does not hold.
    Elsewhere(KeyDescription),
}

/// What both kinds of keys say of themselves.
macro_rules! described {
    ($keys:ident) => {
        impl $keys {
            /// Returns what the keys are for, how wide the sequence numbers are, and who does the cryptography.
            pub fn describe(&self) -> KeyDescription {
                match self {
                    Self::Esp(key) => KeyDescription {
                        transform: SaTransform::Esp(key.suite()),
                        bits: key.sequence_bits(),
                        provider: key.provider(),
                        integrity_provider: key.integrity_provider(),
                    },
                    Self::Ah(key) => KeyDescription {
                        transform: SaTransform::Ah(key.algorithm()),
                        bits: key.sequence_bits(),
                        provider: key.provider(),
                        integrity_provider: key.provider(),
                    },
                    Self::Elsewhere(keys) => *keys,
                }
            }

            /// Returns whether the same keys may be used again with the same sequence numbers, as manual keys are.
            pub fn may_be_manual(&self) -> bool {
                match self.describe().transform {
                    SaTransform::Esp(suite) => survives_reuse(suite.cipher()),
                    SaTransform::Ah(_) => true,
                }
            }
        }
    };
}

described!(InboundKeys);
described!(OutboundKeys);

/// Whether a cipher only loses secrecy of equality, and not of everything, when an IV comes twice under
/// one key: RFC 3686 §7, RFC 4106 §10, RFC 4309 §7, RFC 4543 §8 and RFC 7634 §5 forbid static keys.
fn survives_reuse(cipher: CipherAlgorithm) -> bool {
    matches!(
        cipher,
        CipherAlgorithm::Null | CipherAlgorithm::DesCbc | CipherAlgorithm::TripleDesCbc | CipherAlgorithm::AesCbc(_)
    )
}

/// An association that carries received packets; its keys stand beside it in the table.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub common: Common,
    pub window: ReplayWindow,
    pub source: SourceCheck,
    pub tally: InboundTally,
    /// Packets in a row whose ICV was wrong; after many, the upper half of extended numbers is doubted.
    pub icv_failures_in_row: u32,
}

/// An association that carries packets sent.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub common: Common,
    pub sequence: SequenceCounter,
    pub tally: OutboundTally,
    /// The keys; none once it is dead.
    pub keys: Option<OutboundKeys>,
}

impl Inbound {
    pub fn new(common: Common, size: WindowSize, source: SourceCheck, bits: SequenceBits) -> Self {
        Self {
            common,
            window: ReplayWindow::new(size, bits),
            source,
            tally: InboundTally::default(),
            icv_failures_in_row: 0,
        }
    }
}
