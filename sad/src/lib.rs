//! The Security Association Database: keys, sequence numbers, anti-replay, lifetimes, counters, RFC 4301 §4.4.2.
//!
//! [`Sad`] holds the associations of both directions and is the one way packets take through them:
//! [`seal_batch`](Sad::seal_batch) and [`open_batch`](Sad::open_batch) do the whole of ESP in the order that
//! is safe, on the caller's buffers. It is driven as every machine of the family: after each call drain
//! [`poll_action`](Sad::poll_action), then sleep until [`poll_timeout`](Sad::poll_timeout).
//!
//! The way of an association:
//!
//! ```text
//! allocate_spi -> larval -> install_inbound  -> mature -> soft limit -> dying -> hard limit -> dead -> gone
//!                           install_outbound -> mature
//! ```
//!
//! Where the cryptography happens elsewhere, in an engine or in worker threads, packets take two steps: `submit`
//! does what comes before it and gives a ticket, `complete` does what comes after. A worker needs the ticket, the
//! packet and a key of its own, and tickets may be completed in any order:
//!
//! ```
//! # use sad::*;
//! # use drive::{Instant, Path};
//! # use esp_ah::{CipherAlgorithm, IntegrityAlgorithm, OpenJob, OpenKey, Packet, SealJob, SealKey, Suite};
//! # use esp_ah::{open_batch, seal_batch, suite::AesKey, suite::IcvLen};
//! # use rand_core::SeedableRng;
//! # use std::collections::VecDeque;
//! # let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
//! # let now = Instant::ZERO;
//! # let path = Path::ip(50, [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
//! # let parameters = SaParameters {
//! #     mode: SaMode::Tunnel, path, flow: FlowId(1), owner: OwnerId(1), lifetime: Lifetime::default(),
//! # };
//! # let cipher = CipherAlgorithm::AesGcm(AesKey::Bits128, IcvLen::Octets16);
//! # let suite = Suite::new(cipher, IntegrityAlgorithm::None)?;
//! # let keymat = [7; 20];
//! // The keys are with a worker, whose number people see as the engine's channel.
//! let worker = KeyDescription {
//!     transform: SaTransform::Esp(suite),
//!     bits: SequenceBits::Bits32,
//!     provider: ProviderId::new(1),
//!     integrity_provider: ProviderId::new(1),
//! };
//! let (seal_key, open_key) = // ..
//! #     (SealKey::new(suite, SequenceBits::Bits32, &keymat)?, OpenKey::new(suite, SequenceBits::Bits32, &keymat)?);
//! let mut sad = Sad::new(SadSettings::default(), &mut rng);
//! let here = path.remote.ip();
//! let (receiving, spi) = sad.allocate_spi(now, SaProtocol::Esp, here, OwnerId(1), &mut rng)?;
//! let (window, source) = (WindowSize::Packets64, SourceCheck::Any);
//! let reversed = SaParameters { path: path.reversed(), ..parameters };
//! sad.install_inbound(now, receiving, &reversed, window, source, InboundKeys::Elsewhere(worker))?;
//! let sending = sad.install_outbound(now, spi, &parameters, OutboundKeys::Elsewhere(worker), None)?;
//!
//! // What is to be sealed lies in the worker's queue: a channel, if it has a thread.
//! let mut queue = VecDeque::new();
//! for payload in [b"first ", b"second"] {
//!     let ticket = sad.submit_seal(now, sending, payload.len() as u64)?;
//!     let buffer = [&[0; 64][..], payload, &[0; 64]].concat();
//!     queue.push_back((ticket, buffer, 64..64 + payload.len()));
//! }
//! // The worker seals.
//! let mut done = VecDeque::new();
//! while let Some((ticket, mut buffer, range)) = queue.pop_front() {
//!     let packet = Packet::new(&mut buffer, range).ok_or("the range is inside")?;
//!     let mut job = SealJob::new(&seal_key, packet, ticket.spi().get(), ticket.sequence(), 4);
//!     seal_batch(core::slice::from_mut(&mut job));
//!     let (result, range) = (job.outcome(), job.packet().range());
//!     done.push_back((ticket, result, buffer, range));
//! }
//! // Back here: what may be sent is sent.
//! let mut wire = VecDeque::new();
//! while let Some((ticket, result, buffer, range)) = done.pop_back() {
//!     if sad.complete_seal(now, ticket, result.map_err(SealFailure::from)).is_ok() {
//!         wire.push_back(buffer[range].to_vec());
//!     }
//! }
//!
//! // Received, it goes the same way.
//! for mut packet in wire {
//!     let ticket = sad.submit_open(now, &Incoming::new(path.reversed(), Packet::whole(&mut packet)))?;
//!     let mut job = OpenJob::new(&open_key, Packet::whole(&mut packet), ticket.sequence());
//!     open_batch(core::slice::from_mut(&mut job));
//!     let octets = job.packet().len() as u64;
//!     let result = job.outcome().map(|next_header| OpenedPayload { next_header, octets });
//!     match sad.complete_open(now, ticket, result.map_err(OpenFailure::from)) {
//!         Ok(opened) => assert_eq!(opened.association, receiving),
//!         // The worker would try the packet once more, if it still has it.
//!         Err(Unopened::Again(ticket)) => drop(ticket),
//!         Err(Unopened::Dropped(reason)) => return Err(reason.into()),
//!     }
//! }
//! let done = sad.status(receiving).and_then(|status| status.detail).map(|detail| detail.counters.packets());
//! assert_eq!(done, Some(2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

extern crate alloc;

mod action;
mod ah;
mod arrivals;
mod bundle;
mod complete;
mod counters;
mod ends;
mod entry;
mod expiry;
mod handle;
mod inbound;
mod install;
mod lifetime;
mod outbound;
mod probe;
mod replay;
mod sequence;
mod snapshot;
mod spi;
mod state;
mod status;
#[cfg(feature = "serde")]
mod stored;
mod submit;
mod table;
mod ticket;
mod totals;
mod transform;

pub use action::Action;
pub use arrivals::Arrivals;
pub use counters::{DatabaseCounters, SaCounters};
pub use entry::{InboundKeys, OutboundKeys, SaMode, SaParameters, SourceCheck};
pub use esp_ah::{ProviderId, SequenceBits};
pub use handle::{FlowId, OwnerId, SaHandle, SaProtocol, Side};
pub use inbound::{DropReason, Incoming, Opened};
pub use lifetime::{Lifetime, LimitKind, Limits, SoftRule};
pub use outbound::{Outgoing, SealRefusal};
pub use replay::{ReplayError, ReplayWindow, WindowSize};
pub use sequence::{SequenceCounter, SequenceExhausted};
pub use snapshot::SaSnapshot;
pub use spi::Spi;
pub use state::SaState;
pub use status::{SaDetail, SaStatus};
pub use table::{Sad, SadError, SadSettings};
pub use ticket::{EngineFailure, OpenFailure, OpenTicket, OpenedPayload, SealFailure, SealTicket, Unopened};
pub use totals::{AfterRemoval, ProtocolCounters};
pub use transform::{KeyDescription, SaTransform};
