//! The standing orders of operators, kept over restarts.

use std::fs;
use std::io;

use engine::Standing;

use super::{DataDir, ORDERS, replace};
use crate::error::Error;

impl DataDir {
    /// The orders that stand; none when none was ever given.
    pub fn orders(&self) -> Result<Standing, Error> {
        let path = self.path().join(ORDERS);
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| {
                let problem = format!("{error}; delete it, and nothing is held or paused any more");
                Error::DataFile { path, problem }
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Standing::default()),
            Err(source) => Err(Error::File { operation: "read", path, source }),
        }
    }

    /// Makes orders durable.
    pub fn keep_orders(&self, standing: &Standing) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(standing).expect("plain data");
        replace(&self.path().join(ORDERS), &text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use model::Timestamp;

    #[test]
    fn orders_are_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut standing =
            Standing { migration_paused: Some(Timestamp::from_seconds(5)), ..Standing::default() };
        standing.held.insert("main".to_owned(), Timestamp::from_seconds(7));
        let data = DataDir::create(folder.path()).unwrap();
        assert_eq!(data.orders().unwrap(), Standing::default());
        data.keep_orders(&standing).unwrap();
        drop(data);
        let data = DataDir::create(folder.path()).unwrap();
        assert_eq!(data.orders().unwrap(), standing);
        fs::write(folder.path().join(ORDERS), "{").unwrap();
        assert!(matches!(data.orders(), Err(Error::DataFile { .. })));
    }
}
