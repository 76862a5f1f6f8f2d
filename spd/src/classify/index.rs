use super::above;
use super::address::Address;
use super::entry::{Entry, Flat};
use super::sites::Sites;
use super::slab::Slab;
use alloc::boxed::Box;
use alloc::vec;

/// For a coarse cut of each field, which tables hold an entry that can match: a bit for each of 64 tables.
///
/// A look-up joins a word of each and asks only the tables that are left. Bits of entries that went stay until
/// the index is built again: they cost a vain look into a table, never a wrong answer.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    local: AddressCells,
    remote: AddressCells,
    above: Box<Above>,
    /// For coarser cuts of both addresses together: entries that share a table share either more often than both.
    pairs: Pairs,
    /// Where entries share tables with more.
    sites: Option<Sites>,
    /// For how many entries its size is.
    sized_for: usize,
}

/// How large it is for up to so many entries: for a short list so small that it takes no more than the list.
const SIZES: [(usize, Size); 4] = [
    (128, Size { bits: 7, half: 3 }),
    (512, Size { bits: 8, half: 4 }),
    (4096, Size { bits: 10, half: 5 }),
    (1 << 15, Size { bits: 12, half: 7 }),
];
/// How large it is for more.
const LARGEST: Size = Size { bits: 14, half: 7 };
/// How many more bits pick the cell of a site: its cells take an eighth of the room each.
const MORE_FOR_SITES: u32 = 2;
/// Entries that are looked at to choose which bits pick the cell.
const SAMPLE: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Size {
    /// The bits of an address that pick a cell.
    bits: u32,
    /// Those of each address of a pair.
    half: u32,
}

#[derive(Clone, Debug)]
struct AddressCells {
    cut: Cut,
    cells: Cells,
}

#[derive(Clone, Debug)]
struct Pairs {
    local: Cut,
    remote: Cut,
    cells: Cells,
}

/// Which bits of an address pick its cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
    /// How many come after those that do.
    shift: u32,
    /// How many do.
    bits: u32,
    /// As many ones.
    mask: usize,
}

#[derive(Clone, Debug)]
struct Cells<T = Box<[u64]>> {
    tables: T,
    /// The tables that every cell has.
    all: u64,
}

/// The cells of what is above IP: as many for every list, and so in one piece.
#[derive(Clone, Debug)]
struct Above {
    local_port: Cells<[u64; PORT_CELLS]>,
    remote_port: Cells<[u64; PORT_CELLS]>,
    protocol: Cells<[u64; PROTOCOL_CELLS]>,
}

impl Default for Index {
    fn default() -> Self {
        Self::shaped::<u32>(&Slab::default(), false)
    }
}

impl Index {
    /// Returns an index of no entries, shaped for these; `with_sites` says whether it knows [`Sites`] as well.
    pub fn shaped<A: Address>(entries: &Slab<Entry<A>>, with_sites: bool) -> Self {
        let size = SIZES.into_iter().find(|(most, _)| entries.len() <= *most);
        let Size { bits, half } = size.map_or(LARGEST, |(_, size)| size);
        let step = (entries.places() / SAMPLE).max(1);
        let sample = || entries.iter().step_by(step).filter(|entry| !entry.is_void());
        let cut =
            |bits| (Cut::choose(sample().map(Entry::local), bits), Cut::choose(sample().map(Entry::remote), bits));
        let ((local, remote), pairs) = (cut(bits), cut(half));
        Self {
            local: AddressCells { cut: local, cells: Cells::new(1 << bits) },
            remote: AddressCells { cut: remote, cells: Cells::new(1 << bits) },
            pairs: Pairs { local: pairs.0, remote: pairs.1, cells: Cells::new(1 << (2 * half)) },
            sites: with_sites.then(|| Sites::new(bits + MORE_FOR_SITES)),
            above: Box::new(Above { local_port: Cells::FIXED, remote_port: Cells::FIXED, protocol: Cells::FIXED }),
            sized_for: entries.len().max(32),
        }
    }

