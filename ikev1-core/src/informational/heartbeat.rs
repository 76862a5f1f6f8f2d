use crate::ids::Cookies;
use crate::informational::notify::about_isakmp;
use crate::ride_along::initial_contact::cookies_spi;
use ipsec_wire::isakmp::Chain;
use ipsec_wire::isakmp::payload::Notification;
use ipsec_wire::registry::{NotifyType, ProtocolId};

/// The numbers of heartbeats: each that is sent has the next one, and only a higher one than before counts, so that
/// a replay is no sign of life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeats {
    next_tx: u32,
    last_rx: u32,
}

impl Default for Heartbeats {
    /// As routers show it: the first number is 1, and 0 is none.
    fn default() -> Self {
        Self { next_tx: 1, last_rx: 0 }
    }
}

impl Heartbeats {
    /// Returns the next heartbeat, and counts it. At the last number there is, which takes longer than any SA
    /// lives, it stays.
    pub(crate) fn beat(&mut self, notify: u16, cookies: Cookies) -> Chain {
        let number = self.next_tx;
        self.next_tx = number.saturating_add(1);
        about_isakmp(NotifyType(notify), cookies, number.to_be_bytes().to_vec())
    }

    /// Takes the number of a heartbeat. Returns whether it is a new one.
    pub(crate) const fn take(&mut self, number: u32) -> bool {
        let is_new = number > self.last_rx;
        if is_new {
            self.last_rx = number;
        }
        is_new
    }

    /// Returns whether the peer was heard.
    pub(crate) const fn is_heard(&self) -> bool {
        self.last_rx != 0
    }

    /// Returns the numbers that routers show: next sent, last received.
    pub(crate) const fn numbers(&self) -> (u32, u32) {
        (self.next_tx, self.last_rx)
    }
}

/// Returns the number in a notification, if it is a heartbeat of the SA with these cookies.
pub(crate) fn number(notification: &Notification<&[u8]>, notify: u16, cookies: Cookies) -> Option<u32> {
    let is_one = notification.notify_type == NotifyType(notify)
        && notification.protocol == ProtocolId::ISAKMP
        && notification.spi == cookies_spi(cookies);
    let number = <[u8; 4]>::try_from(notification.data).ok().filter(|_| is_one)?;
    Some(u32::from_be_bytes(number))
}
