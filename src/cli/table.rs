//! Tables for people: a line a row, columns as wide as their widest cell, the last one free.

use serde_json::Value;

use super::terminal::visible_line;

/// Rows of objects; `columns` are (heading, pointer into the row).
pub fn table(rows: &[Value], columns: &[(&str, &str)]) -> String {
    if rows.is_empty() {
        return "(none)".into();
    }
    let mut lines: Vec<Vec<String>> =
        vec![columns.iter().map(|(heading, _)| (*heading).to_owned()).collect()];
    for row in rows {
        lines.push(
            columns.iter().map(|(_, pointer)| cell(row.pointer(pointer).unwrap_or(&Value::Null))).collect(),
        );
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let last = line.len().saturating_sub(1);
        for (at, value) in line.iter().enumerate() {
            if at == last {
                text.push_str(value);
            } else {
                text.push_str(&format!("{value:<width$}  ", width = widths[at]));
            }
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// The members of an object, a line each.
pub fn card(value: &Value) -> String {
    let Some(members) = value.as_object() else { return cell(value) };
    let width = members.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    members.iter().map(|(name, value)| format!("{name:<width$}  {}\n", cell(value))).collect()
}

/// A value in one line. What a terminal would obey is shown: senders choose some of these texts.
pub fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    };
    visible_line(&text).into_owned()
}
