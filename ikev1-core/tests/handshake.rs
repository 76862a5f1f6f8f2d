//! Main mode and quick mode between two endpoints, over a wire that loses nothing.

mod common;

use common::{Pair, left, plan, right};
use ikev1_core::Event;

#[test]
fn main_mode_and_quick_mode_make_mirrored_sas_in_nine_messages() {
    let mut pair = Pair::ordinary();
    pair.initiate();
    pair.settle();
    assert_eq!(pair.seen.len(), 9);
    assert!(pair.left.established() && pair.right.established());
    assert_eq!(pair.left.installed.len(), 2);
    pair.assert_mirrored();
}
