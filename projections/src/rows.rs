//! The rows of a read model that a batch of events touches: read together, changed in memory, and those that changed
//! written together.

use std::collections::HashMap;
use std::hash::Hash;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::fact::ApplyError;
use crate::tables::Changes;

/// A row as its table holds it: a field for each column, of the same name.
pub trait Row: Serialize + DeserializeOwned + Clone + PartialEq + Send + Sync + 'static {
    /// The columns of the primary key.
    const KEY: &'static [&'static str];
    /// The columns that Postgres keeps as arrays; lists in others are JSON.
    const ARRAYS: &'static [&'static str] = &[];
    /// Their values, by the same names.
    type Key: Serialize + Hash + Eq + Clone + Send + Sync;

    /// Which row this is.
    fn key(&self) -> Self::Key;
}

/// Those of a table's rows that some events are about.
pub struct Rows<R: Row> {
    read: HashMap<R::Key, R>,
    now: HashMap<R::Key, R>,
}

impl<R: Row> Rows<R> {
    /// Rows as JSON objects.
    pub(crate) fn read(rows: &[String]) -> Result<Self, ApplyError> {
        let row = |row: &String| serde_json::from_str::<R>(row).map(|row| (row.key(), row));
        let read = rows.iter().map(row).collect::<Result<HashMap<_, _>, _>>().map_err(poison)?;
        Ok(Self { now: read.clone(), read })
    }

    /// A row, to be changed.
    pub fn get_mut(&mut self, key: &R::Key) -> Option<&mut R> {
        self.now.get_mut(key)
    }

    /// Changes the row of a key; nothing where there is none.
    pub fn change(&mut self, key: &R::Key, change: impl FnOnce(&mut R)) {
        if let Some(row) = self.get_mut(key) {
            change(row);
        }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`ApplyError::Poison`] where there is one like it.
    pub fn insert(&mut self, row: R) -> Result<(), ApplyError> {
        match self.now.insert(row.key(), row) {
            None => Ok(()),
            Some(_) => Err(ApplyError::Poison("there is such a row already".to_owned())),
        }
    }

    /// Removes a row.
    pub fn remove(&mut self, key: &R::Key) {
        self.now.remove(key);
    }

    /// Some rows as they are now, for [`Rows::put_back`].
    pub(crate) fn copies(&self, keys: Vec<R::Key>) -> Vec<(R::Key, Option<R>)> {
        keys.into_iter().map(|key| (key.clone(), self.now.get(&key).cloned())).collect()
    }

    pub(crate) fn put_back(&mut self, copies: Vec<(R::Key, Option<R>)>) {
        for (key, row) in copies {
            match row {
                Some(row) => self.now.insert(key, row),
                None => self.now.remove(&key),
            };
        }
    }

    /// What is to be written of them.
    pub(crate) fn changes(&self, table: &'static str) -> Result<Changes, ApplyError> {
        let gone = self.read.keys().filter(|key| !self.now.contains_key(key));
        let changed: Vec<_> = self.now.iter().filter(|(key, row)| self.read.get(key) != Some(row)).collect();
        let replaced = changed.iter().map(|(key, _)| *key).filter(|key| self.read.contains_key(key));
        Ok(Changes {
            table,
            key: R::KEY,
            arrays: R::ARRAYS,
            gone: gone.map(values).collect::<Result<_, _>>()?,
            replaced: replaced.map(values).collect::<Result<_, _>>()?,
            rows: changed.iter().map(|(_, row)| values(row)).collect::<Result<_, _>>()?,
        })
    }
}

/// What stands in the columns, by their names.
fn values(row: &impl Serialize) -> Result<Map<String, Value>, ApplyError> {
    match serde_json::to_value(row).map_err(poison)? {
        Value::Object(values) => Ok(values),
        other => Err(ApplyError::Poison(format!("{other} is no row"))),
    }
}

fn poison(error: serde_json::Error) -> ApplyError {
    ApplyError::Poison(error.to_string())
}
