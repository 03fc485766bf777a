//! Reading one table of the configuration key by key, noting every fault on the way.

use std::cell::RefCell;
use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::{Table, Value};

/// Longest time a setting in seconds may ask for.
const SECONDS_MAX: f64 = 1e9;

/// One thing wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key, as `pool[0].name`.
    pub key: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to write instead.
    pub fix: String,
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.key, self.problem, self.fix)
    }
}

/// Every fault found so far, in the order found.
#[derive(Debug, Default)]
pub struct Faults(RefCell<Vec<Fault>>);

impl Faults {
    /// Notes one more.
    pub fn add(&self, key: impl Into<String>, problem: impl Into<String>, fix: impl Into<String>) {
        self.0.borrow_mut().push(Fault { key: key.into(), problem: problem.into(), fix: fix.into() });
    }

    /// All of them.
    pub fn into_vec(self) -> Vec<Fault> {
        self.0.into_inner()
    }
}

/// A table whose keys are taken one by one; [`Section::end`] names those that nobody took.
pub struct Section<'a> {
    /// Its place, empty for the whole file.
    place: String,
    table: Table,
    asked: Vec<&'static str>,
    faults: &'a Faults,
}

impl<'a> Section<'a> {
    /// The table found at `place`.
    pub fn new(place: impl Into<String>, table: Table, faults: &'a Faults) -> Self {
        Self { place: place.into(), table, asked: Vec::new(), faults }
    }

    /// The full name of a key in this table.
    pub fn name(&self, key: &str) -> String {
        match (self.place.as_str(), key) {
            ("", key) => key.to_owned(),
            (place, "") => place.to_owned(),
            (place, key) => format!("{place}.{key}"),
        }
    }

    /// Notes a fault of a key of this table.
    pub fn fault(&self, key: &str, problem: impl Into<String>, fix: impl Into<String>) {
        self.faults.add(self.name(key), problem, fix);
    }

    /// Whether the key stands there; it is not taken.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// A text.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text),
            other => self.wrong_type(key, &other, "write a text in quotes"),
        }
    }

    /// A text that `parse` understands; `fix` says what it should be.
    pub fn parsed<T, E: Display>(
        &mut self,
        key: &'static str,
        fix: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(key)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(key, error.to_string(), fix);
                None
            }
        }
    }

    /// A whole number in a range.
    pub fn number(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let fix = format!("write a whole number from {} to {}", range.start(), range.end());
        match self.take(key)? {
            Value::Integer(number) => {
                match u64::try_from(number).ok().filter(|number| range.contains(number)) {
                    Some(number) => Some(number),
                    None => {
                        self.fault(key, format!("{number} is out of range"), fix);
                        None
                    }
                }
            }
            other => self.wrong_type(key, &other, &fix),
        }
    }

    /// A whole number in a range, as a small type the range fits in.
    pub fn small<T: TryFrom<u64>>(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<T> {
        self.number(key, range).and_then(|number| T::try_from(number).ok())
    }

    /// A time in seconds, fractions allowed.
    pub fn seconds(&mut self, key: &'static str) -> Option<Duration> {
        let fix = "write a number of seconds, 0 or more";
        let seconds = match self.take(key)? {
            #[allow(clippy::cast_precision_loss)] // far beyond the limit by then
            Value::Integer(number) => number as f64,
            Value::Float(number) => number,
            other => return self.wrong_type(key, &other, fix),
        };
        if (0.0..=SECONDS_MAX).contains(&seconds) {
            Some(Duration::from_secs_f64(seconds))
        } else {
            self.fault(key, format!("{seconds} is out of range"), fix);
            None
        }
    }

    /// A number with a fraction.
    pub fn fraction(&mut self, key: &'static str) -> Option<f64> {
        match self.take(key)? {
            Value::Float(number) => Some(number),
            #[allow(clippy::cast_precision_loss)] // settings of this kind are small
            Value::Integer(number) => Some(number as f64),
            other => self.wrong_type(key, &other, "write a number"),
        }
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &'static str) -> Option<bool> {
        match self.take(key)? {
            Value::Boolean(flag) => Some(flag),
            other => self.wrong_type(key, &other, "write true or false"),
        }
    }

    /// A list of texts.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        let fix = "write a list of texts, as [\"a\", \"b\"]";
        let items = match self.take(key)? {
            Value::Array(items) => items,
            other => return self.wrong_type(key, &other, fix),
        };
        let mut texts = Vec::new();
        for item in items {
            match item {
                Value::String(text) => texts.push(text),
                other => return self.wrong_type(key, &other, fix),
            }
        }
        Some(texts)
    }

    /// A table.
    pub fn table(&mut self, key: &'static str) -> Option<Section<'a>> {
        let name = self.name(key);
        match self.take(key)? {
            Value::Table(table) => Some(Self::new(name, table, self.faults)),
            other => self.wrong_type(key, &other, &format!("write a table: [{name}]")),
        }
    }

    /// A table of tables, by name.
    pub fn named(&mut self, key: &'static str) -> Vec<(String, Section<'a>)> {
        let Some(section) = self.table(key) else { return Vec::new() };
        let mut found = Vec::new();
        for (name, value) in section.table {
            let place = format!("{}.\"{name}\"", section.place);
            match value {
                Value::Table(table) => found.push((name, Self::new(place, table, self.faults))),
                _ => self.faults.add(&place, "is not a table", format!("write a table: [{place}]")),
            }
        }
        found
    }

    /// A list of tables; `None` when the key is not there.
    pub fn list(&mut self, key: &'static str) -> Option<Vec<Section<'a>>> {
        let name = self.name(key);
        let fix = format!("write tables, each under [[{name}]]");
        let items = match self.take(key)? {
            Value::Array(items) => items,
            other => return self.wrong_type(key, &other, &fix),
        };
        let mut found = Vec::new();
        for (at, item) in items.into_iter().enumerate() {
            let place = format!("{name}[{at}]");
            match item {
                Value::Table(table) => found.push(Self::new(place, table, self.faults)),
                _ => self.faults.add(place, "is not a table", fix.clone()),
            }
        }
        Some(found)
    }

    /// Notes a fault for every key nobody asked for.
    pub fn end(self) {
        for key in self.table.keys() {
            let known = self.asked.join(", ");
            self.faults.add(self.name(key), "is not a setting", format!("settings here are: {known}"));
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.asked.push(key);
        self.table.remove(key)
    }

    fn wrong_type<T>(&self, key: &str, found: &Value, fix: &str) -> Option<T> {
        self.fault(key, format!("is of the wrong kind ({})", found.type_str()), fix);
        None
    }
}
