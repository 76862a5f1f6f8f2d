//! The Security Policy Database: ordered policies, selectors and their fast lookup, RFC 4301 §4.4.1.
//!
//! A [`Database`] holds a list of policies per interface. The first that matches a packet decides
//! whether it is dropped, passes in the clear, or passes protected; what none matches is dropped.
//! Packets are seen through a [`PacketKey`], taken from their headers.
//!
//! ```
//! use spd::{Action, Database, Decision, Direction, InterfaceId, PacketKey, Policy, Position, Selector, TemplateId, WhenEmpty};
//!
//! let mut policies = Database::new();
//! let wan = InterfaceId(0);
//! policies.add_interface(wan, WhenEmpty::Discard)?;
//! let selector = Selector { remote: "10.2.0.0/16".parse()?, ..Selector::default() };
//! let site = policies.insert(wan, Position::Last, Policy::new("site", selector, Action::Protect(TemplateId(1)))?)?;
//!
//! let packet = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 59, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1];
//! let key = PacketKey::from_packet(&packet, Direction::Outbound)?;
//! assert_eq!(policies.outbound(wan, &key), Decision::Protect { policy: site, template: TemplateId(1) });
//! assert_eq!(policies.outbound(wan, &key.reversed()), Decision::Discard { policy: None });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Fragments after the first show no ports. A [`FragmentTracker`] beside the database remembers what the first showed
//! and refuses what attacks by fragments are made of; without one, fragments match policies that ask for no ports.
//! [`Database::decide_batch`] decides about many packets at a time.
#![no_std]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

extern crate alloc;

mod classify;
mod counters;
mod database;
mod decide;
mod decision;
mod flow;
mod fragment;
mod inspect;
mod interface;
mod key;
mod order;
mod policy;
mod quoted;
mod selector;
mod tracker;

pub use counters::{DatabaseCounters, FilterCounters, FragmentCounters, PolicyCounters};
pub use database::{Database, DatabaseError, Position};
pub use decision::{Arrival, Decision, Explanation, InboundRefusal};
pub use flow::{Flow, Identity};
pub use fragment::{Fragment, FragmentRefusal};
pub use inspect::Configuration;
pub use interface::{InterfaceId, WhenEmpty};
pub use key::{Direction, KeyError, PacketKey, Upper};
pub use policy::{Action, Applies, FromPacket, Origin, Peer, Policy, PolicyError, PolicyId, TemplateId};
pub use selector::{
    AddressError, AddressSelector, AddressSet, Family, MessageSelector, NameSelector, PortSet, ProtocolSelector,
    Refusal, Selector, SelectorError, SelectorPart, Shape, UpperError,
};
pub use tracker::{FragmentCheck, FragmentLimits, FragmentTracker};
