//! Prints what `mailtrail` makes of messages, for comparison with another reader (`tests/jmap/compare.py`): names of files
//! come in, one a line, and one JSON object a line goes out.

use std::io::{self, BufRead, Write};

use mailtrail::ingest::eml::{self, Facts};
use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let raw = std::fs::read(line?)?;
        let shown = match eml::read(&raw, &[]) {
            Ok(facts) => show(&facts),
            Err(error) => json!({ "refused": error.to_string() }),
        };
        writeln!(stdout, "{shown}")?;
    }
    Ok(())
}

fn show(facts: &Facts) -> Value {
    json!({
        "message_id": (!facts.derived_message_id).then_some(&facts.message_id),
        "references": facts.references,
        "sender": facts.sender_address,
        "recipient": facts.recipient_address,
        "subject": facts.subject,
        "text": facts.texts.body.as_ref().ok(),
        "problem": facts.texts.body.as_ref().err().map(|problem| problem.as_str()),
    })
}
