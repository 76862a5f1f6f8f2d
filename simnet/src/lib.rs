//! A virtual clock and network to test sans-I/O machines under loss, delay, NAT and attack.
//!
//! A [`World`] has nodes with addresses, NATs between them, a [`Link`] for what each node sends, and
//! perhaps an attacker ([`tamper`]) on the wire. A [`Harness`] puts a [`drive::Machine`] on every node
//! and runs the loop that a program would: one `handle_*` call, all actions, then the clock moves to
//! whatever comes next. Nothing waits, nothing is random that the seed does not decide, and the whole
//! run can be kept as a [`Capture`] that Wireshark reads.
//!
//! ```
//! use core::time::Duration;
//! use simnet::{Chance, Link, World};
//!
//! let mut world = World::new(42);
//! world.set_links(Link::lossy(Duration::from_millis(20), Chance::percent(5)));
//! let left = world.add_node("left", [192, 0, 2, 1]);
//! let right = world.add_node("right", [192, 0, 2, 2]);
//! let path = drive::Path::new(([192, 0, 2, 1], 500).into(), ([192, 0, 2, 2], 500).into());
//! world.send(left, drive::Transmit { path, payload: "hello".into() });
//! if let Some(arrival) = world.arrive() {
//!     assert_eq!(arrival.node, right);
//!     assert_eq!(world.now(), drive::Instant::from_millis(20));
//! }
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

mod clock;
mod entropy;
mod failure;
mod handler;
mod harness;
mod incident;
mod link;
pub mod nat;
mod pcap;
mod record;
pub mod tamper;
mod world;

pub use clock::Clock;
pub use entropy::Entropy;
pub use failure::RunError;
pub use handler::{Handler, Mailbox, Orders};
pub use harness::{Answer, Harness};
pub use incident::{Counters, Incident};
pub use link::{Chance, GilbertElliott, Link, Loss, Oversize};
pub use nat::{Dependence, Nat, NatConfig, NatDrop, PortChoice};
pub use pcap::{Capture, ip_packet};
pub use record::{Entry, What};
pub use tamper::Tamper;
pub use world::{Arrival, NatId, NodeId, Realm, Tap, World};
