//! Answers as aligned columns, for people.

use serde_json::Value;

/// How a column is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// As it is; nothing for null.
    Plain,
    /// A number of bytes, with a unit.
    Bytes,
    /// "yes" or nothing.
    Flag,
}

/// One column: its title, the field it shows, and how.
pub type Column = (&'static str, &'static str, Show);

/// The rows under their titles, each line ended. Numbers and sizes stand to the right.
pub fn table(columns: &[Column], rows: &[Value]) -> String {
    let titles: Vec<String> = columns.iter().map(|(title, ..)| (*title).to_owned()).collect();
    let cells =
        rows.iter().map(|row| columns.iter().map(|(_, field, show)| cell(&row[*field], *show)).collect());
    let lines: Vec<Vec<String>> = std::iter::once(titles).chain(cells).collect();
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let right: Vec<bool> = columns
        .iter()
        .map(|(_, field, show)| *show == Show::Bytes || rows.iter().any(|row| row[*field].is_number()))
        .collect();
    let mut text = String::new();
    for line in &lines {
        let mut out = String::new();
        for (at, cell) in line.iter().enumerate() {
            let pad = " ".repeat(widths[at] - cell.chars().count());
            let (before, after) = if right[at] { (pad.as_str(), "") } else { ("", pad.as_str()) };
            out.push_str(&format!("{}{before}{cell}{after}", if at == 0 { "" } else { "  " }));
        }
        text.push_str(out.trim_end());
        text.push('\n');
    }
    text
}

/// One object as lines of name and value; fields without a value are left out.
pub fn sheet(object: &Value) -> String {
    let Some(fields) = object.as_object() else { return String::new() };
    let shown =
        fields.iter().filter(|(_, value)| !value.is_null() && !value.is_array() && !value.is_object());
    let width = shown.clone().map(|(name, _)| name.len()).max().unwrap_or(0);
    shown.map(|(name, value)| format!("{name:width$}  {}\n", cell(value, Show::Plain))).collect()
}

/// A number of bytes as people say it.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = None;
    let mut whole = count;
    let mut tenths = 0;
    for name in UNITS {
        if whole < 1024 {
            break;
        }
        tenths = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit = Some(name);
    }
    unit.map_or_else(|| format!("{count} B"), |unit| format!("{whole}.{tenths} {unit}"))
}

fn cell(value: &Value, show: Show) -> String {
    match (value, show) {
        (Value::Null | Value::Bool(false), Show::Flag) | (Value::Null, _) => String::new(),
        (Value::Bool(true), Show::Flag) => "yes".to_owned(),
        (Value::Number(number), Show::Bytes) => number.as_u64().map_or_else(|| number.to_string(), bytes),
        (Value::String(text), _) => printable(text),
        (other, _) => other.to_string(),
    }
}

/// A text without what would move a terminal's cursor.
pub fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{FFFD}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_aligned() {
        let rows = [
            json!({"a": "x", "n": 5, "b": 2048, "f": true}),
            json!({"a": "longer\u{1b}", "n": 50, "b": 3, "f": false}),
        ];
        let columns = [
            ("A", "a", Show::Plain),
            ("N", "n", Show::Plain),
            ("SIZE", "b", Show::Bytes),
            ("F", "f", Show::Flag),
        ];
        assert_eq!(
            table(&columns, &rows),
            "A         N     SIZE  F\nx         5  2.0 KiB  yes\nlonger\u{FFFD}  50      3 B\n"
        );
        assert_eq!(table(&columns[..1], &[]), "A\n");
    }

    #[test]
    fn sizes_are_said_shortly() {
        for (count, said) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (u64::MAX, "15.9 EiB")]
        {
            assert_eq!(bytes(count), said);
        }
    }

    #[test]
    fn a_sheet_shows_what_has_a_value() {
        assert_eq!(sheet(&json!({"id": "x", "none": null, "size": 3})), "id    x\nsize  3\n");
    }
}