    /// Returns whether so many entries want another shape.
    pub fn is_outgrown(&self, entries: usize) -> bool {
        entries > 2 * self.sized_for
    }

    /// Returns the tables that can hold a match, a bit each.
    #[inline(always)]
    pub fn tables<A: Address>(&self, key: &Flat<A>) -> u64 {
        let cells = &*self.above;
        let sites = self.sites.as_ref().map_or(u64::MAX, |sites| sites.tables(key));
        sites
            & self.local.cells.at(self.local.cut.cell(key.local))
            & self.remote.cells.at(self.remote.cut.cell(key.remote))
            & self.pairs.at(key.local, key.remote)
            & cells.remote_port.at(port_cell(above::remote_port(key.above)))
            & cells.local_port.at(port_cell(above::local_port(key.above)))
            & cells.protocol.at(protocol_cell(above::protocol(key.above)))
    }

    /// Notes that an entry stands in a table; returns how many words that wrote.
    pub fn add<A: Address>(&mut self, table: usize, entry: &Entry<A>) -> u64 {
        let bit = 1 << (table & 63);
        if let Some(sites) = &mut self.sites {
            sites.add(bit, entry);
        }
        let ports = |range: (u16, u16)| Some((port_cell(range.0), port_cell(range.1)));
        let (local_ports, remote_ports) = (ports(entry.above.local_port()), ports(entry.above.remote_port()));
        let (first, last) = entry.above.protocol();
        // A range of protocols is one or all.
        let protocols = (first == last).then(|| (protocol_cell(first), protocol_cell(last)));
        self.local.add(bit, entry.local())
            + self.remote.add(bit, entry.remote())
            + self.pairs.add(bit, entry.local(), entry.remote())
            + self.above.local_port.add(bit, local_ports)
            + self.above.remote_port.add(bit, remote_ports)
            + self.above.protocol.add(bit, protocols)
    }

    /// Returns the number of words.
    pub fn words(&self) -> u64 {
        (self.octets() / size_of::<u64>()) as u64
    }

    /// Returns the octets this takes.
    pub fn octets(&self) -> usize {
        let cells = [&self.local.cells, &self.remote.cells, &self.pairs.cells];
        size_of::<Self>()
            + size_of::<Above>()
            + cells.into_iter().map(|cells| size_of_val(&*cells.tables)).sum::<usize>()
            + self.sites.as_ref().map_or(0, Sites::octets)
    }
}

const PROTOCOL_CELLS: usize = 64;

const PORT_CELLS: usize = 512;

/// The cell of a port: four ports each below 1024, where services are, and 256 each above.
#[inline(always)]
fn port_cell(port: u16) -> usize {
    usize::from(if port < 1024 { port >> 2 } else { 256 + (port >> 8) })
}

#[inline(always)]
fn protocol_cell(protocol: u8) -> usize {
    usize::from(protocol) % PROTOCOL_CELLS
}

impl AddressCells {
    fn add<A: Address>(&mut self, bit: u64, range: (A, A)) -> u64 {
        self.cells.add(bit, self.cut.cells(range))
    }
}

impl Pairs {
    #[inline(always)]
    fn at<A: Address>(&self, local: A, remote: A) -> u64 {
        self.cells.at(self.local.cell(local).wrapping_shl(self.remote.bits) | self.remote.cell(remote))
    }

    fn add<A: Address>(&mut self, bit: u64, local: (A, A), remote: (A, A)) -> u64 {
        match (self.local.cells(local), self.remote.cells(remote)) {
            (None, None) => self.cells.add(bit, None),
            (local, remote) => {
                let (first, last) = local.unwrap_or((0, self.local.mask));
                let remote = remote.unwrap_or((0, self.remote.mask));
                let row = |local: usize| local << self.remote.bits;
                let rows = (first..=last).map(|local| (row(local) | remote.0, row(local) | remote.1));
                rows.map(|range| self.cells.add(bit, Some(range))).sum()
            }
        }
    }
}

impl Cut {
    fn new(shift: u32, bits: u32) -> Self {
        Self { shift, bits, mask: (1 << bits) - 1 }
    }

