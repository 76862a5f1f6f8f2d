use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use drive::Path;

/// The paths of the sessions, each kept once: a session names its path by a number, so that what is
/// touched for every packet stays small.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// Each path, and how many sessions use it.
    slots: Vec<(Path, usize)>,
    numbers: BTreeMap<Path, u32>,
    free: Vec<u32>,
}

impl Paths {
    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&Path> {
        self.slots.get(number as usize).map(|(path, _)| path)
    }

    /// Returns the number of a path, for one more session.
    pub(super) fn take(&mut self, path: Path) -> u32 {
        let number = match self.numbers.get(&path) {
            Some(number) => *number,
            None => {
                let number = self.free.pop().unwrap_or_else(|| {
                    self.slots.push((path, 0));
                    (self.slots.len() - 1) as u32
                });
                self.numbers.insert(path, number);
                number
            }
        };
        if let Some(slot) = self.slots.get_mut(number as usize) {
            *slot = (path, slot.1 + 1);
        }
        number
    }

    /// Notes that a session with this path is gone.
    pub(super) fn release(&mut self, number: u32) {
        let Some((path, users)) = self.slots.get_mut(number as usize) else { return };
        *users = users.saturating_sub(1);
        if *users == 0 {
            self.numbers.remove(path);
            self.free.push(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_kept_once_while_a_session_uses_it_and_its_number_is_given_again_then() {
        let path = |last| Path::ip(115, [192, 0, 2, 1].into(), [192, 0, 2, last].into());
        let mut paths = Paths::default();
        assert_eq!([path(2), path(3), path(2)].map(|path| paths.take(path)), [0, 1, 0]);
        paths.release(0);
        assert_eq!(paths.take(path(4)), 2, "a session still uses the first");
        paths.release(0);
        assert_eq!(paths.take(path(5)), 0);
        assert_eq!([0, 1, 2].map(|number| paths.get(number).copied()), [path(5), path(3), path(4)].map(Some));
    }
}
