//! The values that stand where the operator says nothing, each with its reason.

use crate::acquire::Limits;
use core::time::Duration;

/// Packets that wait for an association: enough for a first burst of a few flows, too few to matter
/// when a peer stays silent. After a failure, traffic starts no other negotiation for 5 s.
pub const WAITING: Limits = Limits { per_policy: 64, total: 1_024, rest: Duration::from_secs(5) };
/// The most packets that may be allowed to wait: the queue is walked for each that joins it.
pub const MAX_WAITING: usize = 65_536;

/// How far packets may come out of order, RFC 4303 §3.4.3.
pub const REPLAY_WINDOW: u32 = 64;

/// How often one pair of associations reports traffic to the exchanges, for liveness and keepalives.
pub const TRAFFIC_REPORT: Duration = Duration::from_secs(1);
/// The most actions the exchanges may give in one call before the gateway stops listening to them.
pub const MAX_ACTIONS_PER_CALL: usize = 100_000;
/// The most actions that wait for the caller; then the oldest event is dropped, and counted.
pub const MAX_ACTIONS: usize = 65_536;
/// The MTU of most paths, by which the overhead of a pair is told when nothing is known of its own.
pub const USUAL_MTU: usize = 1_500;
/// How long a path MTU that a router reported is held to, RFC 1191 §6.3; then the path is tried again.
pub const MTU_AGE: Duration = Duration::from_secs(600);
/// The most reports about paths that are looked at, and answers to senders that are made, in each
/// [`REPORT_PERIOD`].
pub const MAX_REPORTS: u32 = 100;
/// The time that [`MAX_REPORTS`] counts in.
pub const REPORT_PERIOD: Duration = Duration::from_secs(1);
/// The least time between two events about refused fragments: the counters have them all.
pub const FRAGMENT_NEWS: Duration = Duration::from_secs(60);
/// How long a peer that looks like another keeps a protocol and ports that it does not use: longer than the
/// keepalives of what is usually carried, L2TP's 60 s among them.
pub const FLOW_AGE: Duration = Duration::from_secs(120);
/// The most protocols and ports that peers who may look alike use at once, within [`FLOW_AGE`].
pub const MAX_FLOWS: usize = 32_768;
/// The first of the ports that peers behind one NAT are lent, RFC 6335 §6: those of no service.
pub const FIRST_LENT_PORT: u16 = 49_152;
/// The most ports that are lent at once.
pub const MAX_LENT_PORTS: usize = 4_096;
/// How long a renewed pair waits to send, if this end began its negotiation: the peer may install its half
/// only when the last message arrives, and that message may be lost or overtaken. Its first packet ends
/// the wait; so does the end of the pair that is replaced.
pub const SWITCH_DELAY: Duration = Duration::from_secs(10);

/// Where the lines of the policy debugger go, as routers have it: a number of the caller's.
pub const DEBUG_DEVICE: u32 = 16;
/// How many octets of a packet the policy debugger shows, as routers have it: the headers and a little more.
pub const DEBUG_LENGTH: usize = 72;
/// The most octets of a packet that the policy debugger shows: with [`MAX_TRACES`], what bounds its memory.
pub const MAX_DEBUG_LENGTH: usize = 2_048;
/// The most lines of the policy debugger that wait for the caller: in one call no more come to be. Then the newest is
/// dropped, and counted.
pub const MAX_TRACES: usize = 1_024;
/// The most policies that the policy debugger asks in turn about one packet.
pub const MAX_DEBUG_WALK: usize = 4_096;
