//! ISAKMP and IKEv1 exchanges as a sans-I/O state machine.
//!
//! An [`Endpoint`] is made from a [`Plan`], which a [`Config`] builds, and from entropy. It takes in
//! the UDP payloads of the ISAKMP and NAT-T ports, ticks, and [`Command`]s; it gives [`Action`]s:
//! datagrams to send, SAs to install and to remove, and [`Event`]s for people. [`drive::machine`]
//! states the contract.
//!
//! What may come when stands in one table, [`transition::TABLE`]; what each end does with it stands
//! in one file per exchange and role.
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
pub mod auth;
mod command;
mod config;
mod counters;
pub mod crypto;
pub mod defaults;
mod dh_budget;
mod error;
mod event;
mod flight;
mod fragment;
mod identity;
mod ids;
mod informational;
pub mod keys;
mod machine;
mod message;
pub mod negotiate;
mod phase1;
mod plan;
pub mod proposal;
mod quick;
mod refused;
mod ride_along;
mod selector;
mod state_name;
mod status;
mod transaction;
pub mod transition;
mod unsupported;

pub use action::{
    Action, AllocateAddress, AllocateSpi, Direction, Encapsulation, InstallSa, KeyLogLine, Lifetimes,
    OriginalAddresses, ProtocolSa, RemoveReason, RemoveSa, SpiPair, VerifyCertificate,
};
pub use command::{Command, Handle};
pub use config::{
    AddressSource, Config, ConnectionConfig, ModeConfig, ModeConfigClient, ModeConfigServer, PolicyConfig, Xauth,
    XauthClient, XauthServer,
};
pub use counters::{Counters, OwnCounters};
pub use error::{CommandError, ConfigError, ConfigProblem, DropReason, Failure};
pub use event::{Event, MessageTrace};
pub use fragment::{FragmentFault, FragmentLimits, Fragmentation};
pub use identity::{Identity, IdentityError, MAX_IDENTITY};
pub use ids::{ChildId, ConnectionId, Cookies, IkeSaId, PolicyId, Role, Ticket};
pub use machine::Endpoint;
pub use plan::{
    ConnectionPlan, DeadPeerAction, DpdMode, Dynamic, HeartbeatMode, Peer, Phase1Mode, Plan, PolicyPlan,
    RemoteIdentity, RetryAttempts, SendCertificates, SpiSource,
};
pub use selector::{SelectorError, TrafficSelector};
pub use state_name::{DpdState, IkeSaState, StateName};
pub use status::{ChildStatus, ExchangeStatus, IkeSaStatus, Status, TransactionStatus};
pub use transaction::{
    AskUser, ClientSettings, Network, Unity, UserName, UserVerdict, Users, VerifyUser, XauthAnswer, XauthField,
    XauthKind, XauthQuestion,
};
pub use unsupported::Unsupported;
