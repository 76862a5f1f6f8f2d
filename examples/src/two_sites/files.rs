//! The files a run reads and leaves behind.

use crate::gatewayd::keylog::KeyLog;
use ikev1_core::KeyLogLine;
use simnet::Capture;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;

/// Reads a scenario file.
///
/// # Errors
/// What the system says, with the name of the file.
pub fn read(path: &Path) -> io::Result<String> {
    fs::read_to_string(path).map_err(|error| named(path, &error))
}

/// Writes a capture, in place of one that is there.
///
/// # Errors
/// What the system says, with the name of the file.
pub fn write_capture(path: &Path, capture: &Capture) -> io::Result<()> {
    File::create(path).and_then(|file| capture.write_to(BufWriter::new(file))).map_err(|error| named(path, &error))
}

/// Writes the two tables of keys into `directory`, in place of those that are there.
///
/// # Errors
/// What the system says, with the name of the file.
pub fn write_keys(directory: &Path, keys: &[KeyLogLine]) -> io::Result<()> {
    fs::create_dir_all(directory).map_err(|error| named(directory, &error))?;
    for name in ["ikev1_decryption_table", "esp_sa"] {
        match fs::remove_file(directory.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(named(&directory.join(name), &error)),
            Ok(()) | Err(_) => {}
        }
    }
    let mut log = KeyLog::open(directory)?;
    keys.iter().try_for_each(|line| log.write(line))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
