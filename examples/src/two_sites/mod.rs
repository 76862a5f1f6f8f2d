//! The parts of `two-sites`: two gateways and two LANs over a simulated network.
//!
//! [`scenario`] is the file with a [`site`] on each side, [`sites`] makes plans and a network of it, [`run`] is the script, and
//! [`story`] writes down what happens on a [`page`] while the hosts of [`lan`] ping and answer.

pub mod contents;
pub mod files;
pub mod lan;
pub mod page;
pub mod run;
pub mod scenario;
pub mod site;
pub mod sites;
pub mod story;
pub mod tables;
