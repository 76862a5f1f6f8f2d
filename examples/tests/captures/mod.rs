//! Captures made for the tests of `dissect`, and what it tells of them.

use examples::dissect::run::{Settings, Totals, run};

/// Returns a capture of IP packets, each with the second it was seen in.
pub fn capture(packets: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    let words = |file: &mut Vec<u8>, words: &[u32]| words.iter().for_each(|word| file.extend(word.to_le_bytes()));
    words(&mut file, &[0xa1b2_c3d4, 0x0004_0002, 0, 0, 0x0004_0000, 101]);
    for (second, packet) in packets {
        let length = packet.len() as u32;
        words(&mut file, &[*second, 0, length, length]);
        file.extend(packet);
    }
    file
}

/// Returns what `dissect` tells of a capture.
pub fn tell(file: &[u8], settings: &Settings) -> (String, Totals) {
    let mut out = Vec::new();
    let totals = run(file, settings, &mut out).unwrap();
    (String::from_utf8(out).unwrap(), totals)
}
