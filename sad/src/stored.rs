use crate::{
    FlowId, Lifetime, Limits, OwnerId, SaMode, SaParameters, SaProtocol, SaSnapshot, SequenceBits, Side, SourceCheck,
    Spi, WindowSize,
};
use core::net::SocketAddr;
use core::time::Duration;
use drive::{Instant, Path};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The form a snapshot is kept in: plain numbers and words, so that no change of a type changes a file unnoticed.
///
/// Times are microseconds of the caller's epoch. What it does not know it refuses: a snapshot read wrong could
/// use a sequence number twice.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stored {
    version: u8,
    side: StoredSide,
    protocol: u8,
    spi: u32,
    mode: StoredMode,
    carrier: u8,
    local: SocketAddr,
    remote: SocketAddr,
    flow: u64,
    owner: u64,
    soft: StoredLimits,
    hard: StoredLimits,
    created: u64,
    used: Option<u64>,
    packets: u64,
    octets: u64,
    extended: bool,
    reserved: u64,
    window: Option<u64>,
    check_source: bool,
}

/// The only form there is.
const VERSION: u8 = 1;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredSide {
    Inbound,
    Outbound,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredMode {
    Tunnel,
    Transport,
    Beet,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredLimits {
    micros: Option<u64>,
    octets: Option<u64>,
    packets: Option<u64>,
}

/// Why a stored snapshot is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum StoredError {
    #[error("a snapshot of form {0}, which this program does not know")]
    Version(u8),
    #[error("protocol {0} is neither ESP nor AH")]
    Protocol(u8),
    #[error("SPI {0} is reserved")]
    Spi(u32),
    #[error("no window has {0} packets")]
    Window(u64),
    #[error("a window for what sends, or none for what receives")]
    Side,
    #[error("sequence number {0} is beyond the width of the association's")]
    Reserved(u64),
}

impl From<SaSnapshot> for Stored {
    fn from(snapshot: SaSnapshot) -> Self {
        let SaSnapshot { side, protocol, spi, parameters, created, used, .. } = snapshot;
        let SaParameters { mode, path, flow, owner, lifetime } = parameters;
        Self {
            version: VERSION,
            side: match side {
                Side::Inbound => StoredSide::Inbound,
                Side::Outbound => StoredSide::Outbound,
            },
            protocol: protocol.number(),
            spi: spi.get(),
            mode: match mode {
                SaMode::Tunnel => StoredMode::Tunnel,
                SaMode::Transport => StoredMode::Transport,
                SaMode::Beet => StoredMode::Beet,
            },
            carrier: path.protocol,
            local: path.local,
            remote: path.remote,
            flow: flow.0,
            owner: owner.0,
            soft: lifetime.soft.into(),
            hard: lifetime.hard.into(),
            created: created.as_micros(),
            used: used.map(Instant::as_micros),
            packets: snapshot.packets,
            octets: snapshot.octets,
            extended: snapshot.bits == SequenceBits::Bits64,
            reserved: snapshot.reserved,
            window: snapshot.window.map(WindowSize::packets),
            check_source: snapshot.source == SourceCheck::Peer,
        }
    }
}

impl TryFrom<Stored> for SaSnapshot {
    type Error = StoredError;

    fn try_from(stored: Stored) -> Result<Self, StoredError> {
        if stored.version != VERSION {
            return Err(StoredError::Version(stored.version));
        }
        let side = match stored.side {
            StoredSide::Inbound => Side::Inbound,
            StoredSide::Outbound => Side::Outbound,
        };
        let window = match stored.window {
            Some(packets) => Some(WindowSize::from_packets(packets).ok_or(StoredError::Window(packets))?),
            None => None,
        };
        if window.is_some() != (side == Side::Inbound) {
            return Err(StoredError::Side);
        }
        // What an inbound association has reserved may lie beyond the end; what an outbound one has may not.
        if !stored.extended && side == Side::Outbound && stored.reserved > u32::MAX.into() {
            return Err(StoredError::Reserved(stored.reserved));
        }
        Ok(Self {
            side,
            protocol: [SaProtocol::Esp, SaProtocol::Ah]
                .into_iter()
                .find(|protocol| protocol.number() == stored.protocol)
                .ok_or(StoredError::Protocol(stored.protocol))?,
            spi: Spi::new(stored.spi).ok_or(StoredError::Spi(stored.spi))?,
            parameters: SaParameters {
                mode: match stored.mode {
                    StoredMode::Tunnel => SaMode::Tunnel,
                    StoredMode::Transport => SaMode::Transport,
                    StoredMode::Beet => SaMode::Beet,
                },
                path: Path { protocol: stored.carrier, local: stored.local, remote: stored.remote },
                flow: FlowId(stored.flow),
                owner: OwnerId(stored.owner),
                lifetime: Lifetime { soft: stored.soft.into(), hard: stored.hard.into() },
            },
            created: Instant::from_micros(stored.created),
            used: stored.used.map(Instant::from_micros),
            packets: stored.packets,
            octets: stored.octets,
            bits: if stored.extended { SequenceBits::Bits64 } else { SequenceBits::Bits32 },
            reserved: stored.reserved,
            window,
            source: if stored.check_source { SourceCheck::Peer } else { SourceCheck::Any },
        })
    }
}

impl From<Limits> for StoredLimits {
    fn from(limits: Limits) -> Self {
        let micros = limits.time.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        Self { micros, octets: limits.octets, packets: limits.packets }
    }
}

impl From<StoredLimits> for Limits {
    fn from(stored: StoredLimits) -> Self {
        Self { time: stored.micros.map(Duration::from_micros), octets: stored.octets, packets: stored.packets }
    }
}