    /// Takes the bits that tell most of these ranges apart, as near the front as that allows.
    fn choose<A: Address>(ranges: impl Iterator<Item = (A, A)> + Clone, bits: u32) -> Self {
        let shifts = || (0..=A::BITS - bits).rev().step_by(4);
        let told_apart = |shift: u32| {
            let cut = Self::new(shift, bits);
            let mut seen = [0u64; (1 << LARGEST.bits) / 64];
            for (first, last) in ranges.clone() {
                // Those that differ before the bits, or in the first four of them, are of every cell or of many.
                if A::common_prefix(first, last) + shift + bits >= A::BITS + 4 {
                    let cell = cut.cell(first);
                    if let Some(word) = seen.get_mut(cell / 64) {
                        *word |= 1 << (cell % 64);
                    }
                }
            }
            seen.iter().map(|word| word.count_ones()).sum::<u32>()
        };
        let most = shifts().map(told_apart).max().unwrap_or(0);
        Self::new(shifts().find(|shift| told_apart(*shift) * 8 >= most * 7).unwrap_or(A::BITS - bits), bits)
    }

    #[inline(always)]
    fn cell<A: Address>(self, address: A) -> usize {
        address.shifted(self.shift) & self.mask
    }

    /// The first and last cell of a range, or none if it may have any.
    fn cells<A: Address>(self, (first, last): (A, A)) -> Option<(usize, usize)> {
        // Addresses that differ before the bits of the cell can have any cell.
        let before = A::BITS - self.shift - self.bits;
        (A::common_prefix(first, last) >= before).then(|| (self.cell(first), self.cell(last)))
    }
}

impl Cells {
    fn new(cells: usize) -> Self {
        Self { tables: vec![0; cells].into(), all: 0 }
    }

    #[inline(always)]
    fn at(&self, cell: usize) -> u64 {
        self.tables.get(cell).copied().unwrap_or(0)
    }
}

impl<const N: usize> Cells<[u64; N]> {
    const FIXED: Self = Self { tables: [0; N], all: 0 };

    #[inline(always)]
    fn at(&self, cell: usize) -> u64 {
        // A cell is below N as it is; that it is so for sure spares the look.
        self.tables.get(cell % N).copied().unwrap_or(0)
    }
}

impl<T: AsMut<[u64]>> Cells<T> {
    /// Notes a table for a range of cells, or for all of them; returns how many words that wrote.
    fn add(&mut self, bit: u64, range: Option<(usize, usize)>) -> u64 {
        if self.all & bit != 0 {
            return 0;
        }
        let tables = self.tables.as_mut();
        let count = tables.len();
        let (first, last) = range.unwrap_or((0, count - 1));
        let noted = tables.get_mut(first..=last).unwrap_or_default();
        for tables in &mut *noted {
            *tables |= bit;
        }
        if noted.len() == count {
            self.all |= bit;
        }
        noted.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cells_of_ports_ascend_to_the_last() {
        let cells = || (0..=u16::MAX).map(port_cell);
        // Four cells are of no port: those that the ports below 1024 would have if they were cut like the others.
        assert!(cells().zip(cells().skip(1)).all(|(a, b)| a == b || a + 1 == b || (a, b) == (255, 260)));
        assert_eq!((cells().next(), cells().next_back()), (Some(0), Some(PORT_CELLS - 1)));
    }

    #[test]
    fn cells_are_picked_by_the_bits_that_tell_addresses_apart() {
        // 2001:db8:0:x::/64: the first 48 bits are all the same.
        let sites =
            (0..200u128).map(|site| (0x2001_0db8_0000_0000 + site) << 64).map(|low| (low, low | u64::MAX as u128));
        assert_eq!(Cut::choose(sites, 8), Cut::new(64, 8));
        let hosts = (0..200u32).map(|host| (host << 24, host << 24));
        assert_eq!(Cut::choose(hosts, 8).shift, 24);
        assert_eq!(Cut::choose([(0u32, u32::MAX)].into_iter(), 12).shift, 20);
    }
}
