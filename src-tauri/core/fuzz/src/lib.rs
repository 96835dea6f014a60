//! What must hold whatever bytes come in: each function here takes any bytes and panics where a promise is broken.
//!
//! The programs in `targets/` give these functions to libFuzzer (`make fuzz`). The tests give them the corpus, in which
//! every input that ever broke a promise stays.

#![expect(clippy::indexing_slicing, reason = "an index out of bounds is a finding as well")]
#![expect(clippy::unwrap_used, reason = "so is a result that can't be an error")]

mod authorized_keys;
mod csv_import;
mod key_file;
mod sshd_config;

pub use self::authorized_keys::authorized_keys;
pub use self::csv_import::csv_import;
pub use self::key_file::key_file;
pub use self::sshd_config::sshd_config;
