//! Tables for people: a line a row, columns as wide as their widest cell. What does not fit the terminal is left out,
//! the least needed column first, and what is left is cut as far as it must be.

use serde_json::Value;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::terminal::{tell, visible_line};

/// Heading, pointer into the row, and how soon it may be left out: 0 stays, 9 goes first.
pub type Column = (&'static str, &'static str, u8);

/// A cell that may be cut keeps so many columns: a time is whole or left out.
const LEAST: usize = 20;
const GAP: usize = 2;

/// Rows of objects, in so many columns of a terminal; `None`: as many as it takes.
pub fn fitted(rows: &[Value], columns: &[Column], most: Option<usize>) -> String {
    if rows.is_empty() {
        return "(none)".into();
    }
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|column| column.0.to_owned()).collect()];
    for row in rows {
        let cells = columns.iter().map(|column| cell(row.pointer(column.1).unwrap_or(&Value::Null)));
        lines.push(cells.collect());
    }
    let natural: Vec<usize> =
        (0..columns.len()).map(|at| lines.iter().map(|line| line[at].width()).max().unwrap_or(0)).collect();
    let (widths, left_out) = fit(&natural, columns, most);
    if !left_out.is_empty() {
        tell(&format!("not shown: {}; --wide shows all columns", left_out.join(", ")));
    }
    let mut text = String::new();
    for line in &lines {
        for (value, most) in line.iter().zip(&widths) {
            let Some(most) = most else { continue };
            let value = cut(value, *most);
            text.push_str(&value);
            text.extend(std::iter::repeat_n(' ', most.saturating_sub(value.width()) + GAP));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// How wide each column is; `None`: it is left out. The headings of those that are.
fn fit<'a>(
    natural: &[usize],
    columns: &'a [Column],
    most: Option<usize>,
) -> (Vec<Option<usize>>, Vec<&'a str>) {
    let mut widths: Vec<Option<usize>> = natural.iter().copied().map(Some).collect();
    let mut left_out = Vec::new();
    let Some(most) = most else { return (widths, left_out) };
    let rank = |at: usize| columns[at].2;
    let taken = |widths: &[Option<usize>], of: &dyn Fn(usize, usize) -> usize| {
        let shown =
            widths.iter().enumerate().filter_map(|(at, width)| width.map(|width| of(at, width) + GAP));
        shown.sum::<usize>().saturating_sub(GAP)
    };
    let at_least = |at: usize, width: usize| if rank(at) == 0 { width } else { width.min(LEAST) };
    while taken(&widths, &at_least) > most {
        let shown = (0..widths.len()).filter(|at| widths[*at].is_some() && rank(*at) > 0);
        let Some(least_needed) = shown.max_by_key(|at| rank(*at)) else { break };
        widths[least_needed] = None;
        // A column without a heading belongs to the one before it.
        if !columns[least_needed].0.is_empty() {
            left_out.push(columns[least_needed].0);
        }
    }
    let whole = |_: usize, width: usize| width;
    loop {
        let over = taken(&widths, &whole).saturating_sub(most);
        // The widest of those that may be cut; where none is left, of all.
        let wide = |may_be_cut: bool| {
            let shown = widths.iter().enumerate().filter_map(|(at, width)| Some((at, (*width)?)));
            let shown = shown
                .filter(|(at, width)| if may_be_cut { rank(*at) > 0 && *width > LEAST } else { *width > 1 });
            shown.max_by_key(|(_, width)| *width)
        };
        let (Some((at, width)), true) = (wide(true).or_else(|| wide(false)), over > 0) else { break };
        let least = if rank(at) > 0 && width > LEAST { LEAST } else { 1 };
        widths[at] = Some(width.saturating_sub(over).max(least));
    }
    (widths, left_out)
}

/// The beginning of a text, where all of it is wider.
fn cut(text: &str, most: usize) -> String {
    if text.width() <= most {
        return text.to_owned();
    }
    let mut taken = 0;
    let mut kept: String = text
        .chars()
        .take_while(|c| {
            // What makes an emoji of a character before it makes that one wider.
            taken += if *c == '\u{fe0f}' { 1 } else { c.width().unwrap_or(0) };
            taken < most
        })
        .collect();
    kept.push('…');
    kept
}

/// The members of an object, a line each.
pub fn card(value: &Value) -> String {
    let Some(members) = value.as_object() else { return cell(value) };
    let width = members.keys().map(|name| name.width()).max().unwrap_or(0);
    let shown = |value: &Value| if value == "" { "-".to_owned() } else { cell(value) };
    members.iter().map(|(name, value)| format!("{name:<width$}  {}\n", shown(value))).collect()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: [Column; 4] =
        [("ID", "/id", 0), ("NAME", "/name", 1), ("SEEN", "/seen", 9), ("SCOPES", "/scopes", 5)];

    fn rows() -> Vec<Value> {
        let row = |id: &str, name: &str| json!({ "id": id, "name": name, "seen": "2026-04-30T14:22:11Z", "scopes": "enforcement:read messages:read" });
        vec![
            row("0190b3c8-5e4a-7cc1", "日本語のとても長い名前のメールボックスです"),
            row("0190b3c8-5e4a-7cc2", "a name that is longer than most of those that people give"),
            row("0190b3c8-5e4a-7cc3", "e\u{301}te\u{301}"),
        ]
    }

    #[test]
    fn a_table_fits_and_the_least_needed_column_goes_first() {
        for (most, headings) in [
            (15, "ID"),
            (30, "ID"),
            (40, "ID NAME"),
            (60, "ID NAME"),
            (80, "ID NAME SCOPES"),
            (120, "ID NAME SEEN SCOPES"),
        ] {
            let text = fitted(&rows(), &COLUMNS, Some(most));
            let widest = text.lines().map(UnicodeWidthStr::width).max().unwrap_or(0);
            assert!(widest <= most, "{widest} of {most}:\n{text}");
            let shown: Vec<&str> = text.lines().next().unwrap_or_default().split_whitespace().collect();
            assert_eq!(shown.join(" "), headings, "{most}:\n{text}");
            assert!(most < 20 || text.contains("0190b3c8-5e4a-7cc2"), "{most}: an id is not cut:\n{text}");
        }
    }

    #[test]
    fn columns_stand_under_each_other_by_what_a_terminal_shows() {
        let text = fitted(&rows(), &COLUMNS, None);
        let ends: Vec<usize> =
            text.lines().skip(1).map(|line| line.split("2026-").next().unwrap_or_default().width()).collect();
        assert_eq!(ends, vec![ends[0]; 3], "{text}");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("日本語", 6), "日本語");
    }
}
