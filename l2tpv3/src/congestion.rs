/// The congestion window of a control connection, RFC 3931 appendix A.
///
/// In slow start it grows by one message for each acknowledgement, above the threshold by one for
/// each window of acknowledgements; a retransmission halves the threshold and starts again at one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    size: u16,
    threshold: u16,
    credit: u16,
    limit: u16,
}

impl Window {
    /// Returns a window of one message under the peer's receive window `limit`.
    pub const fn new(limit: u16) -> Self {
        let limit = if limit == 0 { 1 } else { limit };
        Self { size: 1, threshold: limit, credit: 0, limit }
    }

    /// Returns how many messages may be out.
    pub const fn size(&self) -> usize {
        self.size as usize
    }

    /// Returns where slow start ends.
    pub const fn threshold(&self) -> u16 {
        self.threshold
    }

    /// Returns the peer's receive window.
    pub const fn limit(&self) -> u16 {
        self.limit
    }

    /// Takes in the receive window that the peer advertises.
    pub fn set_limit(&mut self, limit: u16) {
        self.limit = limit.max(1);
        self.threshold = self.limit;
        self.size = self.size.min(self.limit);
    }

    /// Takes in an acknowledgement of something new.
    pub fn acknowledged(&mut self) {
        if self.size < self.threshold {
            self.size += 1;
        } else {
            self.credit = self.credit.saturating_add(1);
            if self.credit >= self.size {
                self.credit = 0;
                self.size = self.size.saturating_add(1);
            }
        }
        self.size = self.size.min(self.limit);
    }

    /// Takes in a retransmission.
    pub fn congested(&mut self) {
        self.threshold = (self.size / 2).max(1);
        self.size = 1;
        self.credit = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_start_ends_at_the_threshold_and_growth_is_linear_after() {
        let mut window = Window::new(16);
        (0..7).for_each(|_| window.acknowledged());
        assert_eq!(window.size(), 8);
        window.congested();
        assert_eq!((window.size(), window.threshold()), (1, 4));
        (0..3).for_each(|_| window.acknowledged());
        assert_eq!(window.size(), 4);
        (0..3).for_each(|_| window.acknowledged());
        assert_eq!(window.size(), 4);
        window.acknowledged();
        assert_eq!(window.size(), 5);
    }

    #[test]
    fn the_window_never_passes_the_peers() {
        let mut window = Window::new(4);
        (0..1000).for_each(|_| window.acknowledged());
        assert_eq!(window.size(), 4);
        window.set_limit(0);
        assert_eq!(window.size(), 1);
    }
}
