//! A composed VPN endpoint: policies, associations, IKE and NAT traversal behind one drive loop.
//!
//! A [`Gateway`] is made from a [`Plan`], which a [`Config`] builds, and from entropy. Clear packets
//! go in on one side and come out as ESP on the other, directly over IP or in UDP behind a NAT; the
//! negotiation that this needs is started by the traffic or by a [`Command`]. The policies fail
//! closed: what is to be protected leaves protected, or waits within bounds, or is dropped.
//!
//! In tunnel mode the packets are those of the networks behind the two gateways. In transport mode they are
//! this machine's own: a program of it hands over its datagrams by
//! [`handle_transmit`](Gateway::handle_transmit) and reads what is delivered with [`datagram_of`].
//!
//! ```no_run
//! # use drive::{Datagram, Instant, Path};
//! # use gateway::{Action, Gateway};
//! # fn receive() -> (Path, Vec<u8>) { unimplemented!() }
//! # fn clear_packet() -> Vec<u8> { unimplemented!() }
//! # fn send(_: drive::Transmit, _: gateway::Header) {}
//! # fn deliver(_: &[u8]) {}
//! # fn step(gateway: &mut Gateway, now: Instant) {
//! let (path, payload) = receive();                                  // 1. wait
//! let _ = gateway.handle_datagram(now, Datagram { path, payload: &payload }); // 2. one call
//! while let Some(action) = gateway.poll_action() {                  // 3. drain
//!     match action {                                                // 4. perform
//!         Action::Transmit(transmit, header) => send(transmit, header),
//!         Action::Deliver(packet, _) => deliver(&packet),
//!         _ => {}
//!     }
//! }
//! let wake = gateway.poll_timeout();                                // 5. and 6. sleep until then
//! # let _ = (wake, clear_packet());
//! # }
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

mod acquire;
mod action;
mod algorithms;
mod built_in;
mod carriers;
mod carry;
mod clear;
mod command;
mod compression;
mod config;
mod contest;
mod counters;
mod debug;
pub mod defaults;
mod demux;
mod fragments;
mod header;
mod icmp_error;
mod inbound;
mod layers;
mod lent_ports;
mod manual;
mod monitor;
mod outbound;
mod own;
mod pair;
mod path_mtu;
mod plan;
mod pump;
mod route;
mod route_template;
mod session;
mod setup;
mod shared;
mod suite;
mod trace;
mod traced_packet;
mod tracer;
mod udp_tunnel;

pub use acquire::{Limits, Lost};
pub use action::{Action, Event, InstallRefusal};
pub use algorithms::{AlgorithmCounters, CountedAlgorithm};
pub use clear::ClearRefusal;
pub use command::Command;
pub use compression::CompressionCounters;
pub use config::{Config, ConfigError, Exemption};
pub use counters::Counters;
pub use debug::{DebugFlags, DebugSettings, DebugTarget, NotDebugFlags};
pub use esp_ah::Packet;
pub use header::{Fragmenting, Header, OuterRules};
pub use ikev1_core::{ChildId, CommandError, ConnectionId, Handle, IkeSaId, KeyLogLine, PolicyId, RemoveReason};
pub use inbound::{DropReason, InPacket, Inbound};
pub use manual::{Manual, ManualProblem, ManualSa};
pub use monitor::{DataStatus, ManualStatus, PairStatus, PolicyStatus, ProtocolCounters, Snapshot};
pub use nat_t::udp_tunnel::Counters as UdpTunnelCounters;
pub use outbound::{OutPacket, Outbound, OutboundDrop, Outcome, ROOM};
pub use own::datagram_of;
pub use path_mtu::ReportRefusal;
pub use plan::Plan;
pub use pump::Gateway;
pub use route_template::{NotRouteTemplate, RouteTemplate, RouteTemplateProblem};
pub use session::{SessionStatus, Traffic};
pub use setup::{BundleCounters, SetupCounters};
pub use trace::{
    AcquireTrace, BufferHeader, FilterOf, FilterTrace, IpFragment, IpHeader, PacketTrace, Step, StepTrace, Trace,
    TraceLine, TracePlace, TraceStage,
};
pub use udp_tunnel::{UdpTunnel, UdpTunnelProblem, UdpTunnelStatus};
